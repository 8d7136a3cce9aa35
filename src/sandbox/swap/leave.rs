//! The way out: what is in the root directory, and not kept, goes back to the tree with all that the
//! command did.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::fs::{Dir, PathError};

use super::SwapError;
use super::enter::Inside;
use super::hands::{create_dir, remove_all, remove_dir, rename};
use super::journal::{Journal, Phase};
use super::kept::Role;
use super::looks::Looks;
use super::recover::put_back;

/// What is known of a tree that has left the root directory.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Left {
    /// Entries that only the swap has renamed: their change time is new, and the command has not touched
    /// them (what is below a directory, it may have). Relative to the tree.
    pub(in crate::sandbox) untouched: BTreeSet<PathBuf>,
}

/// Entries of a merged directory that is no directory in the tree.
struct Detour {
    path: PathBuf,
    names: Vec<OsString>,
}

/// What the tree has where the root directory has a merged one.
enum Place {
    Directory(Dir),
    /// Nothing, and nothing is needed.
    Nothing,
    /// A link or a file, there or on the way.
    Hidden,
}

impl Inside<'_> {
    /// Moves everything back. `kept_now` is what must be kept as of now: mount points may have moved
    /// with a directory that the command renamed.
    ///
    /// After an error the container is what it was before, and the tree is lost.
    pub(in crate::sandbox) fn leave(mut self, kept_now: &[PathBuf]) -> Result<Left, SwapError> {
        let outcome = self.take_out(kept_now).and_then(|left| {
            self.journal.phase = Phase::Returning;
            self.journal.write(&self.swap.aside)?;
            put_back(&self.swap.root, &self.swap.aside, &self.journal)?;
            Ok(left)
        });
        outcome.map_err(|error| self.swap.undo(error, kept_now))
    }

    fn take_out(&mut self, kept_now: &[PathBuf]) -> Result<Left, SwapError> {
        if !Journal::is_in(&self.swap.aside)? {
            let path = self.swap.aside.path().to_path_buf();
            return Err(SwapError::Lost { path });
        }
        check_mounts(&self.journal, kept_now)?;
        let seen = self.looks_now()?;
        let left = self.untouched()?;
        let mut detours = Vec::new();
        for number in 0..seen.len() {
            self.empty(number, &seen, &mut detours)?;
        }
        for (dir, seen) in self.journal.plan.dirs.iter().zip(&seen) {
            if let Some(looks) = seen
                && let Some(dir) = self.tree.open_real_dir(&dir.path.0)?
            {
                looks.give_to(&dir)?;
            }
        }
        for detour in detours {
            self.take_detour(&detour)?;
        }
        Ok(left)
    }

    /// Returns how the merged directories look before anything is moved out of them; `None` for those
    /// that the command has removed or replaced.
    fn looks_now(&self) -> Result<Vec<Option<Looks>>, PathError> {
        let dirs = self.journal.plan.dirs.iter();
        dirs.map(|dir| match self.swap.root.open_real_dir(&dir.path.0)? {
            Some(dir) => Looks::of(&dir).map(Some),
            None => Ok(None),
        })
        .collect()
    }

    fn untouched(&self) -> Result<Left, PathError> {
        let mut left = Left::default();
        for (path, (ino, ctime)) in &self.moved {
            let parent = path.parent().unwrap_or(Path::new(""));
            if let Some(dir) = self.swap.root.open_real_dir(parent)?
                && let Some(found) = dir.metadata_of(path.file_name().unwrap_or_default())?
                && (found.ino, found.ctime) == (*ino, *ctime)
            {
                left.untouched.insert(path.clone());
            }
        }
        Ok(left)
    }

    /// Moves the entries of one merged directory out.
    fn empty(
        &self,
        number: usize,
        seen: &[Option<Looks>],
        detours: &mut Vec<Detour>,
    ) -> Result<(), SwapError> {
        let path = &self.journal.plan.dirs[number].path.0;
        let (Some(from), Some(looks)) = (self.swap.root.open_real_dir(path)?, &seen[number]) else {
            // Gone, or moved as an entry of the directory above.
            return Ok(());
        };
        let names = self.names_to_move(&from, path)?;
        let has_changed = !names.is_empty() || !looks.is_like(&self.shown[number]);
        match self.place(path, has_changed)? {
            Place::Nothing => {}
            Place::Hidden if names.is_empty() => {}
            Place::Hidden => detours.push(Detour {
                path: path.clone(),
                names,
            }),
            Place::Directory(to) => {
                self.remove_merged_below(&from, path, &to)?;
                for name in names {
                    // All that could be in the way is a merged directory that has been replaced.
                    if self.kept.role(&path.join(&name)) == Role::Merged {
                        remove_all(&to, &name)?;
                    }
                    rename(&from, &name, &to, &name)?;
                }
            }
        }
        Ok(())
    }

    fn names_to_move(&self, from: &Dir, path: &Path) -> Result<Vec<OsString>, PathError> {
        let mut names = Vec::new();
        for name in from.names()? {
            let moves = match self.kept.role(&path.join(&name)) {
                Role::Kept => false,
                Role::Free => true,
                Role::Merged => !is_dir(from, &name)?,
            };
            if moves {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes from the tree the merged directories in `path` that the command has removed.
    fn remove_merged_below(&self, from: &Dir, path: &Path, to: &Dir) -> Result<(), PathError> {
        let is_below = |merged: &&Path| merged.parent() == Some(path);
        for merged in self.kept.merged().filter(is_below) {
            let name = merged.file_name().unwrap_or_default();
            // A link that was hidden all the time has not been removed.
            if from.metadata_of(name)?.is_none() && is_dir(to, name)? {
                remove_all(to, name)?;
            }
        }
        Ok(())
    }

    /// Finds the tree's directory at `path`; where it is missing and needed, it and those above are
    /// made, and get their looks later.
    fn place(&self, path: &Path, is_needed: bool) -> Result<Place, PathError> {
        let mut dir = self.tree.dir().try_clone()?;
        for name in path.iter() {
            dir = match dir.metadata_of(name)? {
                Some(found) if found.is_dir() => dir.open_dir(name)?,
                Some(_) => return Ok(Place::Hidden),
                None if is_needed => create_dir(&dir, name)?,
                None => return Ok(Place::Nothing),
            };
        }
        Ok(Place::Directory(dir))
    }

    /// Moves entries to where the tree's link leads.
    fn take_detour(&self, detour: &Detour) -> Result<(), SwapError> {
        let Some(from) = self.swap.root.open_real_dir(&detour.path)? else {
            return Ok(());
        };
        let no_place = |found| SwapError::NoPlace {
            path: Path::new("/").join(&detour.path),
            found,
        };
        let leads_to_dir = self.tree.metadata(&detour.path)?;
        if !leads_to_dir.is_some_and(|found| found.is_dir()) {
            return Err(no_place(
                "a file there, or a link that leads to no directory",
            ));
        }
        let to = self.tree.open_dir(&detour.path)?;
        for name in &detour.names {
            join(&from, name, &to, &detour.path)?;
        }
        Ok(())
    }
}

/// Moves `name` into `to`; there, a file is replaced, and the entries of a directory are joined.
fn join(from: &Dir, name: &OsStr, to: &Dir, path: &Path) -> Result<(), SwapError> {
    let path = path.join(name);
    let Some(found) = to.metadata_of(name)? else {
        return Ok(rename(from, name, to, name)?);
    };
    match (is_dir(from, name)?, found.is_dir()) {
        (false, false) => Ok(rename(from, name, to, name)?),
        (true, true) => {
            let (below, target) = (from.open_dir(name)?, to.open_dir(name)?);
            for name in below.names()? {
                join(&below, &name, &target, &path)?;
            }
            Ok(remove_dir(from, name)?)
        }
        (true, false) | (false, true) => Err(SwapError::NoPlace {
            path: Path::new("/").join(path),
            found: "a file where the command made a directory, or a directory where it made a file",
        }),
    }
}

/// Fails if something must be kept now that was not when the swap began.
fn check_mounts(journal: &Journal, kept_now: &[PathBuf]) -> Result<(), SwapError> {
    match journal.plan.new_ones(kept_now).first() {
        None => Ok(()),
        Some(path) => Err(SwapError::MovedMount {
            path: Path::new("/").join(path),
        }),
    }
}

fn is_dir(dir: &Dir, name: &OsStr) -> Result<bool, PathError> {
    Ok(dir.metadata_of(name)?.is_some_and(|found| found.is_dir()))
}
