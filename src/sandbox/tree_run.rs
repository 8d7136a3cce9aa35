//! Running a command in a plain tree, in the way of each mode.

use crate::fs::Root;

use super::Inner;
use super::command::{Command, Exit, Stream};
use super::run::RunError;
use super::stop::Stop;

/// Runs `command` in the tree at `root`.
pub(super) fn run(
    inner: &Inner,
    _root: &Root,
    _command: &Command,
    _stop: &Stop,
    _output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    Err(RunError::NotYetSupported(inner.setting.mode))
}
