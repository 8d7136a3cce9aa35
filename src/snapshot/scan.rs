//! Finds what a step changed in a plain directory, by walking it before and after.
//!
//! For places where no overlay can be mounted: the root file system is one directory that every step changes in place.
//! An [`Index`] says what every file was; after a step the tree is walked once more, and the two indexes side by side
//! give the changes. The change time is what tells: the kernel sets it and no program can put it back. The result is
//! the same set of changes as [`OverlayDiff`](super::OverlayDiff) has of the same step, in the same order, with two
//! exceptions that the place forces:
//!
//! - **Files with several names.** An overlay copies a file up under the one name that was used, and breaks the link; a
//!   plain directory does not. A step that writes to or renames one of several names from below, or links another to
//!   them, has changed one file, and all its names are in the layer. Contents and owners under each name agree but
//!   where the step wrote in place: there the other names have changed as well, as the step itself could see.
//! - **Unknown contents.** A file whose change time alone is new (`chmod` to the mode it had) is unchanged if its
//!   contents and attributes are: see [`KnownContents`](crate::fs::KnownContents). Of a file from below that nobody hashed as it was written,
//!   that cannot be said, and it is in the layer once more. No change is ever lost, and from then on its contents are
//!   known.
//!
//! The cost is one `stat` per file of the tree and step, and the reading of what the step touched. Nobody may change
//! the tree from the walk after the step until its changes are written: unlike an overlay's upper directory, it does not
//! keep them for later. This module knows files, not what ran.

mod comparison;
mod index;
mod jobs;
mod listing;
mod mask;
mod seal;
mod stat_digest;
mod walk;

pub use index::Index;
pub use stat_digest::StatDigest;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use self::comparison::{Comparison, Found, Scope};
use self::mask::Mask;
use super::change::{Change, DiffError, Summary, is_kept_xattr};
use super::emit::Emitter;
use super::excluded::Excluded;
use super::hard_links::HardLinks;
use crate::fs::{Descent, Metadata, Root};
use crate::image::layer_entry::WHITEOUT_PREFIX;

/// What a step changed: the tree that it changed in place, with an index from before and one from after.
#[derive(Debug, Clone, Copy)]
pub struct ScanDiff<'a> {
    /// The tree before the step.
    pub before: &'a Index,
    /// The tree after the step, taken again from `before`.
    pub after: &'a Index,
    /// The tree itself, which nobody has changed since.
    pub root: &'a Root,
    /// Paths that are left out with everything below them, as if the step had not touched them. The indexes may have
    /// them.
    pub excluded: &'a Excluded,
}

impl ScanDiff<'_> {
    /// Gives every change to `visit` in the order of a layer's tar, and returns how many there were. Parents of a
    /// change come before it, with their own metadata, even where they did not change; the root never comes.
    pub fn visit<E: From<DiffError>>(
        &self,
        visit: impl FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<Summary, E> {
        let excluded = Mask::of(self.excluded);
        let hard_links = self.hard_links(excluded.as_ref());
        let scope = match hard_links.is_empty() {
            true => Scope::Changes,
            // Names that did not change may come with one that did.
            false => Scope::All,
        };
        let mut visitor = Visitor {
            emitter: Emitter::new(visit),
            way: Descent::new(self.root.dir()).map_err(DiffError::from)?,
            hard_links,
        };
        let mut comparison = self.compare(excluded.as_ref(), scope);
        while let Some(found) = comparison.next() {
            visitor.leave_to(comparison.depth())?;
            match found {
                Found::Removed => visitor.removed(&comparison)?,
                Found::Present { after, differs, .. } => {
                    visitor.present(&comparison, after, differs)?;
                }
            }
        }
        Ok(visitor.emitter.into_summary())
    }

    fn compare<'s>(&'s self, excluded: Option<&Mask<'s>>, scope: Scope) -> Comparison<'s> {
        Comparison::new(self.before, self.after, excluded, scope)
    }

    /// Collects the names of files with several, of which at least one is not what it was. Everything is in the
    /// indexes: no file is looked at.
    fn hard_links<'s>(&'s self, excluded: Option<&Mask<'s>>) -> HardLinks {
        let mut hard_links = HardLinks::default();
        let touched = self.touched_files(excluded);
        if touched.is_empty() {
            return hard_links;
        }
        let mut comparison = self.compare(excluded, Scope::All);
        while let Some(found) = comparison.next() {
            if let Found::Present {
                after,
                before,
                differs,
            } = found
                && HardLinks::has_others(&after)
                && touched.contains(&inode(&after))
            {
                hard_links.add(&after, before.as_ref(), differs);
            }
        }
        hard_links
    }

    /// Returns the files with several names of which one is new, differs, or was another file before. An image may
    /// have very many such files, and a step touches few.
    fn touched_files<'s>(&'s self, excluded: Option<&Mask<'s>>) -> HashSet<(u64, u64)> {
        let mut touched = HashSet::new();
        let mut comparison = self.compare(excluded, Scope::Changes);
        while let Some(found) = comparison.next() {
            if let Found::Present {
                after,
                before,
                differs,
            } = found
                && HardLinks::has_others(&after)
                && (differs || before.is_none_or(|before| inode(&before) != inode(&after)))
            {
                touched.insert(inode(&after));
            }
        }
        touched
    }
}

