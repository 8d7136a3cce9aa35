//! What a command asked to see, where nothing can be mounted: real files and directories, moved into the tree for the
//! time of the command.
//!
//! What is lent is a copy. Nothing can be read-only for root here, and nothing in memory; so what is to be read-only is
//! lent as well, and what the command writes to it is lost, which is told (`promises`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::fs::{Dir, PathContext, PathError, Root};

use super::super::Inner;
use super::super::agent::Relay;
use super::super::command::{Ended, Exit};
use super::super::placed::{ChangedMark, Thing, Wanted};
use super::super::rootfs::RootfsError;
use super::super::run::RunError;
use super::super::staging::{CopyDir, LentCopy};
use super::super::step_mount::{Access, FileTree, Shown, StepMount};
use super::promises::Promises;
use super::props::other_mount;

/// Mode of a directory in memory, as where there are mounts.
const MEMORY_MODE: u32 = 0o1777;

/// Name of what is made in a directory of its own.
const NAME: &str = "0";

/// What the mounts of one command come to. It must outlive what is put into the tree.
pub(super) struct Requested<'a> {
    wanted: Vec<Wanted>,
    promises: Promises,
    /// Directories that are moved: one can be in one place only.
    moved: Vec<PathBuf>,
    /// End before their directories do.
    relays: Vec<Relay>,
    copies: Vec<LentCopy<'a>>,
    dirs: Vec<CopyDir<'a>>,
}

impl<'a> Requested<'a> {
    /// Makes what `mounts` ask for, in directories of the work directory's. Their paths must lead there.
    pub(super) fn prepare(inner: &'a Inner, mounts: &[StepMount]) -> Result<Self, RunError> {
        let mut requested = Self {
            wanted: Vec::new(),
            promises: Promises::default(),
            moved: Vec::new(),
            relays: Vec::new(),
            copies: Vec::new(),
            dirs: Vec::new(),
        };
        let mut mounts: Vec<&StepMount> = mounts.iter().collect();
        // What is above something else comes first.
        mounts.sort_by_key(|mount| mount.target.iter().count());
        for mount in mounts {
            let thing = requested.thing(inner, mount)?;
            requested.promise(mount, &thing)?;
            requested.wanted.push(Wanted {
                path: mount.target.clone(),
                thing,
            });
        }
        Ok(requested)
    }

    /// Returns what is to be put into the tree, in this order.
    pub(super) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Returns how the command ended, once everything is back.
    ///
    /// # Errors
    /// If it left more in a limited directory than fits, and did not fail itself.
    pub(super) fn ended(&self, exit: Exit) -> Result<Ended, RunError> {
        match exit {
            Exit::Code(0) => Ok(Ended {
                exit,
                written: self.promises.broken()?,
            }),
            Exit::Code(_) | Exit::Signal(_) => Ok(exit.into()),
        }
    }

    fn promise(&mut self, mount: &StepMount, thing: &Thing) -> Result<(), PathError> {
        let (home, name) = match thing {
            Thing::Moved { home, name } => (home, name),
            Thing::Secret { is_changed, .. } => {
                if mount.is_read_only {
                    self.promises.is_unchanged(&mount.target, is_changed);
                }
                return Ok(());
            }
            Thing::Directory
            | Thing::FilePoint
            | Thing::File { .. }
            | Thing::Device(_)
            | Thing::Link(_) => return Ok(()),
        };
        let limit = match &mount.shows {
            Shown::Memory { size } => *size,
            // A socket is written to by whoever uses it.
            Shown::Agent { .. } => return Ok(()),
            Shown::Kept(_) | Shown::Lent(_) | Shown::Secret { .. } => None,
        };
        if let Some(limit) = limit {
            self.promises.is_limited(&mount.target, home, name, limit);
        }
        if mount.is_read_only {
            let promises = &mut self.promises;
            promises.is_read_only(&mount.target, home, name)?;
        }
        Ok(())
    }

    fn thing(&mut self, inner: &'a Inner, mount: &StepMount) -> Result<Thing, RunError> {
        Ok(match &mount.shows {
            Shown::Kept(tree) if mount.is_read_only => self.copy(inner, tree)?,
            Shown::Kept(tree) => {
                let path = tree.outside_path();
                let is_moved =
                    |moved: &PathBuf| moved.starts_with(&path) || path.starts_with(moved);
                if self.moved.iter().any(is_moved) {
                    return Err(RootfsError::Twice(mount.target.clone()).into());
                }
                self.moved.push(path.clone());
                moved(&path)?
            }
            Shown::Lent(tree) => self.copy(inner, tree)?,
            // The kernel's limit would be one of memory, and this is on a disk. The user's own is looked at in the end.
            Shown::Memory { size: _ } => {
                let dir = CopyDir::new(inner)?;
                let made = dir.open()?;
                made.dir().create_dir(NAME.as_ref(), 0o700)?;
                let access = Access {
                    uid: 0,
                    gid: 0,
                    mode: MEMORY_MODE,
                };
                give(&made, access)?;
                self.own(dir, made)
            }
            Shown::Secret { contents, access } => Thing::Secret {
                contents: contents.clone(),
                access: *access,
                is_changed: ChangedMark::default(),
            },
            Shown::Agent { agent, access } => {
                let dir = CopyDir::new(inner)?;
                let made = dir.open()?;
                self.relays
                    .push(Relay::start(agent.clone(), made.dir(), NAME)?);
                give(&made, *access)?;
                self.own(dir, made)
            }
        })
    }

    fn copy(&mut self, inner: &'a Inner, tree: &FileTree) -> Result<Thing, RunError> {
        let copy = LentCopy::make(inner, tree)?;
        let thing = moved(&copy.path()?)?;
        self.copies.push(copy);
        Ok(thing)
    }

    fn own(&mut self, dir: CopyDir<'a>, made: Root) -> Thing {
        self.dirs.push(dir);
        Thing::Moved {
            home: std::sync::Arc::new(made),
            name: OsString::from(NAME),
        }
    }
}

/// Fails if something would be in the place of what must stay in the root directory. `kept` are those paths, relative
/// to `root`, the container's mounts among them.
pub(super) fn check_places(
    root: &Root,
    requested: &Requested<'_>,
    kept: &[PathBuf],
) -> Result<(), RunError> {
    for wanted in requested.wanted() {
        let path = root.resolve(&wanted.path)?;
        let is_kept = kept.iter().any(|kept| kept.starts_with(&path));
        let is_file = matches!(wanted.thing, Thing::Secret { .. });
        if is_kept || (!is_file && other_mount(root, &wanted.path)?.is_some()) {
            return Err(RootfsError::OwnMount(wanted.path.clone()).into());
        }
    }
    Ok(())
}

fn give(made: &Root, access: Access) -> Result<(), PathError> {
    made.dir()
        .set_owner(NAME.as_ref(), access.uid, access.gid)?;
    made.dir().set_mode(NAME.as_ref(), access.mode)
}

/// Makes a thing of what lies at `path`, a path of ours.
fn moved(path: &Path) -> Result<Thing, PathError> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        let none = std::io::Error::from(std::io::ErrorKind::InvalidInput);
        return Err(none).on("move", path);
    };
    Ok(Thing::Moved {
        home: std::sync::Arc::new(Root::from_dir(Dir::open(above)?)),
        name: name.to_os_string(),
    })
}
