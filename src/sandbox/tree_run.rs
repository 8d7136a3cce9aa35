//! Running a command in a plain tree, in the way of each mode.
//!
//! A tree has exactly the image's files before and after; what a command needs besides is put there
//! for the time it runs, whatever ends it.

mod chroot;
mod inplace;
mod kernel_dirs;
mod mounted;
mod promises;
mod props;
mod requested;

pub(super) use self::inplace::put_root_back;

use crate::fs::Root;

use super::command::{Command, Ended, Network, Stream};
use super::run::RunError;
use super::stop::Stop;
use super::{Inner, Mode};

/// Runs `command` in the tree at `root`.
pub(super) fn run(
    inner: &Inner,
    root: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ended, RunError> {
    let mode = inner.setting.mode;
    match mode {
        Mode::Ns | Mode::Userns(_) => mounted::run(inner, root, command, stop, output),
        Mode::Chroot => {
            check_network(mode, command)?;
            chroot::run(inner, root, command, stop, output)
        }
        Mode::Inplace => {
            check_network(mode, command)?;
            inplace::run(inner, root, command, stop, output)
        }
        Mode::None => Err(RunError::NoRun(mode)),
    }
}

fn check_network(mode: Mode, command: &Command) -> Result<(), RunError> {
    match command.network {
        Network::Host => Ok(()),
        Network::None => Err(RunError::NoOwnNetwork(mode)),
    }
}

/// Returns `outcome`, or the failure to clean up after it. Where both failed, the first is the
/// reason for the second more often than not.
fn after_cleaning<T, E>(outcome: Result<T, RunError>, cleaned: Result<(), E>) -> Result<T, RunError>
where
    RunError: From<E>,
{
    match (outcome, cleaned.map_err(RunError::from)) {
        (Ok(value), Ok(())) => Ok(value),
        (Ok(_), Err(error)) => Err(error),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(second)) => {
            tracing::warn!(error = %second, "the stage's files are not as they were");
            Err(error)
        }
    }
}
