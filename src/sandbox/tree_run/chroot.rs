//! With chroot(2) alone: real files stand where there are mounts otherwise, and there is no `/proc`.

use std::path::Path;

use crate::fs::{PathError, Root};
use crate::sys::Namespaces;

use super::super::command::{Command, Ended, Stream};
use super::super::placed::{Thing, Wanted, devices};
use super::super::run::{Prepared, RunError};
use super::super::stop::Stop;
use super::super::{Inner, mounts};
use super::kernel_dirs::KernelDirs;
use super::props::{Props, wanted_files};
use super::requested::Requested;

pub(super) fn run(
    inner: &Inner,
    root: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ended, RunError> {
    let tasks = mounts::chroot_tasks(root.path(), command);
    let prepared = Prepared::new(command, tasks, Namespaces::Shared)?;
    let requested = Requested::prepare(inner, &command.mounts)?;
    let kernel_dirs = KernelDirs::put(inner, root)?;
    let devices = Props::put(inner, root, &devices(Path::new("dev")))?;
    if !devices.skipped().is_empty() {
        let paths = devices.skipped();
        tracing::warn!(
            ?paths,
            "no devices can be made here: commands do not find them"
        );
    }
    let files = mounts::shown_files(inner, command);
    let mut wanted = wanted_files(root, files, &[])?;
    wanted.extend(null_file(root, &devices)?);
    let props = Props::put(inner, root, &wanted)?;
    let mounts = Props::put(inner, root, requested.wanted())?;
    let outcome = prepared
        .run(inner, stop, output)
        .and_then(|report| prepared.exit(root, report));
    let outcome = super::after_cleaning(outcome, mounts.take_back());
    let outcome = outcome.and_then(|exit| requested.ended(exit));
    let outcome = super::after_cleaning(outcome, props.take_back());
    let outcome = super::after_cleaning(outcome, devices.take_back());
    super::after_cleaning(outcome, kernel_dirs.take_back())
}

/// Returns a file in the place of `/dev/null` where that device cannot be made: everybody may write
/// to it.
fn null_file(root: &Root, devices: &Props) -> Result<Option<Wanted>, PathError> {
    let path = Path::new("dev/null");
    let is_missing = devices.skipped().iter().any(|skipped| skipped == path);
    if !is_missing || root.symlink_metadata(path)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Wanted {
        path: path.to_path_buf(),
        thing: Thing::File {
            contents: Vec::new(),
            mode: 0o666,
        },
    }))
}