/// Goes to where the changes are, and has them emitted.
struct Visitor<F> {
    emitter: Emitter<F>,
    /// The directory of the last change, or one above it: unchanged directories are not opened.
    way: Descent,
    hard_links: HardLinks,
}

impl<F> Visitor<F> {
    /// Goes up, out of directories that the comparison has left.
    fn leave_to(&mut self, depth: usize) -> Result<(), DiffError> {
        while self.way.depth() > depth {
            self.way.leave()?;
        }
        self.emitter.leave_to(depth);
        Ok(())
    }

    /// Goes down into the directory where the comparison stands.
    fn catch_up(&mut self, comparison: &Comparison<'_>) -> Result<(), DiffError> {
        while self.way.depth() < comparison.depth()
            && let Some((name, metadata)) = comparison.parent(self.way.depth())
        {
            self.enter(name, metadata)?;
        }
        Ok(())
    }

    fn enter(&mut self, name: &OsStr, metadata: Metadata) -> Result<(), DiffError> {
        let xattrs = self.way.dir().xattrs_where(name, is_kept_xattr)?;
        self.emitter.enter(name, metadata, xattrs);
        Ok(self.way.enter(name)?)
    }

    fn removed<E: From<DiffError>>(&mut self, comparison: &Comparison<'_>) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        self.catch_up(comparison)?;
        self.emitter.emit_removed(comparison.path())
    }

    fn present<E: From<DiffError>>(
        &mut self,
        comparison: &Comparison<'_>,
        metadata: Metadata,
        differs: bool,
    ) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        let is_changed = if HardLinks::has_others(&metadata) {
            self.hard_links.is_changed(&metadata)
        } else {
            differs
        };
        if !is_changed {
            return Ok(());
        }
        check_name(comparison)?;
        self.catch_up(comparison)?;
        let (path, name) = (comparison.path(), comparison.name());
        if metadata.is_dir() {
            self.enter(name, metadata)?;
            return self.emitter.emit_parents();
        }
        let dir = self.way.dir();
        let xattrs = dir
            .xattrs_where(name, is_kept_xattr)
            .map_err(DiffError::from)?;
        match self.hard_links.place(&metadata, path) {
            Some(first) => self.emitter.emit_hard_link(path, first, &metadata, xattrs),
            None => self.emitter.emit_file(dir, path, &metadata, xattrs),
        }
    }
}

fn check_name(comparison: &Comparison<'_>) -> Result<(), DiffError> {
    let name = comparison.name().as_bytes();
    if !name.starts_with(WHITEOUT_PREFIX.as_bytes()) {
        return Ok(());
    }
    Err(DiffError::ReservedName {
        path: comparison.path().to_path_buf(),
    })
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev, metadata.ino)
}

#[cfg(test)]
pub(super) mod tests;
