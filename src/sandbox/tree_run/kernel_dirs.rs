//! Empty directories in the place of those that the kernel fills elsewhere: what a command writes to
//! `/dev`, `/proc` and `/sys` is lost, as it is where there are mounts.

use std::ffi::OsStr;

use crate::fs::{Dir, PathError, Root, Timestamp, remove_tree};

use super::super::{Inner, room};
use super::props::KERNEL_DIRS;

const MODE: u32 = 0o755;

/// Directories that are exchanged back when this value goes.
pub(super) struct KernelDirs {
    tree: Dir,
    /// Holds what the image has there.
    aside: Dir,
    mtime: Timestamp,
    /// Those that are exchanged; empty once they are back.
    exchanged: Vec<&'static str>,
}

impl KernelDirs {
    /// Puts empty directories into the tree. What the image has there, if they are directories, is set
    /// aside; anything else stays.
    pub(super) fn put(inner: &Inner, root: &Root) -> Result<Self, PathError> {
        let number = inner.next_number().to_string();
        let props = inner.dir().open_dir(room::PROPS.as_ref())?;
        props.create_dir(number.as_ref(), 0o700)?;
        let mut dirs = Self {
            tree: root.dir().try_clone()?,
            aside: props.open_dir(number.as_ref())?,
            mtime: root.dir().metadata()?.mtime,
            exchanged: Vec::new(),
        };
        for name in KERNEL_DIRS {
            dirs.exchange(name)?;
        }
        dirs.tree.set_own_mtime(dirs.mtime)?;
        Ok(dirs)
    }

    fn exchange(&mut self, name: &'static str) -> Result<(), PathError> {
        let found = self.tree.metadata_of(name.as_ref())?;
        match found.map(|found| found.is_dir()) {
            Some(true) => self
                .tree
                .rename(name.as_ref(), &self.aside, name.as_ref())?,
            Some(false) => return Ok(()),
            None => {}
        }
        self.exchanged.push(name);
        self.tree.create_dir(name.as_ref(), MODE)?;
        self.tree.set_owner(name.as_ref(), 0, 0)?;
        self.tree.set_mode(name.as_ref(), MODE)
    }

    /// Makes the tree what it was.
    pub(super) fn take_back(mut self) -> Result<(), PathError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), PathError> {
        if self.exchanged.is_empty() {
            return Ok(());
        }
        // The command may have changed the root directory as well: then the time is its own.
        let mtime = self.tree.metadata()?.mtime;
        for name in std::mem::take(&mut self.exchanged) {
            let name = OsStr::new(name);
            remove_tree(&self.tree, name)?;
            if self.aside.metadata_of(name)?.is_some() {
                self.aside.rename(name, &self.tree, name)?;
            }
        }
        self.tree.set_own_mtime(mtime)
    }
}

impl Drop for KernelDirs {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, source = %error.source, "a step's own directories stay in the image");
        }
    }
}
