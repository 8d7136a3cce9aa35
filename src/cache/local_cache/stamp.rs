//! Stamps: which blobs need not be read through again.
//!
//! A stamp says of a digest that the file with this inode, size and time had those bytes and that they are on the disk. A
//! file that was written to, truncated, replaced, or lost its bytes in a crash before they were on the disk has no such
//! stamp; neither has one that was copied here, and is then hashed once.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::temp::TempFile;
use super::{LocalCache, LocalCacheError};
use crate::fs::{PathContext, PathError};
use crate::image::Digest;

/// Where stamps are.
pub(super) const DIR: &str = "stamps";

impl LocalCache {
    pub(super) fn stamp_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(DIR).join(digest.hex())
    }

    /// Says whether the file has been hashed as it is now.
    pub(super) fn has_stamp(&self, file: &File, digest: &Digest) -> Result<bool, PathError> {
        let path = self.stamp_path(digest);
        let expected = text(file).on("stat", &path)?;
        // A stamp that cannot be read is none.
        Ok(std::fs::read_to_string(path).is_ok_and(|found| found == expected))
    }

    /// Declares that the file, whose bytes have just been hashed, has that digest. Waits until they are on the disk.
    pub(super) fn stamp(&self, file: &File, digest: &Digest) -> Result<(), LocalCacheError> {
        self.check_writable()?;
        let path = self.stamp_path(digest);
        file.sync_data().on("write", &path)?;
        let text = text(file).on("stat", &path)?;
        let mut temp = TempFile::create(&self.temp_dir())?;
        temp.file().write_all(text.as_bytes()).on("write", &path)?;
        let _lock = self.lock_shared()?;
        temp.rename(&path)?;
        Ok(())
    }
}

fn text(file: &File) -> std::io::Result<String> {
    let found = file.metadata()?;
    Ok(format!(
        "{} {} {}.{:09}\n",
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec()
    ))
}
