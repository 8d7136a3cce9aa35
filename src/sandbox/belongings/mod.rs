//! What of the container's own stays in its place in mode `inplace`, and a root command could change for good: the
//! network's files, which the runtime has mounted, and the entries of `/dev`.
//!
//! With mounts, a command gets copies of them that go with it. Here they are noted before it, and made afterwards what
//! they were: a resolver that a RUN writes down must not be the one that the image is pushed with. The note is in the work
//! directory, for whoever comes after a build that was killed.

mod device_dir;
mod network_file;

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, PathContext, PathError, Root};

use self::device_dir::DeviceDir;
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

#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    files: Vec<NetworkFile>,
    /// `None` where it is no mount: then it is the stage's, as everything else.
    devices: Option<DeviceDir>,
}

impl Belongings {
    /// Takes note of what is among `kept`, paths in `root` that stay while a stage is there, in the directory `work`.
    pub(super) fn take_note(root: &Root, kept: &[PathBuf], work: &Dir) -> Result<Self, PathError> {
        let is_kept = |path: &str| kept.iter().any(|kept| kept == Path::new(path));
        let mut note = Note::default();
        for path in NETWORK_FILES.into_iter().filter(|path| is_kept(path)) {
            note.files.extend(NetworkFile::read(root, Path::new(path))?);
        }
        if is_kept(DEV) {
            let dir = root.open_real_dir(Path::new(DEV))?;
            note.devices = dir.map(|dir| DeviceDir::read(&dir)).transpose()?;
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
        Some(note) => note.give_back(root).and_then(|()| Note::remove(work)),
        None => Ok(()),
    });
    if let Err(error) = outcome {
        tracing::warn!(%error, source = %error.source, "this container is not as it was");
    }
}

impl Note {
    fn give_back(&self, root: &Root) -> Result<(), PathError> {
        for file in &self.files {
            file.give_back(root)?;
        }
        match (&self.devices, root.open_real_dir(Path::new(DEV))?) {
            (Some(devices), Some(dir)) => devices.give_back(&dir),
            (None, _) | (_, None) => Ok(()),
        }
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
