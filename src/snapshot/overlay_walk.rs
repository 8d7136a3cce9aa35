//! Walks the upper directory of an overlay in the order of a layer's tar, with what lies below beside each entry.
//!
//! Only the upper directory is listed, and of the lower tree only what stands where the upper has something; lower
//! directories are listed where the upper replaces them. What counts as changed is decided elsewhere.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::change::DiffError;
use super::excluded::Excluded;
use crate::fs::{Descent, Dir, DirEntry, FileKind, Metadata, Root};
use crate::image::layer_entry::WHITEOUT_PREFIX;
use crate::image::overlay::OverlayXattrs;

/// What the walk found at its path.
#[derive(Debug)]
pub(super) enum Found {
    /// The step removed what the lower tree has here.
    Removed,
    /// The upper directory has an entry here. The walk goes into directories next.
    Present {
        upper: Metadata,
        /// What the lower tree has here, even if it is of another kind.
        lower: Option<Metadata>,
    },
}

/// A walk in progress.
pub(super) struct OverlayWalk<'a> {
    excluded: &'a Excluded,
    xattrs: OverlayXattrs,
    upper: Descent,
    lower: Descent,
    levels: Vec<Level>,
    /// The path of what was found last; of the directory where the walk stands in between.
    path: PathBuf,
    /// Whether `path` ends with a name in the current directory.
    has_name: bool,
    /// The directory that was found last: to be entered before anything else.
    entering: Option<Below>,
}

/// A directory on the way, with what is left to do in it.
struct Level {
    below: Below,
    removed: std::vec::IntoIter<OsString>,
    present: std::vec::IntoIter<OsString>,
}

/// How the lower tree shows through a directory of the upper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    /// A lower directory shows wherever the upper has no entry.
    Merged,
    /// There is a lower directory, and nothing of it shows: the upper one or one above is opaque.
    Replaced,
    /// There is no lower directory.
    Nothing,
}

impl<'a> OverlayWalk<'a> {
    pub(super) fn new(
        upper: &Root,
        lower: &Root,
        xattrs: OverlayXattrs,
        excluded: &'a Excluded,
    ) -> Result<Self, DiffError> {
        let mut walk = Self {
            excluded,
            xattrs,
            upper: Descent::new(upper.dir())?,
            lower: Descent::new(lower.dir())?,
            levels: Vec::new(),
            path: PathBuf::new(),
            has_name: false,
            entering: None,
        };
        // A step cannot replace its root: the root's own marks say nothing.
        walk.list(Below::Merged)?;
        Ok(walk)
    }

