//! What goes wrong when a test wants it to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use rustix::io::Errno;

use crate::fs::{Dir, PathError};

thread_local! {
    /// Changes that still succeed.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    /// Device and inode of directories that are in a lower layer, so to speak.
    static LOWER: RefCell<BTreeSet<(u64, u64)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Lets `count` changes succeed; from then on every change fails, as if the process were dead.
pub(in crate::sandbox::swap) fn die_after(count: u64) {
    LEFT.set(count);
}

/// Lets every change succeed again. Says whether one has failed.
pub(in crate::sandbox::swap) fn live() -> bool {
    LEFT.replace(u64::MAX) == 0
}

/// Makes the directories below `top` ones that cannot be renamed.
pub(in crate::sandbox::swap) fn make_lower(top: &Path) {
    for entry in walkdir::WalkDir::new(top).min_depth(1) {
        let entry = entry.unwrap();
        if entry.file_type().is_dir() {
            let dir = Dir::open(entry.path()).unwrap().metadata().unwrap();
            LOWER.with_borrow_mut(|lower| lower.insert((dir.dev, dir.ino)));
        }
    }
}

/// No directory is a lower one any more: numbers of removed ones are used again.
pub(in crate::sandbox::swap) fn forget_lower() {
    LOWER.with_borrow_mut(BTreeSet::clear);
}

pub(in crate::sandbox::swap) fn before_change(path: &Path) -> Result<(), PathError> {
    match LEFT.get() {
        u64::MAX => Ok(()),
        0 => Err(PathError::new("live on at", path, Errno::INTR)),
        left => {
            LEFT.set(left - 1);
            // The one that counts down to nothing is the last one that succeeds.
            Ok(())
        }
    }
}

pub(in crate::sandbox::swap) fn before_rename(dir: &Dir, name: &OsStr) -> Result<(), PathError> {
    let found = dir.metadata_of(name)?;
    let is_lower = LOWER.with_borrow(|lower| {
        found.is_some_and(|found| found.is_dir() && lower.contains(&(found.dev, found.ino)))
    });
    match is_lower {
        true => Err(PathError::new("rename", dir.path_of(name), Errno::XDEV)),
        false => Ok(()),
    }
}
