//! Reads what a step changed from the upper directory of the overlay it ran on.
//!
//! The cost follows the step's changes, not the image: nothing is listed that the step did not touch. The mount must
//! have kept all data in the upper directory (`metacopy=off`, `redirect_dir=nofollow`), the upper directory must not
//! change any more, and it must be read in the user namespace of the step, so that owners and file capabilities are
//! what the step saw. This module knows files, not what ran.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::change::{Change, DiffError, Summary, is_kept_xattr};
use super::compare::{Side, differ, has_other_metadata};
use super::emit::Emitter;
use super::excluded::Excluded;
use super::hard_links::HardLinks;
use super::overlay_walk::{Found, OverlayWalk};
use crate::fs::{Dir, Metadata, Root, Xattrs};
use crate::image::overlay::OverlayXattrs;

/// Attributes by which an overlay says that data or directories are elsewhere.
const FOREIGN_MARKS: [&str; 2] = ["redirect", "metacopy"];

/// What a step changed: the upper directory of its overlay mount beside the tree below it.
#[derive(Debug, Clone, Copy)]
pub struct OverlayDiff<'a> {
    /// The upper directory, which nobody changes any more.
    pub upper: &'a Root,
    /// Everything below the step as one tree, for reading: a mount of the lower layers, a plain directory, or an empty
    /// one.
    pub lower: &'a Root,
    /// How the step's mount kept its marks.
    pub xattrs: OverlayXattrs,
    /// Paths that are left out with everything below them, as if the step had not touched them.
    pub excluded: &'a Excluded,
}

impl OverlayDiff<'_> {
    /// Gives every change to `visit` in the order of a layer's tar, and returns how many there were. Parents of a
    /// change come before it, with their own metadata, even where they did not change; the root never comes.
    pub fn visit<E: From<DiffError>>(
        &self,
        visit: impl FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<Summary, E> {
        let mut visitor = Visitor {
            diff: self,
            emitter: Emitter::new(visit),
            hard_links: None,
        };
        let mut walk = self.walk()?;
        while let Some(found) = walk.next()? {
            visitor.emitter.leave_to(walk.depth());
            match found {
                Found::Removed => visitor.emitter.emit_removed(walk.path())?,
                Found::Present { upper, lower } => visitor.present(&walk, &upper, lower)?,
            }
        }
        Ok(visitor.emitter.into_summary())
    }

    fn walk(&self) -> Result<OverlayWalk<'_>, DiffError> {
        OverlayWalk::new(self.upper, self.lower, self.xattrs, self.excluded)
    }

    /// Walks the whole upper directory for files with several names: whether one is in the layer depends on all of
    /// its names. Only done once such a file turns up.
    fn hard_links(&self) -> Result<HardLinks, DiffError> {
        let mut hard_links = HardLinks::default();
        let mut walk = self.walk()?;
        while let Some(found) = walk.next()? {
            if let Found::Present { upper, lower } = found
                && HardLinks::has_others(&upper)
            {
                let differs = !hard_links.is_changed(&upper)
                    && self.differs(&walk, &upper, lower.as_ref(), None)?;
                hard_links.add(&upper, lower.as_ref(), differs);
            }
        }
        Ok(hard_links)
    }

    /// Says whether the entry where `walk` stands differs from what is below it. `xattrs` are the upper's, where they
    /// were read already.
    fn differs(
        &self,
        walk: &OverlayWalk<'_>,
        upper: &Metadata,
        lower: Option<&Metadata>,
        xattrs: Option<&Xattrs>,
    ) -> Result<bool, DiffError> {
        let Some(lower) = lower else {
            return Ok(true);
        };
        if has_other_metadata(upper, lower) {
            return Ok(true);
        }
        let read;
        let xattrs = match xattrs {
            Some(xattrs) => xattrs,
            None => {
                read = self.kept_xattrs(walk)?;
                &read
            }
        };
        let lower_xattrs = walk.lower_dir().xattrs_where(walk.name(), is_kept_xattr)?;
        let upper = side(walk.upper_dir(), upper, xattrs);
        let lower = side(walk.lower_dir(), lower, &lower_xattrs);
        differ(walk.name(), &upper, &lower)
    }

    /// Reads the attributes that a layer keeps of an entry in the upper directory, under the names that the step saw.
    fn kept_xattrs(&self, walk: &OverlayWalk<'_>) -> Result<Xattrs, DiffError> {
        let is_wanted =
            |key: &OsStr| is_kept_xattr(key) || key.as_bytes().starts_with(self.prefix());
        let stored = walk.upper_dir().xattrs_where(walk.name(), is_wanted)?;
        let mut kept = Xattrs::new();
        for (key, value) in stored {
            match self.own_mark(&key) {
                Some(mark) => self.check_mark(mark, walk.path())?,
                None => {
                    let key = self.seen_name(key);
                    if is_kept_xattr(&key) {
                        kept.insert(key, value);
                    }
                }
            }
        }
        Ok(kept)
    }

    fn prefix(&self) -> &'static [u8] {
        self.xattrs.prefix().as_bytes()
    }

    /// Returns what follows the prefix where an attribute is the mount's own; `None` where a program set it.
    fn own_mark<'k>(&self, key: &'k OsStr) -> Option<&'k [u8]> {
        let mark = key.as_bytes().strip_prefix(self.prefix())?;
        (!mark.starts_with(b"overlay.")).then_some(mark)
    }

    /// Undoes the escape of attributes that programs set with a name like the mount's own: `user.overlay.overlay.x` is
    /// stored for `user.overlay.x` (Linux 6.7, overlayfs.rst "Nesting overlayfs mounts").
    fn seen_name(&self, key: OsString) -> OsString {
        match key.as_bytes().strip_prefix(self.prefix()) {
            Some(escaped) => {
                let name = escaped.strip_prefix(b"overlay.").unwrap_or(escaped);
                OsString::from_vec([self.prefix(), name].concat())
            }
            None => key,
        }
    }

    fn check_mark(&self, mark: &[u8], path: &Path) -> Result<(), DiffError> {
        let foreign = FOREIGN_MARKS.iter().find(|name| name.as_bytes() == mark);
        foreign.map_or(Ok(()), |name| {
            Err(DiffError::ForeignOverlay {
                path: path.to_path_buf(),
                attribute: format!("{}{name}", self.xattrs.prefix()),
            })
        })
    }
}

