//! The container's `/dev`: which names it has, and what its devices and links are.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, FileKind, PathError, Timestamp, remove_tree};

/// A directory of devices as it was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DeviceDir {
    /// Everything in it, as bytes.
    names: BTreeSet<Vec<u8>>,
    entries: Vec<Entry>,
    /// Its own time: seconds since the epoch, and nanoseconds.
    mtime: (i64, u32),
}

/// Something that can be made again.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: Vec<u8>,
    thing: Thing,
    uid: u32,
    gid: u32,
    /// Unix mode bits, 0o7777 only.
    mode: u32,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Thing {
    /// With its number.
    CharDevice(u64),
    /// With its number.
    BlockDevice(u64),
    /// With its text.
    Link(Vec<u8>),
}

impl DeviceDir {
    /// Reads what is right in `dir`, but for what is mounted there: a mount can be neither moved nor removed.
    pub(super) fn read(dir: &Dir) -> Result<Self, PathError> {
        let metadata = dir.metadata()?;
        let own = metadata.dev;
        let (mut names, mut entries) = (BTreeSet::new(), Vec::new());
        for name in dir.names()? {
            if let Some(found) = dir.metadata_of(&name)?
                && found.dev == own
                && let Some(thing) = Thing::read(dir, &name, found.kind)?
            {
                entries.push(Entry {
                    name: name.as_bytes().to_vec(),
                    thing,
                    uid: found.uid,
                    gid: found.gid,
                    mode: found.mode,
                });
            }
            names.insert(name.into_vec());
        }
        let mtime = (metadata.mtime.seconds, metadata.mtime.nanos);
        Ok(Self {
            names,
            entries,
            mtime,
        })
    }

    /// Removes what is new in `dir`, and makes devices and links again that are missing or others.
    pub(super) fn give_back(&self, dir: &Dir) -> Result<(), PathError> {
        let own = dir.metadata()?.dev;
        for name in dir.names()? {
            let found = dir.metadata_of(&name)?;
            let is_new = !self.names.contains(name.as_bytes());
            if is_new && found.is_some_and(|found| found.dev == own) {
                remove_tree(dir, &name)?;
            }
        }
        for entry in &self.entries {
            entry.give_back(dir)?;
        }
        let (seconds, nanos) = self.mtime;
        let before = Timestamp { seconds, nanos };
        match dir.metadata()?.mtime == before {
            true => Ok(()),
            false => dir.set_own_mtime(before),
        }
    }
}

impl Entry {
    fn give_back(&self, dir: &Dir) -> Result<(), PathError> {
        let name = OsStr::from_bytes(&self.name);
        let found = dir.metadata_of(name)?;
        let is_there = match found {
            Some(found) => Thing::read(dir, name, found.kind)?.as_ref() == Some(&self.thing),
            None => false,
        };
        if !is_there {
            remove_tree(dir, name)?;
            self.thing.make(dir, name)?;
        }
        match (&self.thing, dir.metadata_of(name)?) {
            (Thing::CharDevice(_) | Thing::BlockDevice(_), Some(found)) => {
                let has_new_owner = (found.uid, found.gid) != (self.uid, self.gid);
                if has_new_owner {
                    dir.set_owner(name, self.uid, self.gid)?;
                }
                if has_new_owner || found.mode != self.mode {
                    dir.set_mode(name, self.mode)?;
                }
                Ok(())
            }
            // Nobody asks whose a link is.
            (Thing::Link(_), Some(_)) | (_, None) => Ok(()),
        }
    }
}

impl Thing {
    /// Returns what has this name; `None` for what cannot be made again.
    fn read(dir: &Dir, name: &OsStr, kind: FileKind) -> Result<Option<Self>, PathError> {
        Ok(match kind {
            FileKind::CharDevice(number) => Some(Self::CharDevice(number)),
            FileKind::BlockDevice(number) => Some(Self::BlockDevice(number)),
            FileKind::Symlink => Some(Self::Link(dir.read_link(name)?.into_vec())),
            FileKind::File | FileKind::Directory | FileKind::Fifo | FileKind::Socket => None,
        })
    }

    fn make(&self, dir: &Dir, name: &OsStr) -> Result<(), PathError> {
        // Its mode is set afterwards.
        const MODE: u32 = 0o600;
        match self {
            Self::CharDevice(number) => dir.create_node(name, FileKind::CharDevice(*number), MODE),
            Self::BlockDevice(number) => {
                dir.create_node(name, FileKind::BlockDevice(*number), MODE)
            }
            Self::Link(text) => dir.create_symlink(&OsString::from_vec(text.clone()), name),
        }
    }
}
