//! With chroot(2) alone: real files stand where there are mounts otherwise, and there is no `/proc`.

use std::path::PathBuf;

use crate::fs::Root;

use super::super::command::{Command, Exit, ShownFile, Stream};
use super::super::placed::Wanted;
use super::super::rootfs::RootfsError;
use super::super::run::{Prepared, RunError};
use super::super::stop::Stop;
use super::super::{Inner, mounts};
use super::props::Props;
use crate::sys::Namespaces;

/// Directories that the kernel fills where there are mounts.
const KERNEL_DIRS: [&str; 3] = ["proc", "sys", "dev"];

pub(super) fn run(
    inner: &Inner,
    root: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let tasks = mounts::chroot_tasks(root.path(), command);
    let prepared = Prepared::new(command, tasks, Namespaces::Shared)?;
    let files = mounts::shown_files(inner, command);
    let wanted = wanted_files(root, &files, &[])?;
    let props = Props::put(inner, root, &wanted)?;
    let outcome = prepared
        .run(inner, stop, output)
        .and_then(|report| prepared.exit(root, report));
    super::after_cleaning(outcome, props.take_back())
}

/// Returns the files at the places where links in `root` lead. Left out of the network's files are
/// those that are among `mounted`, and those that lead into the kernel's directories: some images link
/// `/etc/resolv.conf` to `/dev/null`. Paths are relative to the root.
pub(super) fn wanted_files(
    root: &Root,
    files: &[ShownFile],
    mounted: &[PathBuf],
) -> Result<Vec<Wanted>, RootfsError> {
    let mut wanted = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let path = root.resolve(&file.target)?;
        let is_kernels = KERNEL_DIRS.iter().any(|dir| path.starts_with(dir));
        let is_in_place = is_kernels || mounted.contains(&path);
        if is_in_place && index < mounts::NETWORK_FILES {
            continue;
        }
        if let Some(found) = root.symlink_metadata(&path)?
            && found.is_dir()
        {
            return Err(RootfsError::Target {
                target: file.target.clone(),
                found: "a directory",
            });
        }
        wanted.push(Wanted::File {
            path,
            contents: file.contents.clone(),
            mode: file.mode,
        });
    }
    Ok(wanted)
}