/// Decides what of the walk comes, and has it emitted.
struct Visitor<'a, F> {
    diff: &'a OverlayDiff<'a>,
    emitter: Emitter<F>,
    hard_links: Option<HardLinks>,
}

impl<F> Visitor<'_, F> {
    fn present<E: From<DiffError>>(
        &mut self,
        walk: &OverlayWalk<'_>,
        upper: &Metadata,
        lower: Option<Metadata>,
    ) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        let xattrs = self.diff.kept_xattrs(walk)?;
        if HardLinks::has_others(upper) {
            return self.hard_linked(walk, upper, xattrs);
        }
        let differs = self
            .diff
            .differs(walk, upper, lower.as_ref(), Some(&xattrs))?;
        if upper.is_dir() {
            self.emitter.enter(walk.name(), *upper, xattrs);
            return if differs {
                self.emitter.emit_parents()
            } else {
                Ok(())
            };
        }
        if !differs {
            return Ok(());
        }
        self.emitter
            .emit_file(walk.upper_dir(), walk.path(), upper, xattrs)
    }

    fn hard_linked<E: From<DiffError>>(
        &mut self,
        walk: &OverlayWalk<'_>,
        upper: &Metadata,
        xattrs: Xattrs,
    ) -> Result<(), E>
    where
        F: FnMut(Change<'_>) -> Result<(), E>,
    {
        if self.hard_links.is_none() {
            self.hard_links = Some(self.diff.hard_links()?);
        }
        let Some(hard_links) = &mut self.hard_links else {
            return Ok(());
        };
        if !hard_links.is_changed(upper) {
            return Ok(());
        }
        let path = walk.path();
        match hard_links.place(upper, path) {
            Some(first) => self.emitter.emit_hard_link(path, first, upper, xattrs),
            None => self
                .emitter
                .emit_file(walk.upper_dir(), path, upper, xattrs),
        }
    }
}

fn side<'a>(dir: &'a Dir, metadata: &'a Metadata, xattrs: &'a Xattrs) -> Side<'a> {
    Side {
        dir,
        metadata,
        xattrs,
    }
}

#[cfg(test)]
pub(super) mod tests;
