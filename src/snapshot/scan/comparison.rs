//! Walks two indexes side by side in the order of a layer's tar. This module knows what `stat` said, and no files.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::index::Index;
use super::listing::{Cursor, Entry};
use super::mask::Mask;
use crate::fs::Metadata;
use crate::snapshot::compare::has_other_metadata;
use crate::snapshot::overlay_walk::is_visible;

/// What was found at a path.
#[derive(Debug)]
pub(super) enum Found {
    /// Something was here before and is not any more.
    Removed,
    /// Something is here now. The walk goes into directories next.
    Present {
        after: Metadata,
        /// What was here before, even if it is of another kind.
        before: Option<Metadata>,
        differs: bool,
    },
}

/// What of a directory is found in which nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Only the directories in it, where something may have changed: this passes by nearly all of a tree.
    Changes,
    /// Everything.
    All,
}

/// A walk in progress.
pub(super) struct Comparison<'a> {
    before: &'a Index,
    after: &'a Index,
    scope: Scope,
    levels: Vec<Level<'a>>,
    /// The path of what was found last; of the directory where the walk stands in between.
    path: PathBuf,
    /// Whether `path` ends with a name in the current directory.
    has_name: bool,
    /// The directory that was found last: to be entered before anything else.
    entering: Option<Level<'a>>,
}

/// A directory on the way, with what is left to do in it.
struct Level<'a> {
    /// Its name and what it is. Empty for the root.
    own: Option<(&'a OsStr, Metadata)>,
    mask: Option<Mask<'a>>,
    removed: std::vec::IntoIter<OsString>,
    after: Cursor<'a>,
    before: Option<Cursor<'a>>,
    /// Whether only the directories in it matter.
    is_passed_by: bool,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        before: &'a Index,
        after: &'a Index,
        excluded: Option<&Mask<'a>>,
        scope: Scope,
    ) -> Self {
        let mut comparison = Self {
            before,
            after,
            scope,
            levels: Vec::new(),
            path: PathBuf::new(),
            has_name: false,
            entering: None,
        };
        comparison.entering = Some(comparison.level(None, excluded.cloned(), 0, Some(0)));
        comparison
    }

    /// Moves to the next entry. `None` at the end.
    pub(super) fn next(&mut self) -> Option<Found> {
        if let Some(level) = self.entering.take() {
            self.levels.push(level);
            self.has_name = false;
        }
        loop {
            if self.has_name {
                self.path.pop();
                self.has_name = false;
            }
            let level = self.levels.last_mut()?;
            if let Some(name) = level.removed.next() {
                self.path.push(name);
                self.has_name = true;
                return Some(Found::Removed);
            }
            if level.is_passed_by {
                level.after.skip_to_directory();
            }
            if let Some(entry) = level.after.next() {
                if let Some(found) = self.present(&entry) {
                    return Some(found);
                }
            } else {
                self.levels.pop();
                self.path.pop();
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
        self.levels.len() - 1
    }

    /// Returns the name of a directory above what was found last, and what it is; the topmost below the root is at
    /// depth 0.
    pub(super) fn parent(&self, depth: usize) -> Option<(&'a OsStr, Metadata)> {
        self.levels.get(depth + 1)?.own
    }

    /// Compares one entry with the one of the same name from before. `None` for what no layer has a word for.
    fn present(&mut self, entry: &Entry<'a>) -> Option<Found> {
        let level = self.levels.last_mut()?;
        let mask = Mask::at(level.mask.as_ref(), entry.name);
        if Mask::hides(mask.as_ref()) || !is_visible(&entry.metadata) {
            return None;
        }
        let old = level.before.as_mut().and_then(|old| old.seek(entry.name));
        let old = old.filter(|old| is_visible(&old.metadata));
        if let Some(number) = entry.child {
            let own = Some((entry.name, entry.metadata));
            let before = old.and_then(|old| old.child);
            self.entering = Some(self.level(own, mask, number, before));
        }
        self.path.push(entry.name);
        self.has_name = true;
        Some(Found::Present {
            after: entry.metadata,
            before: old.map(|old| old.metadata),
            differs: old.is_none_or(|old| differs(&old, entry)),
        })
    }

    fn level(
        &self,
        own: Option<(&'a OsStr, Metadata)>,
        mask: Option<Mask<'a>>,
        after: usize,
        before: Option<usize>,
    ) -> Level<'a> {
        let after = self.after.cursor(after);
        let before = before.map(|number| self.before.cursor(number));
        let is_unchanged = before
            .as_ref()
            .is_some_and(|before| before.is_of_same_listing(&after));
        let removed = match &before {
            Some(before) if !is_unchanged => removed(before.clone(), after.clone(), mask.as_ref()),
            Some(_) | None => Vec::new(),
        };
        Level {
            own,
            mask,
            removed: removed.into_iter(),
            after,
            before,
            is_passed_by: is_unchanged && self.scope == Scope::Changes,
        }
    }
}

/// Returns the names of one directory that are there before and not after.
fn removed(before: Cursor<'_>, mut after: Cursor<'_>, mask: Option<&Mask<'_>>) -> Vec<OsString> {
    let mut removed = Vec::new();
    for old in before {
        let new = after.seek(old.name);
        let is_there = new.is_some_and(|new| is_visible(&new.metadata));
        let is_hidden = Mask::hides(Mask::at(mask, old.name).as_ref());
        if !is_there && !is_hidden && is_visible(&old.metadata) {
            removed.push(old.name.to_os_string());
        }
    }
    removed
}

/// Says whether the layer must have a file again. What is not sealed on both sides counts as different: its contents
/// may be.
fn differs(old: &Entry<'_>, new: &Entry<'_>) -> bool {
    if old.metadata == new.metadata {
        return false;
    }
    has_other_metadata(&old.metadata, &new.metadata) || old.seal.is_none() || old.seal != new.seal
}
