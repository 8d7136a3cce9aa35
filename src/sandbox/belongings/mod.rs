//! What of the container's own stays in its place in mode `inplace`, and a root command could change for good: the
//! network's files, which the runtime has mounted, and the entries of `/dev`.
//!
//! With mounts, a command gets copies of them that go with it. Here they are noted before it, and made afterwards what
//! they were: a resolver that a RUN writes down must not be the one that the image is pushed with. The note is in the work
//! directory, for whoever comes after a build that was killed: in the same container, from its start to its end. The next
//! one has files of its own, and so has another one with the same volume.

mod container;
mod device_dir;
mod looks;
mod network_file;

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, PathContext, PathError, Root};

use super::mountinfo::mounts_of_this_process;

use self::container::Container;
use self::device_dir::{DeviceDir, Keeper};
use self::network_file::NetworkFile;

const NOTE: &str = "belongings";
const NEW_NOTE: &str = "belongings.new";

/// Relative to the root directory.
const NETWORK_FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];
const DEV: &str = "dev";

/// Things that are made what they were when [`Self::give_back`] is called.
#[must_use = "a command may have changed them"]
#[derive(Debug)]
pub(super) struct Belongings {
    note: Note,
    work: Dir,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Where this was.
    container: Container,
    files: Vec<NetworkFile>,
    /// `None` where it is no mount: then it is the stage's, as everything else.
    devices: Option<DeviceDir>,
    keeper: Keeper,
}

impl Belongings {
    /// Takes note of what is among `kept`, paths in `root` that stay while a stage is there, in the directory `work`.
    pub(super) fn take_note(root: &Root, kept: &[PathBuf], work: &Dir) -> Result<Self, PathError> {
        let is_kept = |path: &str| kept.iter().any(|kept| kept == Path::new(path));
        let mut note = Note {
            container: Container::look(root)?,
            files: Vec::new(),
            devices: None,
            keeper: keeper_of(&root.path().join(DEV)),
        };
        for path in NETWORK_FILES.into_iter().filter(|path| is_kept(path)) {
            note.files.extend(NetworkFile::read(root, Path::new(path))?);
        }
        if is_kept(DEV) {
            note.devices = DeviceDir::read(root.dir(), OsStr::new(DEV))?;
        }
        note.write(work)?;
        let work = work.try_clone()?;
        Ok(Self { note, work })
    }

    /// Makes everything what it was. No process of the command may be left, and its stage is gone from `root`.
    pub(super) fn give_back(self, root: &Root) -> Result<(), PathError> {
        self.note.give_back(root)?;
        Note::remove(&self.work)
    }
}

/// Does what a build with the work directory `work` could not do any more, if it had begun anything. What fails is told, and
/// no reason to keep the directory or to build nothing: a device may be what this container lets nobody make.
pub(super) fn give_back_noted(root: &Root, work: &Dir) {
    let outcome = Note::read(work).and_then(|note| match note {
        Some(note) => note.give_back_later(root).and_then(|()| Note::remove(work)),
        None => Ok(()),
    });
    if let Err(error) = outcome {
        tracing::warn!(%error, source = %error.source, "this container is not as it was");
    }
}

/// The file system at `path` itself says that it is a `tmpfs` (statfs(2)): only the list of mounts tells them apart. Where
/// it cannot be read, nothing is removed.
fn keeper_of(path: &Path) -> Keeper {
    let Ok(mounts) = mounts_of_this_process() else {
        return Keeper::Kernel;
    };
    // The last one covers the others.
    match mounts.iter().rev().find(|mount| mount.point == path) {
        Some(mount) if mount.kind == "devtmpfs" => Keeper::Kernel,
        Some(_) | None => Keeper::Container,
    }
}

impl Note {
    fn give_back(&self, root: &Root) -> Result<(), PathError> {
        for file in &self.files {
            file.give_back(root)?;
        }
        match &self.devices {
            Some(devices) => devices.give_back(root.dir(), OsStr::new(DEV), self.keeper),
            None => Ok(()),
        }
    }

    /// As [`Self::give_back`], in another process: what is here now need not be what the command has left.
    fn give_back_later(&self, root: &Root) -> Result<(), PathError> {
        if !self.container.is_surely(&Container::look(root)?) {
            tracing::warn!(
                "a build was killed in another container, or before this one was started again: \
                 /dev and the network's files stay as they are here"
            );
            return Ok(());
        }
        for file in &self.files {
            if file.is_other_text(root)? {
                // Who has written it cannot be known: a command that was killed with its build, or the runtime since then.
                tracing::warn!(path = %Path::new("/").join(file.path()).display(),
                    "putting back what was in a file before a build was killed");
            }
        }
        self.give_back(root)
    }

    /// Appears whole: half of a file would be another one.
    fn write(&self, work: &Dir) -> Result<(), PathError> {
        let (new, name) = (OsStr::new(NEW_NOTE), OsStr::new(NOTE));
        if work.metadata_of(new)?.is_some() {
            work.remove_file(new)?;
        }
        let text = serde_json::to_vec(self).expect("numbers and lists always serialize");
        let mut file = work.create_file(new, 0o600)?;
        file.write_all(&text).on("write", work.path_of(new))?;
        work.rename(new, work, name)
    }

    fn read(work: &Dir) -> Result<Option<Self>, PathError> {
        let name = OsStr::new(NOTE);
        if work.metadata_of(name)?.is_none() {
            return Ok(None);
        }
        let path = work.path_of(name);
        let mut text = Vec::new();
        let mut file = work.open_file(name)?;
        file.read_to_end(&mut text).on("read", &path)?;
        let note = serde_json::from_slice(&text).map_err(std::io::Error::from);
        note.map(Some).on("understand", path)
    }

    fn remove(work: &Dir) -> Result<(), PathError> {
        match work.remove_file(OsStr::new(NOTE)) {
            // The command has removed it with everything around it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
