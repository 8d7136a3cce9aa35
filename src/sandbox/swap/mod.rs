//! A stage's tree in the place of the container's own root directory, for the time of one command.
//!
//! Where neither mounts nor namespaces are allowed, a command sees an image only if the image lies in
//! `/`. A stage's tree is a plain directory in the work directory, on the same file system: its entries
//! are moved to `/` by rename(2) and back after the command, the container's own being set aside
//! meanwhile. Contents are never copied.
//!
//! **What is kept.** Mount points cannot be moved, and some paths must not be (the tool's own, the
//! work directory). They are never opened or changed. A directory with something kept below it stays,
//! too, and is *merged*: its other entries are moved one by one, and it gets the looks of the tree's
//! directory of that path. Where the tree has none, the command sees the container's directory without
//! its entries, as a mount point in docker; it becomes part of the tree only if the command puts
//! something into it or changes its mode, owner or attributes (its time alone says nothing).
//!
//! **What is hidden.** Nothing follows links. Where something is kept, the tree's entry stays in the
//! tree: the command does not see it, and it comes through unchanged. That is so also for a link or a
//! file where the container has a merged directory: with a secret mounted below `/var/run`, the command
//! sees a directory there and not the image's link to `/run`. What the command writes to such a
//! directory is moved, afterwards, to where the tree's link leads inside the tree, because that is where
//! it would be without the mount; entries of the same name there are replaced, directories joined. If
//! the link leads to no directory, or a file is in the way, that is an error: what was written has no
//! place in the image.
//!
//! **What the command may do.** It is root here and can remove what is kept but no mount point, such as
//! the tool's directory: nothing here can prevent that. It cannot remove mount points (EBUSY), but can
//! rename a directory above one. That is an error, as it is in docker, and [`recover`] moves the
//! directory home.
//!
//! **Being killed.** Before the first change, a journal in `aside` says how everything looked; at any
//! moment, [`recover`] can tell from it whose each entry is, and puts the container back. What a stage
//! had in `/` is lost then. As long as [`Swap::is_pending`], the directory `aside` holds the
//! container's own files and must not be removed.
//!
//! This module knows directories, no processes: when it is called, no command runs.

mod enter;
mod hands;
mod journal;
mod kept;
mod leave;
mod looks;
mod mount_points;
mod recover;
mod reserve;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::fs::{Dir, PathError, Root};

use self::journal::Journal;

pub(super) use self::enter::Inside;
pub(super) use self::mount_points::mount_points;
pub(super) use self::recover::recover;

/// Names in the directory `aside`.
mod name {
    /// The container's own entries, a directory for each merged one.
    pub(super) const OWN: &str = "own";
    /// What a killed stage had in the root directory.
    pub(super) const TRASH: &str = "trash";
}

/// Why a swap failed.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// A file operation failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Renaming cannot move anything between them.
    #[error("`{}` is not on the file system of `{}`, where commands must see it", path.display(), root.display())]
    OtherFileSystem {
        /// The directory on the wrong file system.
        path: PathBuf,
        /// The root directory.
        root: PathBuf,
    },
    /// A former swap has not been undone.
    #[error("`{}` still holds files of this container that a killed build has set aside", path.display())]
    Pending {
        /// The directory with them.
        path: PathBuf,
    },
    /// The journal is not one that this program has written.
    #[error("cannot understand `{}`, which says how to put this container back", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The command removed what was set aside.
    #[error(
        "the command removed `{}`, where this container's own files were meanwhile: they are lost",
        path.display()
    )]
    Lost {
        /// The directory they were in.
        path: PathBuf,
    },
    /// The command moved a directory with a mount below it.
    #[error("the command moved a directory with a mount in it, which is at `{}` now", path.display())]
    MovedMount {
        /// Where the mount is now, absolute.
        path: PathBuf,
    },
    /// The command wrote where the container has a directory and the image has none.
    #[error(
        "what the command wrote to `{}` has no place in the image: a directory there holds a mount \
         of this container, and the image has {found}",
        path.display()
    )]
    NoPlace {
        /// What was written, absolute.
        path: PathBuf,
        /// What the image has in its place.
        found: &'static str,
    },
}

/// The root directory that commands see, and where its own entries go meanwhile.
#[derive(Debug)]
pub(super) struct Swap {
    root: Root,
    /// On the same file system, below something kept.
    aside: Dir,
    /// Relative to the root.
    kept: Vec<PathBuf>,
    /// Relative to the root.
    standing: Vec<PathBuf>,
}

impl Swap {
    /// Prepares to swap trees into `root`. `kept` must have every mount point below it, and whatever
    /// `aside` and the trees lie in.
    pub(super) fn new(root: Root, aside: Dir, kept: &[PathBuf]) -> Result<Self, SwapError> {
        check_file_system(&root, &aside)?;
        let kept = kept::plain(kept);
        Ok(Self {
            root,
            aside,
            kept,
            standing: Vec::new(),
        })
    }

    /// Merges the directories at `paths`, too, although nothing is kept below them: somebody is in
    /// them, and would be nowhere if they were made anew elsewhere.
    pub(super) fn with_standing(mut self, paths: &[PathBuf]) -> Self {
        self.standing = paths.to_vec();
        self
    }

    /// Says whether `aside` holds a container's own files: a swap is under way there, or was killed.
    pub(super) fn is_pending(aside: &Dir) -> Result<bool, PathError> {
        Journal::is_in(aside)
    }

    /// Puts the container back after `error`, which stays the reason for everything.
    fn undo(&self, error: SwapError, kept_now: &[PathBuf]) -> SwapError {
        if let Err(second) = recover(&self.root, &self.aside, kept_now) {
            tracing::warn!(error = %second, aside = %self.aside.path().display(),
                "the container's own files stay aside");
        }
        error
    }
}

/// Directories of an overlay all have the overlay's device, whichever layer they are in.
fn check_file_system(root: &Root, dir: &Dir) -> Result<(), SwapError> {
    if dir.metadata()?.dev == root.dir().metadata()?.dev {
        return Ok(());
    }
    Err(SwapError::OtherFileSystem {
        path: dir.path().to_path_buf(),
        root: root.path().to_path_buf(),
    })
}
