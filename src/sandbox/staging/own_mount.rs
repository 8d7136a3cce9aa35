//! Mounts of a step's that lie in the builder's own namespace until the step has ended.

use std::ffi::{CStr, CString};

use crate::fs::{Dir, Root, remove_tree};
use crate::sys::{self, MountFlags};

use super::super::overlay::{self, Overlay};
use super::super::rootfs::RootfsError;
use super::super::view::open_merged;
use super::super::{Inner, room};

/// A mount that goes with this value, and all that was written to it.
#[derive(Debug)]
pub(in crate::sandbox) struct OwnMount<'a> {
    inner: &'a Inner,
    /// The mount point, relative to the work directory.
    target: String,
    /// Directories of an overlay, relative to the work directory.
    dirs: Vec<String>,
    is_memory: bool,
}

impl<'a> OwnMount<'a> {
    /// Mounts a file system in memory.
    pub(super) fn memory(
        inner: &'a Inner,
        flags: MountFlags,
        options: &CStr,
    ) -> Result<Self, RootfsError> {
        let own = Self::new(inner, true)?;
        let path = inner.dir().path().join(&own.target);
        let flags = flags | MountFlags::NOSUID | MountFlags::NODEV;
        let mounted = sys::mount(c"tmpfs", &path, flags, options);
        mounted.map_err(|errno| RootfsError::Mount {
            what: "a file system in memory",
            source: errno.into(),
        })?;
        Ok(own)
    }

    /// Shows the directory at `source`, under a name of ours.
    pub(super) fn bind(inner: &'a Inner, source: &std::path::Path) -> Result<Self, RootfsError> {
        let own = Self::new(inner, false)?;
        let path = inner.dir().path().join(&own.target);
        let mounted = sys::mount_recursive_bind(source, &path);
        mounted.map_err(|errno| RootfsError::Mount {
            what: "the files that the step may change for itself",
            source: errno.into(),
        })?;
        Ok(own)
    }

    /// Mounts an overlay on `lower`, which looks as the directory `like` and takes any change.
    pub(super) fn overlay(
        inner: &'a Inner,
        lower: &OwnMount<'_>,
        like: &Dir,
    ) -> Result<Self, RootfsError> {
        let mut own = Self::new(inner, false)?;
        let upper = inner.new_dir(room::LAYERS)?;
        own.dirs.push(upper.clone());
        let work = inner.new_dir(room::WORK)?;
        let metadata = like.metadata()?;
        let top = Dir::open(&inner.dir().path().join(&upper))?;
        top.set_own_owner(metadata.uid, metadata.gid)?;
        top.set_own_mode(metadata.mode)?;
        top.set_own_mtime(metadata.mtime)?;
        inner.mount(&Overlay {
            lower: std::slice::from_ref(&lower.target),
            upper: Some((&upper, &work)),
            target: &own.target,
        })?;
        Ok(own)
    }

    fn new(inner: &'a Inner, is_memory: bool) -> Result<Self, RootfsError> {
        Ok(Self {
            inner,
            target: inner.new_dir(room::MERGED)?,
            dirs: Vec::new(),
            is_memory,
        })
    }

    /// Opens what is mounted; owners are kept as everywhere in this build.
    pub(super) fn open(&self) -> Result<Root, RootfsError> {
        let root = open_merged(self.inner, &self.target)?;
        Ok(match &self.inner.ledger {
            Some(ledger) => root.with_ledger(ledger.clone()),
            None => root,
        })
    }

    /// Takes out of the ledger what was recorded of files that end with this mount: their numbers are given to others.
    fn forget_files(&self) -> Result<(), RootfsError> {
        if !self.is_memory || self.inner.ledger.is_none() {
            return Ok(());
        }
        let root = self.open()?;
        for name in root.dir().names()? {
            remove_tree(root.dir(), &name)?;
        }
        Ok(())
    }

    fn end(&self) -> Result<(), RootfsError> {
        let forgotten = self.forget_files();
        overlay::unmount(self.inner.dir(), &self.target)?;
        for dir in &self.dirs {
            self.inner.remove_dir(dir)?;
        }
        forgotten
    }
}

impl Drop for OwnMount<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "a mount of a step stays until the build ends");
        }
    }
}

/// Returns the options of a file system in memory.
pub(super) fn memory_options(mode: u32, size: Option<u64>) -> CString {
    let size = size.map_or_else(String::new, |size| format!(",size={size}"));
    CString::new(format!("mode={mode:o}{size}")).unwrap_or_default()
}
