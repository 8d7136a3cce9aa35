//! The files of an image in a directory, layer by layer. This module knows layers and files, not where
//! the directory is seen by others.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::fs::{Descent, Dir, FileKind, Ledger, PathError, Rights, Root, Timestamp, remove_tree};
use crate::image::DiffId;
use crate::image::decompress::{Compression, LayerDecompressor};
use crate::image::unpack::{Form, UnpackOptions, unpack};

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
    /// Begins with an empty directory of ours.
    pub(super) fn new(dir: &Path, owners: Owners) -> Result<Self> {
        let root = Root::open(dir)?;
        let root = match owners {
            Owners::Image => root,
            Owners::User | Owners::Recorded => {
                root.with_ledger(Arc::new(Ledger::new(Rights::PlainUser)))
            }
        };
        Ok(Self { root, owners })
    }

    /// Returns the files, as the image has them.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Applies a layer on top of the files, and fails unless its content is what the image's config says.
    pub fn add_layer(&self, source: impl Read + Send + 'static, expected: &DiffId) -> Result<()> {
        let (compression, source) = Compression::detect(source)?;
        let mut tar = LayerDecompressor::spawn(source, compression)?;
        let options = UnpackOptions {
            form: Form::Tree,
            owner: match self.owners {
                // On record: they are really the user's already.
                Owners::User => Some((0, 0)),
                Owners::Image | Owners::Recorded => None,
            },
        };
        unpack(&mut tar, &self.root, &options)?;
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
