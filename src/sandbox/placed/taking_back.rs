//! Taking things out of a tree again, whatever a command has made of them.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use crate::fs::{Dir, PathError, Root, remove_tree};

/// Where something comes from.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) dir: Arc<Root>,
    pub(super) name: OsString,
    /// Device and inode of what it is.
    pub(super) identity: (u64, u64),
    /// Open, so that it is found wherever the command has moved it.
    pub(super) tree: Option<Dir>,
}

impl Home {
    /// Moves it back from `name` in `dir`. One that the command has moved elsewhere loses what is in it.
    pub(super) fn bring_back(
        &self,
        dir: &Dir,
        name: &OsStr,
        strays: &mut Vec<PathBuf>,
    ) -> Result<(), PathError> {
        let found = dir.metadata_of(name)?;
        if found.is_some_and(|found| (found.dev, found.ino) == self.identity) {
            return dir.rename(name, self.dir.dir(), &self.name);
        }
        drop_entry(dir, name)?;
        if let Some(tree) = &self.tree {
            for name in tree.names()? {
                remove_tree(tree, &name)?;
            }
            strays.push(dir.path_of(name));
        }
        Ok(())
    }
}

/// Removes a directory that was made on the way, if it is still the same and empty.
pub(super) fn remove_way(dir: &Dir, name: &OsStr, ino: u64) -> Result<(), PathError> {
    let found = dir.metadata_of(name)?;
    if !found.is_some_and(|found| found.is_dir() && found.ino == ino) {
        return Ok(());
    }
    match dir.remove_dir(name) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other,
    }
}

/// Removes whatever has the name now. A mount point is an error, and nothing below one is removed: the
/// kernel refuses it before it looks what is in the directory.
pub(super) fn drop_entry(dir: &Dir, name: &OsStr) -> Result<(), PathError> {
    match dir.metadata_of(name)? {
        None => Ok(()),
        Some(found) if !found.is_dir() => dir.remove_file(name),
        Some(_) => match dir.remove_dir(name) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => remove_tree(dir, name),
            other => other,
        },
    }
}
