//! With chroot(2) alone: real files stand where there are mounts otherwise, and there is no `/proc`.

use std::path::Path;

use crate::fs::Root;
use crate::sys::Namespaces;

use super::super::command::{Command, Exit, Stream};
use super::super::placed::devices;
use super::super::run::{Prepared, RunError};
use super::super::stop::Stop;
use super::super::{Inner, mounts};
use super::props::{Props, wanted_files};

pub(super) fn run(
    inner: &Inner,
    root: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let tasks = mounts::chroot_tasks(root.path(), command);
    let prepared = Prepared::new(command, tasks, Namespaces::Shared)?;
    let mut wanted = devices(Path::new("dev"));
    let files = mounts::shown_files(inner, command);
    wanted.extend(wanted_files(root, files, &[])?);
    let props = Props::put(inner, root, &wanted)?;
    let outcome = prepared
        .run(inner, stop, output)
        .and_then(|report| prepared.exit(root, report));
    super::after_cleaning(outcome, props.take_back())
}
