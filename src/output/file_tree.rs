//! The files of an image in a directory, layer by layer. This module knows layers and files, not where
//! the directory is seen by others.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use crate::fs::{
    Descent, Dir, FileKind, Halting, Ledger, PathContext, PathError, Rights, Root, Timestamp,
    remove_tree,
};
use crate::image::DiffId;
use crate::image::decompress::{Compression, LayerDecompressor};
use crate::image::unpack::{Form, UnpackOptions, unpack};

/// A directory for one platform.
const PART_MODE: u32 = 0o755;

/// Names of devices that are shown: enough to recognise what it is about.
const SHOWN_MAX: usize = 5;

/// Whose the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// The user's, all of them, as those of BuildKit's local exporter. Modes are the image's; what a user
    /// cannot make, devices and capabilities of programs, is left out, for root too.
    User,
    /// Those of the image. Takes the rights of root.
    Image,
    /// Those of the image, on record only: for the time of this process. No rights are needed.
    Recorded,
}

/// A directory that layers are unpacked into.
#[derive(Debug)]
pub struct FileTree {
    root: Root,
    owners: Owners,
    halt: CancellationToken,
}

/// A directory whose mode and time must wait until nothing in it is changed any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LateDir {
    /// Relative to the root.
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    /// `None` where it is right already.
    pub(super) mtime: Option<Timestamp>,
}

impl FileTree {
    /// Begins with an empty directory of ours. It is not filled any further once `halt` is wished.
    pub(super) fn new(dir: &Path, owners: Owners, halt: &CancellationToken) -> Result<Self> {
        let root = Root::open(dir)?;
        let root = match owners {
            Owners::Image => root,
            Owners::User | Owners::Recorded => {
                root.with_ledger(Arc::new(Ledger::new(Rights::PlainUser)))
            }
        };
        Ok(Self::of(root, owners, halt))
    }

    fn of(root: Root, owners: Owners, halt: &CancellationToken) -> Self {
        let halt = halt.clone();
        Self { root, owners, halt }
    }

    /// Has a directory in it filled with the files of an image of its own.
    pub(super) fn fill_part(
        &self,
        name: &OsStr,
        fill: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        self.root.dir().create_dir(name, PART_MODE)?;
        let dir = self.root.dir().open_dir(name)?;
        let part = Self::of(Root::from_dir(dir), self.owners, &self.halt);
        fill(&part)?;
        // Whatever an image says of its root directory: this is none.
        let dir = part.root.dir();
        dir.set_own_mode(PART_MODE)?;
        dir.set_own_owner(0, 0)?;
        dir.set_own_mtime(Timestamp::from_seconds(0))?;
        Ok(())
    }

    /// Has another tree filled, and moves its files here, where there may be none of their names.
    pub(super) fn add_another(&self, fill: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let beside = self.root.path().parent();
        let beside = beside.context("the tree has no parent")?;
        let mut builder = tempfile::Builder::new();
        let temp = builder.prefix(".sawagani-").tempdir_in(beside);
        let temp = temp.on("create a directory in", beside)?;
        let root = Root::open(temp.path())?;
        let root = match self.root.dir().ledger() {
            Some(ledger) => root.with_ledger(Arc::clone(ledger)),
            None => root,
        };
        let other = Self::of(root, self.owners, &self.halt);
        let moved =
            fill(&other).and_then(|()| move_all(other.root.dir(), self.root.dir(), Path::new("/")));
        moved.and(other.remove())
    }

    /// Returns the files, as the image has them.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Applies a layer on top of the files, and fails unless its content is what the image's config says.
    pub fn add_layer(&self, source: impl Read + Send + 'static, expected: &DiffId) -> Result<()> {
        let (compression, source) = Compression::detect(source)?;
        let source = Halting::new(source, &self.halt);
        let mut tar = LayerDecompressor::spawn(source, compression)?;
        let options = UnpackOptions {
            form: Form::Tree,
            owner: match self.owners {
                // On record: they are really the user's already.
                Owners::User => Some((0, 0)),
                Owners::Image | Owners::Recorded => None,
            },
        };
        unpack(Halting::new(&mut tar, &self.halt), &self.root, &options)?;
        let found = tar.finish()?;
        if found != *expected {
            bail!("the layer's content is {found}, its config says {expected}");
        }
        Ok(())
    }

