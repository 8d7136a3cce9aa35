//! The directories that entries go into: opened once, kept open while the archive stays below them,
//! made where the archive has no entry for them.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Component;
use std::rc::Rc;

use rustix::io::Errno;

use super::entry_path::{join, to_path};
use super::metadata::{Attributes, apply_plain};
use super::{EntryError, Form, Unpacker};
use crate::fs::{Dir, PathError, Timestamp};

/// Open directories kept: archives are written depth first, so what the last entry lay in is nearly
/// always the parent of the next. More would only cost descriptors in very deep trees.
const OPEN_MAX: usize = 24;

/// Mode of a directory that no entry describes, as in containerd and go-archive.
pub(super) const IMPLIED_MODE: u32 = 0o755;

/// A directory of the tree.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) dir: Dir,
    /// Relative to the root, without symbolic links; empty for the root.
    pub(super) path: Vec<u8>,
}

/// The open directories by the path that entries use, each a parent of the next.
#[derive(Debug, Default)]
pub(super) struct Parents {
    open: Vec<(Box<[u8]>, Rc<Parent>)>,
}

impl Parents {
    /// Returns the open directory nearest above or at `path`, with the length of its own path.
    fn nearest(&mut self, path: &[u8]) -> Option<(usize, Rc<Parent>)> {
        while let Some((key, parent)) = self.open.last() {
            let is_above = path.starts_with(key)
                && (path.len() == key.len() || path.get(key.len()) == Some(&b'/'));
            if is_above {
                return Some((key.len(), Rc::clone(parent)));
            }
            self.open.pop();
        }
        None
    }

    fn push(&mut self, key: &[u8], parent: Rc<Parent>) {
        if self.open.len() == OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push((key.into(), parent));
    }

    /// Closes all: a directory or link was removed, and a path may lead elsewhere now.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

impl Unpacker<'_> {
    /// Opens the directory `path`, a cleaned path. Symbolic links on the way lead inside the root;
    /// what is missing is made, and what is neither directory nor link makes room.
    pub(super) fn open_parent(&mut self, path: &[u8]) -> Result<Rc<Parent>, EntryError> {
        let (mut end, mut current) = match self.parents.nearest(path) {
            Some((length, parent)) => (length, parent),
            None => (0, Rc::clone(&self.top)),
        };
        while end < path.len() {
            let start = if end == 0 { 0 } else { end + 1 };
            let length = path[start..].iter().position(|byte| *byte == b'/');
            end = length.map_or(path.len(), |length| start + length);
            current = self.step(&current, OsStr::from_bytes(&path[start..end]))?;
            self.parents.push(&path[..end], Rc::clone(&current));
        }
        Ok(current)
    }

    /// Remembers a directory that an entry has just made or changed: what follows goes there.
    pub(super) fn enter(&mut self, path: &[u8], parent: Parent) {
        match self.parents.nearest(path) {
            Some((length, _)) if length == path.len() => {}
            Some(_) | None => self.parents.push(path, Rc::new(parent)),
        }
    }

    /// Keeps the time of a directory that was there before, which new names in it would change.
    pub(super) fn keep_time_of(&mut self, parent: &Parent) -> Result<(), PathError> {
        match self.options.form {
            // Everything there is of this layer, which says what its time is.
            Form::OverlayLayer(_) => {}
            Form::Tree | Form::Archive => {
                if !self.times.contains(&parent.path) {
                    self.times.set(&parent.path, parent.dir.metadata()?.mtime);
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, current: &Rc<Parent>, name: &OsStr) -> Result<Rc<Parent>, EntryError> {
        let path = join(&current.path, name);
        match current.dir.open_dir(name) {
            Ok(dir) => {
                let parent = Parent { dir, path };
                self.keep_time_of(&parent)?;
                Ok(Rc::new(parent))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_implied_dir(current, name, path).map(Rc::new)
            }
            Err(error) if is_no_dir(&error) => {
                let found = current.dir.metadata_of(name)?;
                if found.is_some_and(|metadata| metadata.is_symlink()) {
                    self.follow(&path)
                } else {
                    self.make_implied_dir(current, name, path).map(Rc::new)
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the directory that the symbolic link `path` leads to, inside the root.
    fn follow(&mut self, path: &[u8]) -> Result<Rc<Parent>, EntryError> {
        let resolved = self.root.resolve(to_path(path))?;
        let mut current = Rc::clone(&self.top);
        for component in resolved.components() {
            if let Component::Normal(name) = component {
                current = self.step(&current, name)?;
            }
        }
        Ok(current)
    }

    fn make_implied_dir(
        &mut self,
        current: &Parent,
        name: &OsStr,
        path: Vec<u8>,
    ) -> Result<Parent, EntryError> {
        let create = |dir: &Dir, name: &OsStr| dir.create_dir(name, IMPLIED_MODE);
        let was_hiding = self.create(current, name, &path, create)?.was_hiding;
        let parent = Parent {
            dir: current.dir.open_dir(name)?,
            path,
        };
        apply_plain(&parent.dir, (0, 0), IMPLIED_MODE)?;
        // Not the time of unpacking: what is built on it must not differ from run to run.
        self.times.set(&parent.path, Timestamp::EPOCH);
        self.links.forget(&parent.path);
        match self.options.form {
            Form::OverlayLayer(xattrs) if was_hiding => {
                let (key, value) = (xattrs.opaque_key(), xattrs.opaque_value());
                Attributes::set_xattr(&parent.dir, key, value)?;
            }
            Form::OverlayLayer(_) => {
                let path = to_path(&parent.path).to_path_buf();
                self.unpacked.implied_dirs.insert(path);
            }
            Form::Tree | Form::Archive => {}
        }
        Ok(parent)
    }
}

/// Says whether opening failed because a link or another file is there.
fn is_no_dir(error: &PathError) -> bool {
    error.kind() == ErrorKind::NotADirectory
        || error.source.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}
