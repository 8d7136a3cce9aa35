//! The way in: own entries aside, the tree's entries to the root directory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::fs::{Dir, PathError, Root, Timestamp};

use super::hands::{carry, open_or_create_dir, rename};
use super::journal::{Journal, MergedDir, Parts, Phase, Plan, StoredPath};
use super::kept::{Kept, Role};
use super::looks::Looks;
use super::{Swap, SwapError, check_file_system, name, reserve};

/// A tree whose entries are in the root directory. It must leave it by [`Inside::leave`]; a value that
/// is only dropped leaves the container as if the process had been killed.
#[must_use = "the container is not itself until the tree has left"]
#[derive(Debug)]
pub(in crate::sandbox) struct Inside<'a> {
    pub(super) swap: &'a Swap,
    pub(super) tree: &'a Root,
    pub(super) kept: Kept,
    pub(super) journal: Journal,
    /// How each merged directory looks to the command at first, in the plan's order.
    pub(super) shown: Vec<Looks>,
    /// Inode and change time of each moved entry of the tree, once it is in.
    pub(super) moved: BTreeMap<PathBuf, (u64, Timestamp)>,
    hidden: Vec<PathBuf>,
}

impl Swap {
    /// Moves the container's own entries aside and those of `tree` in. Costs one rename for each of
    /// them, and for each entry of a directory with something kept below it.
    ///
    /// After an error the container is what it was before, and `tree` is lost.
    pub(in crate::sandbox) fn enter<'a>(&'a self, tree: &'a Root) -> Result<Inside<'a>, SwapError> {
        check_file_system(&self.root, tree.dir())?;
        if Self::is_pending(&self.aside)? {
            let path = self.aside.path().to_path_buf();
            return Err(SwapError::Pending { path });
        }
        self.bring_in(tree)
            .map_err(|error| self.undo(error, &self.kept))
    }

    fn bring_in<'a>(&'a self, tree: &'a Root) -> Result<Inside<'a>, SwapError> {
        reserve::take(&self.aside)?;
        let mut kept = Kept::found_in(&self.root, &self.kept)?;
        kept.merge(&self.root, &self.standing)?;
        let plan = self.plan(&kept)?;
        let own = open_or_create_dir(&self.aside, OsStr::new(name::OWN))?;
        let slots: Result<Vec<Dir>, PathError> = (0..plan.dirs.len())
            .map(|number| open_or_create_dir(&own, &slot_name(number)))
            .collect();
        let mut journal = Journal {
            plan,
            phase: Phase::SettingAside,
            parts: Vec::new(),
        };
        let mut file = journal.write(&self.aside)?;
        for (number, slot) in slots?.iter().enumerate() {
            let path = journal.plan.dirs[number].path.0.clone();
            self.set_aside(&path, &kept, slot, &mut journal, &mut file)?;
        }
        journal.phase = Phase::Stage;
        journal.write(&self.aside)?;
        let mut inside = Inside {
            swap: self,
            tree,
            kept,
            journal,
            shown: Vec::new(),
            moved: BTreeMap::new(),
            hidden: Vec::new(),
        };
        inside.fill()?;
        inside.hidden.sort_unstable();
        Ok(inside)
    }

    fn plan(&self, kept: &Kept) -> Result<Plan, PathError> {
        let mut dirs = Vec::new();
        for path in kept.merged() {
            let dir = open_merged(&self.root, path)?;
            let metadata = dir.metadata()?;
            dirs.push(MergedDir {
                path: StoredPath::from(path),
                looks: Looks::of(&dir)?,
                identity: (metadata.dev, metadata.ino),
            });
        }
        let stored = |paths: &mut dyn Iterator<Item = &Path>| paths.map(StoredPath::from).collect();
        Ok(Plan {
            dirs,
            asked: stored(&mut self.kept.iter().map(PathBuf::as_path)),
            kept: stored(&mut kept.kept()),
        })
    }

    fn set_aside(
        &self,
        path: &Path,
        kept: &Kept,
        slot: &Dir,
        journal: &mut Journal,
        file: &mut File,
    ) -> Result<(), PathError> {
        let dir = open_merged(&self.root, path)?;
        let mut note = |path: &Path, looks: &Looks| {
            let parts = Parts {
                path: StoredPath::from(path),
                looks: looks.clone(),
            };
            journal.append(file, &self.aside, parts)
        };
        for name in dir.names()? {
            if kept.role(&path.join(&name)) == Role::Free {
                carry(&dir, &name, slot, path, &mut note)?;
            }
        }
        Ok(())
    }
}

impl Inside<'_> {
    /// Returns the paths in the tree that the command does not see, relative to it and sorted: something
    /// of the container is there, a mount or a directory above one.
    pub(in crate::sandbox) fn hidden(&self) -> &[PathBuf] {
        &self.hidden
    }

    fn fill(&mut self) -> Result<(), PathError> {
        for number in 0..self.journal.plan.dirs.len() {
            let path = self.journal.plan.dirs[number].path.0.clone();
            let dir = open_merged(&self.swap.root, &path)?;
            let looks = match self.tree.open_real_dir(&path)? {
                Some(from) => {
                    // Before the first entry goes, which changes its time.
                    let looks = Looks::of(&from)?;
                    self.move_in(&from, &path, &dir)?;
                    looks
                }
                None => self.journal.plan.dirs[number].looks.clone(),
            };
            looks.give_to(&dir)?;
            self.shown.push(looks);
        }
        Ok(())
    }

    fn move_in(&mut self, from: &Dir, path: &Path, to: &Dir) -> Result<(), PathError> {
        for name in from.names()? {
            let path = path.join(&name);
            match self.kept.role(&path) {
                Role::Kept => self.hidden.push(path),
                Role::Merged => {
                    if !from.metadata_of(&name)?.is_some_and(|found| found.is_dir()) {
                        self.hidden.push(path);
                    }
                }
                Role::Free => {
                    rename(from, &name, to, &name)?;
                    if let Some(found) = to.metadata_of(&name)? {
                        self.moved.insert(path, (found.ino, found.ctime));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the name of the directory where the entries of the merged directory `number` are set aside.
pub(super) fn slot_name(number: usize) -> OsString {
    OsString::from(number.to_string())
}

/// Opens a merged directory, which was found just now: nobody else is at work here.
fn open_merged(root: &Root, path: &Path) -> Result<Dir, PathError> {
    let absent = || PathError::new("open directory", root.outside_path(path), Errno::NOENT);
    root.open_real_dir(path)?.ok_or_else(absent)
}