    /// Makes real of what is on record what a user can: modes. Those of some directories have to wait, or
    /// nothing could be moved out of them.
    pub(super) fn settle(&self) -> Result<Vec<LateDir>> {
        match self.owners {
            Owners::Image | Owners::Recorded => Ok(Vec::new()),
            Owners::User => {
                let real = Dir::open(self.root.path())?;
                let settled = Settling::new(self.root.dir(), &real)?.run()?;
                if settled.devices > 0 {
                    let (count, first) = (settled.devices, &settled.first_devices);
                    tracing::warn!(
                        count,
                        ?first,
                        "left out devices, which are not made for users"
                    );
                }
                Ok(settled.late)
            }
        }
    }

    /// Removes all files.
    pub(super) fn remove(self) -> Result<()> {
        let dir = self.root.dir();
        for name in dir.names()? {
            remove_tree(dir, &name)?;
        }
        Ok(())
    }
}

/// Moves everything from one directory into another of the same tree's file system. Directories that both have become one,
/// which stays what it was.
fn move_all(from: &Dir, to: &Dir, path: &Path) -> Result<()> {
    for name in from.names()? {
        let path = path.join(&name);
        match (from.metadata_of(&name)?, to.metadata_of(&name)?) {
            (Some(_), None) => from.rename(&name, to, &name)?,
            (Some(new), Some(old)) if new.is_dir() && old.is_dir() => {
                let below = to.open_dir(&name)?;
                move_all(&from.open_dir(&name)?, &below, &path)?;
                below.set_own_mtime(old.mtime)?;
            }
            (Some(_), Some(_)) => bail!(
                "another platform has `{}` too, and with platform-split=false there can be only one",
                path.display()
            ),
            (None, _) => {}
        }
    }
    Ok(())
}

/// A walk through the tree, as it is on record and as it really is.
struct Settling {
    recorded: Descent,
    real: Descent,
    /// The names that are still to be looked at in each directory from the root to here.
    levels: Vec<Level>,
    path: PathBuf,
    late: Vec<LateDir>,
    devices: u64,
    first_devices: Vec<PathBuf>,
}

struct Level {
    names: std::vec::IntoIter<OsString>,
    mtime: Timestamp,
    has_changed: bool,
}

impl Settling {
    fn new(recorded: &Dir, real: &Dir) -> Result<Self, PathError> {
        Ok(Self {
            recorded: Descent::new(recorded)?,
            real: Descent::new(real)?,
            levels: vec![Level::of(real)?],
            path: PathBuf::new(),
            late: Vec::new(),
            devices: 0,
            first_devices: Vec::new(),
        })
    }

    fn run(mut self) -> Result<Self, PathError> {
        while let Some(level) = self.levels.last_mut() {
            match level.names.next() {
                Some(name) => self.look_at(name)?,
                None => self.leave()?,
            }
        }
        Ok(self)
    }

    fn look_at(&mut self, name: OsString) -> Result<(), PathError> {
        let (recorded, real) = (self.recorded.dir(), self.real.dir());
        let (Some(truth), Some(found)) = (recorded.metadata_of(&name)?, real.metadata_of(&name)?)
        else {
            return Ok(());
        };
        match truth.kind {
            FileKind::Directory => {
                self.path.push(&name);
                if truth.mode != found.mode {
                    self.late.push(LateDir {
                        path: self.path.clone(),
                        mode: truth.mode,
                        mtime: None,
                    });
                }
                self.recorded.enter(&name)?;
                self.real.enter(&name)?;
                self.levels.push(Level::of(self.real.dir())?);
            }
            FileKind::CharDevice(_) | FileKind::BlockDevice(_) => {
                real.remove_file(&name)?;
                self.devices += 1;
                if self.first_devices.len() < SHOWN_MAX {
                    self.first_devices.push(self.path.join(&name));
                }
                if let Some(level) = self.levels.last_mut() {
                    level.has_changed = true;
                }
            }
            FileKind::File | FileKind::Fifo | FileKind::Socket => {
                if truth.mode != found.mode {
                    real.set_mode(&name, truth.mode)?;
                }
            }
            FileKind::Symlink => {}
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), PathError> {
        if let Some(level) = self.levels.pop()
            && level.has_changed
        {
            self.real.dir().set_own_mtime(level.mtime)?;
        }
        self.path.pop();
        self.recorded.leave()?;
        self.real.leave()
    }
}

impl Level {
    fn of(dir: &Dir) -> Result<Self, PathError> {
        Ok(Self {
            names: dir.names()?.into_iter(),
            mtime: dir.metadata()?.mtime,
            has_changed: false,
        })
    }
}
