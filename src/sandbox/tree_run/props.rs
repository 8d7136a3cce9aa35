//! What stands in a root directory for the time of one command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::fs::{Dir, PathError, Root, remove_tree};

use super::super::command::ShownFile;
use super::super::placed::{Placed, Thing, Wanted};
use super::super::rootfs::RootfsError;
use super::super::{Inner, mounts, room};

/// Directories that the kernel fills where there are mounts.
pub(super) const KERNEL_DIRS: [&str; 3] = ["proc", "sys", "dev"];

/// Files that are taken back when this value goes.
pub(super) struct Props {
    placed: Option<Placed>,
    /// A directory for them on another mount than the work directory is on.
    guest_room: Option<GuestRoom>,
}

impl Props {
    /// Puts `wanted` into `root`; what the image has there is set aside.
    pub(super) fn put(inner: &Inner, root: &Root, wanted: &[Wanted]) -> Result<Self, RootfsError> {
        if wanted.is_empty() {
            return Ok(Self {
                placed: None,
                guest_room: None,
            });
        }
        let name = inner.next_number().to_string();
        let room = inner.dir().open_dir(room::PROPS.as_ref())?;
        room.create_dir(name.as_ref(), 0o700)?;
        let placed = Placed::put(root, wanted, &room.open_dir(name.as_ref())?)?;
        Ok(Self {
            placed: Some(placed),
            guest_room: None,
        })
    }

    /// As [`Self::put`], for things on the mount at `mount`, which the work directory is not on: files
    /// are only renamed, so something on that mount must hold what is set aside.
    pub(super) fn put_on_mount(
        root: &Root,
        mount: &Path,
        wanted: &[Wanted],
    ) -> Result<Self, RootfsError> {
        let guest_room = GuestRoom::make(root.open_dir(mount)?)?;
        let placed = Placed::put(root, wanted, &guest_room.open()?)?;
        Ok(Self {
            placed: Some(placed),
            guest_room: Some(guest_room),
        })
    }

    /// Returns the paths of devices that this process may not make.
    pub(super) fn skipped(&self) -> &[PathBuf] {
        self.placed.as_ref().map_or(&[], Placed::skipped)
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
        // What is wrong with it is told when it goes.
        self.guest_room = None;
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

/// A directory of ours on a mount that is not.
struct GuestRoom {
    mount: Dir,
    name: OsString,
}

impl GuestRoom {
    fn make(mount: Dir) -> Result<Self, PathError> {
        let name = OsString::from(format!(".sawagani-{}", std::process::id()));
        mount.create_dir(&name, 0o700)?;
        Ok(Self { mount, name })
    }

    fn open(&self) -> Result<Dir, PathError> {
        self.mount.open_dir(&self.name)
    }
}

impl Drop for GuestRoom {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.mount, &self.name) {
            tracing::warn!(%error, source = %error.source, "a directory stays in this container");
        }
    }
}

/// Returns the mount that `path` is on, if it is another one than the root's. What is missing of the
/// path would be made where the rest leads.
pub(super) fn other_mount(root: &Root, path: &Path) -> Result<Option<PathBuf>, PathError> {
    let own = root.dir().metadata()?.dev;
    let mut found = None;
    for above in root.resolve(path)?.ancestors().skip(1) {
        match root.symlink_metadata(above)? {
            // The topmost directory on that device is the mount, or as good as that.
            Some(metadata) if metadata.dev != own => found = Some(above.to_path_buf()),
            Some(_) => break,
            None => {}
        }
    }
    Ok(found)
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
