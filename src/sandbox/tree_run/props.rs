//! What stands in a root directory for the time of one command.

use std::path::PathBuf;

use crate::fs::{PathError, Root};

use super::super::command::ShownFile;
use super::super::placed::{Placed, Thing, Wanted};
use super::super::rootfs::RootfsError;
use super::super::{Inner, mounts, room};

/// Directories that the kernel fills where there are mounts.
const KERNEL_DIRS: [&str; 3] = ["proc", "sys", "dev"];

/// Files that are taken back when this value goes.
pub(super) struct Props {
    placed: Option<Placed>,
}

impl Props {
    /// Puts `wanted` into `root`; what the image has there is set aside.
    pub(super) fn put(inner: &Inner, root: &Root, wanted: &[Wanted]) -> Result<Self, RootfsError> {
        if wanted.is_empty() {
            return Ok(Self { placed: None });
        }
        let name = inner.next_number().to_string();
        let room = inner.dir().open_dir(room::PROPS.as_ref())?;
        room.create_dir(name.as_ref(), 0o700)?;
        let placed = Placed::put(root, wanted, &room.open_dir(name.as_ref())?)?;
        for path in placed.skipped() {
            tracing::warn!(path = %path.display(), "this container may not make devices: the \
                command finds what the image has");
        }
        Ok(Self {
            placed: Some(placed),
        })
    }

    /// Makes the root directory what it was, but for what the command did.
    pub(super) fn take_back(mut self) -> Result<(), PathError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), PathError> {
        let Some(placed) = self.placed.take() else {
            return Ok(());
        };
        for path in placed.take_back()? {
            tracing::warn!(path = %path.display(), "the command moved a file that was only lent to \
                it: it is empty in the image");
        }
        Ok(())
    }
}

impl Drop for Props {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, source = %error.source, "a step's own files stay in the image");
        }
    }
}

/// Returns real files in the place of mounts. Left out of the network's files are those that are among
/// `mounted`, and those that lead into the kernel's directories: some images link `/etc/resolv.conf` to
/// `/dev/null`. Paths are relative to the root.
pub(super) fn wanted_files(
    root: &Root,
    files: Vec<ShownFile>,
    mounted: &[PathBuf],
) -> Result<Vec<Wanted>, PathError> {
    let mut wanted = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        if index < mounts::NETWORK_FILES {
            let path = root.resolve(&file.target)?;
            let is_kernels = KERNEL_DIRS.iter().any(|dir| path.starts_with(dir));
            if is_kernels || mounted.contains(&path) {
                continue;
            }
        }
        wanted.push(Wanted {
            path: file.target,
            thing: Thing::File {
                contents: file.contents,
                mode: file.mode,
            },
        });
    }
    Ok(wanted)
}