    /// Moves to the next entry. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Found>, DiffError> {
        self.enter_found_directory()?;
        loop {
            if self.has_name {
                self.path.pop();
                self.has_name = false;
            }
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            if let Some(name) = level.removed.next() {
                if self.take_name(&name) {
                    return Ok(Some(Found::Removed));
                }
            } else if let Some(name) = level.present.next() {
                if self.take_name(&name) {
                    return self.present().map(Some);
                }
            } else {
                self.leave()?;
            }
        }
    }

    /// Returns the path of what was found last, relative to the root.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the last component of the path.
    pub(super) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Returns how many directories lie above what was found last, without the root.
    pub(super) fn depth(&self) -> usize {
        self.upper.depth()
    }

    /// Returns the directory of the upper in which the last entry was found.
    pub(super) fn upper_dir(&self) -> &Dir {
        self.upper.dir()
    }

    /// Returns the directory of the lower tree in which the last entry has its counterpart, if it has one.
    pub(super) fn lower_dir(&self) -> &Dir {
        self.lower.dir()
    }

    /// Puts `name` at the end of the path, unless that is excluded.
    fn take_name(&mut self, name: &OsStr) -> bool {
        self.path.push(name);
        self.has_name = true;
        !self.excluded.holds(&self.path)
    }

    fn present(&mut self) -> Result<Found, DiffError> {
        let name = self.name();
        if name.as_bytes().starts_with(WHITEOUT_PREFIX.as_bytes()) {
            let path = self.path.clone();
            return Err(DiffError::ReservedName { path });
        }
        let Some(upper) = self.upper.dir().metadata_of(name)? else {
            return Err(vanished(self.upper.dir(), name));
        };
        let below = self.levels[self.levels.len() - 1].below;
        let lower = match below {
            Below::Merged | Below::Replaced => visible(self.lower.dir(), name)?,
            Below::Nothing => None,
        };
        if upper.is_dir() {
            let has_lower_dir = lower.is_some_and(|lower| lower.is_dir());
            self.entering = Some(if !has_lower_dir {
                Below::Nothing
            } else if below == Below::Replaced || self.is_opaque()? {
                Below::Replaced
            } else {
                Below::Merged
            });
        }
        Ok(Found::Present { upper, lower })
    }

    fn is_opaque(&self) -> Result<bool, DiffError> {
        let key = self.xattrs.opaque_key();
        let mark = self.upper.dir().xattr(self.name(), key)?;
        Ok(mark.is_some_and(|mark| mark == self.xattrs.opaque_value()))
    }

    fn enter_found_directory(&mut self) -> Result<(), DiffError> {
        let Some(below) = self.entering.take() else {
            return Ok(());
        };
        let name = self.path.file_name().unwrap_or_default();
        self.upper.enter(name)?;
        match below {
            Below::Merged | Below::Replaced => self.lower.enter(name)?,
            Below::Nothing => {}
        }
        self.has_name = false;
        self.list(below)
    }

    fn leave(&mut self) -> Result<(), DiffError> {
        // The root's level is the last: it was never entered.
        if let Some(level) = self.levels.pop()
            && !self.levels.is_empty()
        {
            self.upper.leave()?;
            match level.below {
                Below::Merged | Below::Replaced => self.lower.leave()?,
                Below::Nothing => {}
            }
            self.path.pop();
        }
        Ok(())
    }

    /// Lists the directory just entered and tells what is removed from what is present.
    fn list(&mut self, below: Below) -> Result<(), DiffError> {
        let mut present = Vec::new();
        let mut absent = Vec::new();
        for entry in self.upper.dir().entries()? {
            if is_absent(self.upper.dir(), &entry)? {
                absent.push(entry.name);
            } else {
                present.push(entry.name);
            }
        }
        let candidates = match below {
            Below::Merged => absent,
            Below::Replaced => {
                let mut names = self.lower.dir().names()?;
                names.retain(|name| present.binary_search(name).is_err());
                names
            }
            Below::Nothing => Vec::new(),
        };
        let mut removed = Vec::new();
        for name in candidates {
            if visible(self.lower.dir(), &name)?.is_some() {
                removed.push(name);
            }
        }
        self.levels.push(Level {
            below,
            removed: removed.into_iter(),
            present: present.into_iter(),
        });
        Ok(())
    }
}

/// Says whether an entry of the upper means that nothing is there: a whiteout, or a socket. No layer can hold a
/// socket, and what it took the place of is gone all the same.
fn is_absent(dir: &Dir, entry: &DirEntry) -> Result<bool, DiffError> {
    if !entry.may_be_char_device && !entry.may_be_socket {
        return Ok(false);
    }
    let metadata = dir.metadata_of(&entry.name)?;
    Ok(metadata.is_some_and(|metadata| !is_visible(&metadata)))
}

/// Returns the metadata of `name` unless a layer says of it that it is not there.
fn visible(dir: &Dir, name: &OsStr) -> Result<Option<Metadata>, DiffError> {
    Ok(dir.metadata_of(name)?.filter(is_visible))
}

/// Says whether a layer has a word for this: not for a socket, and a device 0:0 means that nothing is there.
pub(super) fn is_visible(metadata: &Metadata) -> bool {
    metadata.kind != FileKind::Socket && !metadata.is_overlay_whiteout()
}

/// Makes the error of a name that was in `dir` a moment ago.
pub(super) fn vanished(dir: &Dir, name: &OsStr) -> DiffError {
    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
    DiffError::Read(crate::fs::PathError::new("stat", dir.path_of(name), source))
}
