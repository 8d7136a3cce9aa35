//! What a step did to one path, and the errors of finding out. This module knows paths, not how changes are found.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::PathError;
use crate::image::layer_entry::{EntryKind, LayerEntry};

/// One change, in the order in which a layer's tar has it: parents before children, in each directory first what was
/// removed and then what is there, each sorted by the bytes of the names.
#[derive(Debug)]
pub enum Change<'a> {
    /// What was at this path below is gone.
    Removed(&'a Path),
    /// This is at its path now; regular files come open, hard links to earlier entries do not.
    Present(&'a LayerEntry, Option<&'a File>),
}

/// What a step changed, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Paths that are new or different, directories and the unchanged parents of changed paths included.
    pub files: u64,
    /// Contents of the regular files among them, in bytes; a file with several names counts once.
    pub bytes: u64,
    /// Paths that are gone.
    pub whiteouts: u64,
}

impl Summary {
    /// Says whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.files == 0 && self.whiteouts == 0
    }

    /// Counts one change.
    pub(super) fn count(&mut self, change: &Change<'_>) {
        match change {
            Change::Removed(_) => self.whiteouts += 1,
            Change::Present(entry, _) => {
                self.files += 1;
                self.bytes += entry.size();
            }
        }
    }
}

/// Why the changes of a step cannot be told.
#[derive(Debug, Error)]
pub enum DiffError {
    /// A file or directory cannot be read.
    #[error(transparent)]
    Read(#[from] PathError),
    /// The step made a name that means "deleted" in a layer.
    #[error(
        "`{}` cannot be kept in a layer: names that begin with `.wh.` mark deleted files",
        path.display()
    )]
    ReservedName {
        /// The path, relative to the root.
        path: PathBuf,
    },
    /// The overlay was mounted with an option that keeps data elsewhere than in the upper directory.
    #[error("`{}` has the overlay attribute `{attribute}`, which this mount must not make", path.display())]
    ForeignOverlay {
        /// The path, relative to the root.
        path: PathBuf,
        /// The attribute's name.
        attribute: String,
    },
}

/// Says whether an extended attribute belongs in a layer, by the name that programs see: file capabilities and what
/// users attach. Labels of the host's security modules, ACLs and the kernel's own marks do not.
pub(super) fn is_kept_xattr(key: &OsStr) -> bool {
    let key = key.as_bytes();
    key == b"security.capability" || key.starts_with(b"user.")
}

/// Turns the entry of a regular file into that of another name of the file at `target`.
pub(super) fn into_hard_link(entry: LayerEntry, target: PathBuf) -> LayerEntry {
    LayerEntry {
        kind: EntryKind::HardLink { target },
        ..entry
    }
}
