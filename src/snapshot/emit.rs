//! Gives changes to the caller in the order of a layer's tar, each below its parents. This module knows entries, not
//! how their changes were found.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::change::{Change, DiffError, Summary, into_hard_link};
use crate::fs::{Dir, Metadata, Xattrs};
use crate::image::layer_entry::LayerEntry;

/// Carries changes to the caller and remembers the directories that must come before them.
pub(super) struct Emitter<F> {
    visit: F,
    /// The directories above the current entry, topmost first, without the root.
    parents: Vec<Parent>,
    summary: Summary,
}

/// A directory on the way to the current entry.
struct Parent {
    metadata: Metadata,
    xattrs: Xattrs,
    name: OsString,
    is_emitted: bool,
}

impl<F> Emitter<F> {
    pub(super) fn new(visit: F) -> Self {
        Self {
            visit,
            parents: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// Returns what was given to the caller, in numbers.
    pub(super) fn into_summary(self) -> Summary {
        self.summary
    }

    /// Goes up until `depth` directories lie above the current entry.
    pub(super) fn leave_to(&mut self, depth: usize) {
        self.parents.truncate(depth);
    }

    /// Goes down into a directory, which comes before the first change below it.
    pub(super) fn enter(&mut self, name: &OsStr, metadata: Metadata, xattrs: Xattrs) {
        self.parents.push(Parent {
            metadata,
            xattrs,
            name: name.to_os_string(),
            is_emitted: false,
        });
    }

    /// Emits the directories above that did not come yet.
    pub(super) fn emit_parents<E>(&mut self) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        let pending = self
            .parents
            .iter()
            .rposition(|parent| parent.is_emitted)
            .map_or(0, |last| last + 1);
        if pending == self.parents.len() {
            return Ok(());
        }
        let mut path: PathBuf = self.parents[..pending]
            .iter()
            .map(|parent| &parent.name)
            .collect();
        for index in pending..self.parents.len() {
            let parent = &mut self.parents[index];
            parent.is_emitted = true;
            path.push(&parent.name);
            let xattrs = std::mem::take(&mut parent.xattrs);
            let metadata = parent.metadata;
            let entry = LayerEntry::from_metadata(path.clone(), &metadata, OsString::new(), xattrs);
            if let Some(entry) = entry {
                self.emit(Change::Present(&entry, None))?;
            }
        }
        Ok(())
    }

    /// Emits that nothing is at `path` any more.
    pub(super) fn emit_removed<E>(&mut self, path: &Path) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        self.emit_parents()?;
        self.emit(Change::Removed(path))
    }

    /// Emits anything but a directory: the last name of `path` in `dir`.
    pub(super) fn emit_file<E: From<DiffError>>(
        &mut self,
        dir: &Dir,
        path: &Path,
        metadata: &Metadata,
        xattrs: Xattrs,
    ) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        self.emit_parents()?;
        let name = path.file_name().unwrap_or_default();
        let target = if metadata.is_symlink() {
            dir.read_link(name).map_err(DiffError::from)?
        } else {
            OsString::new()
        };
        let entry = LayerEntry::from_metadata(path.to_path_buf(), metadata, target, xattrs);
        let Some(entry) = entry else {
            return Ok(());
        };
        if !metadata.is_file() {
            return self.emit(Change::Present(&entry, None));
        }
        let file = dir.open_known_file(name).map_err(DiffError::from)?;
        self.emit(Change::Present(&entry, Some(&file)))
    }

    /// Emits `path` as another name of `target`, which came before.
    pub(super) fn emit_hard_link<E>(
        &mut self,
        path: &Path,
        target: PathBuf,
        metadata: &Metadata,
        xattrs: Xattrs,
    ) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        self.emit_parents()?;
        let path = path.to_path_buf();
        let entry = LayerEntry::from_metadata(path, metadata, OsString::new(), xattrs);
        match entry {
            Some(entry) => self.emit(Change::Present(&into_hard_link(entry, target), None)),
            None => Ok(()),
        }
    }

    fn emit<E>(&mut self, change: Change<'_>) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        self.summary.count(&change);
        (self.visit)(change)
    }
}
