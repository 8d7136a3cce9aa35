//! The container's `/dev`: which names it has, what its devices and links are, and who may do what in it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, FileKind, Metadata, PathError, remove_tree};

use super::looks::Looks;

/// Directories below this are left alone: real ones have three levels.
const LEVELS_MAX: usize = 8;

/// Whose the entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Keeper {
    /// The runtime made them when the container began: what is new is the command's.
    Container,
    /// The kernel's own `devtmpfs`, as with `-v /dev:/dev`: devices of the machine come and go at any time.
    Kernel,
}

/// A directory of devices as it was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DeviceDir {
    dev: u64,
    looks: Looks,
    /// `None` for a mount of its own: other containers may use what is in `/dev/shm`, and in `/dev/pts` and `/dev/mqueue`
    /// the kernel decides.
    contents: Option<Contents>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    /// Everything in it, as bytes.
    names: BTreeSet<Vec<u8>>,
    entries: Vec<Entry>,
    dirs: Vec<(Vec<u8>, DeviceDir)>,
}

/// Something that can be made again.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: Vec<u8>,
    thing: Thing,
    looks: Looks,
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
    /// Reads the directory `name`; `None` where there is none.
    pub(super) fn read(parent: &Dir, name: &OsStr) -> Result<Option<Self>, PathError> {
        match parent.metadata_of(name)? {
            Some(found) if found.is_dir() => {
                Self::read_found(parent, name, &found, found.dev, LEVELS_MAX).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    fn read_found(
        parent: &Dir,
        name: &OsStr,
        found: &Metadata,
        own_dev: u64,
        levels: usize,
    ) -> Result<Self, PathError> {
        let contents = match found.dev == own_dev && levels > 0 {
            true => Some(Contents::read(
                &parent.open_dir(name)?,
                own_dev,
                levels - 1,
            )?),
            false => None,
        };
        Ok(Self {
            dev: found.dev,
            looks: Looks::from(found),
            contents,
        })
    }

    /// Makes the directory `name` what it was: without what is new, with devices, links and directories that are missing or
    /// others, and with the same owners and modes.
    pub(super) fn give_back(
        &self,
        parent: &Dir,
        name: &OsStr,
        keeper: Keeper,
    ) -> Result<(), PathError> {
        let found = parent.metadata_of(name)?;
        if !found.is_some_and(|found| found.is_dir() && found.dev == self.dev) {
            // Another mount is not the one that was there, and a mount that is gone cannot be made again.
            return Ok(());
        }
        // Before it is opened: that takes rights.
        self.looks.give_access(parent, name)?;
        let Some(contents) = &self.contents else {
            return Ok(());
        };
        contents.give_back(&parent.open_dir(name)?, self.dev, keeper)?;
        match keeper {
            Keeper::Container => self.looks.give_time(parent, name),
            Keeper::Kernel => Ok(()),
        }
    }

    /// Makes an empty directory where it was, if anything else is there now.
    fn make_again(&self, parent: &Dir, name: &OsStr) -> Result<(), PathError> {
        let is_dir = parent
            .metadata_of(name)?
            .is_some_and(|found| found.is_dir());
        if is_dir || self.contents.is_none() {
            return Ok(());
        }
        remove_tree(parent, name)?;
        parent.create_dir(name, 0o700)
    }
}

impl Contents {
    fn read(dir: &Dir, own_dev: u64, levels: usize) -> Result<Self, PathError> {
        let mut contents = Self {
            names: BTreeSet::new(),
            entries: Vec::new(),
            dirs: Vec::new(),
        };
        for name in dir.names()? {
            if let Some(found) = dir.metadata_of(&name)? {
                if found.is_dir() {
                    let below = DeviceDir::read_found(dir, &name, &found, own_dev, levels)?;
                    contents.dirs.push((name.as_bytes().to_vec(), below));
                } else if found.dev == own_dev
                    // A mount can be neither moved nor removed.
                    && let Some(thing) = Thing::read(dir, &name, found.kind)?
                {
                    contents.entries.push(Entry {
                        name: name.as_bytes().to_vec(),
                        thing,
                        looks: Looks::from(&found),
                    });
                }
            }
            contents.names.insert(name.into_vec());
        }
        Ok(contents)
    }

    fn give_back(&self, dir: &Dir, own_dev: u64, keeper: Keeper) -> Result<(), PathError> {
        match keeper {
            Keeper::Container => self.remove_new(dir, own_dev)?,
            Keeper::Kernel => {}
        }
        for entry in &self.entries {
            entry.give_back(dir, keeper)?;
        }
        for (name, below) in &self.dirs {
            let name = OsStr::from_bytes(name);
            if keeper == Keeper::Container {
                below.make_again(dir, name)?;
            }
            below.give_back(dir, name, keeper)?;
        }
        Ok(())
    }

    fn remove_new(&self, dir: &Dir, own_dev: u64) -> Result<(), PathError> {
        for name in dir.names()? {
            let found = dir.metadata_of(&name)?;
            let is_new = !self.names.contains(name.as_bytes());
            if is_new && found.is_some_and(|found| found.dev == own_dev) {
                remove_tree(dir, &name)?;
            }
        }
        Ok(())
    }
}

impl Entry {
    fn give_back(&self, dir: &Dir, keeper: Keeper) -> Result<(), PathError> {
        let name = OsStr::from_bytes(&self.name);
        let found = dir.metadata_of(name)?;
        let is_there = match found {
            Some(found) => Thing::read(dir, name, found.kind)?.as_ref() == Some(&self.thing),
            None => false,
        };
        if !is_there {
            // The kernel may have given the name to another device meanwhile.
            if found.is_some() && keeper == Keeper::Kernel {
                return Ok(());
            }
            remove_tree(dir, name)?;
            self.thing.make(dir, name)?;
        }
        match &self.thing {
            Thing::CharDevice(_) | Thing::BlockDevice(_) => self.looks.give_access(dir, name),
            // Nobody asks whose a link is.
            Thing::Link(_) => Ok(()),
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
