//! Blobs: how they are held while they are needed, and what is done about damaged ones.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::warn;

use super::{LocalCache, open_to_read};
use crate::fs::{PathContext, PathError};
use crate::image::digest::DigestHasher;
use crate::image::{Descriptor, Digest};

/// Bytes that are hashed, written or read at a time.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// A blob that stays as long as this value lives, whatever is removed from the cache.
#[derive(Debug)]
pub struct HeldBlob {
    pub(super) file: File,
    path: PathBuf,
    /// Where in the file the blob begins.
    start: u64,
    size: u64,
    pub(super) digest: Digest,
}

/// Why a blob cannot be had.
#[derive(Debug, Error)]
pub enum BlobProblem {
    /// It is not there.
    #[error("blob `{0}` is missing")]
    Missing(Digest),
    /// Its bytes are not those of its name, or not as many.
    #[error("blob `{0}` is damaged")]
    Damaged(Digest),
    /// It cannot be looked at.
    #[error(transparent)]
    File(#[from] PathError),
}

impl HeldBlob {
    /// Holds a part of a file; nothing is checked.
    pub(super) fn of_part(file: File, path: &Path, start: u64, descriptor: &Descriptor) -> Self {
        Self {
            file,
            path: path.to_path_buf(),
            start,
            size: descriptor.size,
            digest: descriptor.digest.clone(),
        }
    }

    /// Holds a file that has just been written; nothing is checked.
    pub(super) fn whole(file: File, path: &Path, size: u64, digest: Digest) -> Self {
        Self {
            file,
            path: path.to_path_buf(),
            start: 0,
            size,
            digest,
        }
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the file that is exactly the blob. `None` where it is a part of a larger one.
    pub fn path(&self) -> Option<&Path> {
        let is_whole = self.start == 0
            && self
                .file
                .metadata()
                .is_ok_and(|file| file.len() == self.size);
        is_whole.then_some(&*self.path)
    }

    /// Returns the bytes from the first on. Any number may be read at the same time.
    pub fn bytes(&self) -> io::Result<BlobBytes> {
        Ok(BlobBytes {
            file: self.file.try_clone()?,
            at: self.start,
            end: self.start + self.size,
        })
    }

    /// Reads all of it and says whether it has its digest.
    pub fn check(&self) -> Result<(), BlobProblem> {
        let mut hasher = DigestHasher::new(self.digest.algorithm());
        let mut bytes = self.bytes().on("open", &self.path)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut size = 0;
        loop {
            match bytes.read(&mut buffer).on("read", &self.path)? {
                0 => break,
                count => {
                    hasher.update(&buffer[..count]);
                    size += count as u64;
                }
            }
        }
        if size == self.size && hasher.finish() == self.digest {
            Ok(())
        } else {
            Err(BlobProblem::Damaged(self.digest.clone()))
        }
    }

    /// Reads all of it into memory, checked. For documents.
    pub(super) fn read(&self) -> Result<Vec<u8>, BlobProblem> {
        let mut whole = Vec::new();
        let mut bytes = self.bytes().on("open", &self.path)?;
        bytes.read_to_end(&mut whole).on("read", &self.path)?;
        let mut hasher = DigestHasher::new(self.digest.algorithm());
        hasher.update(&whole);
        if hasher.finish() == self.digest {
            Ok(whole)
        } else {
            Err(BlobProblem::Damaged(self.digest.clone()))
        }
    }
}

/// Reads a held blob; needs it no longer.
#[derive(Debug)]
pub struct BlobBytes {
    file: File,
    at: u64,
    end: u64,
}

impl Read for BlobBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        // Not the file's own position: other readers share it.
        let count = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl LocalCache {
    /// Holds a blob that is there and is what it should be. One that is damaged is removed.
    pub fn hold(&self, descriptor: &Descriptor) -> Result<HeldBlob, BlobProblem> {
        let opened = {
            let _lock = self.lock_shared()?;
            self.open_blob(descriptor)
        };
        let checked = opened.and_then(|held| self.checked(held));
        if let Err(BlobProblem::Damaged(digest)) = &checked {
            warn!(
                "removing the damaged blob `{digest}` of the cache `{}`",
                self.dir.display()
            );
            self.discard_named(digest)?;
        }
        checked
    }

    /// Opens and locks a blob; the directory must be locked. Only its size is checked.
    pub(super) fn open_blob(&self, descriptor: &Descriptor) -> Result<HeldBlob, BlobProblem> {
        let digest = &descriptor.digest;
        let path = self.blob_path(digest);
        let file = match open_to_read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobProblem::Missing(digest.clone()));
            }
            Err(error) => return Err(error).on("open", path)?,
        };
        match file.lock_shared() {
            Ok(()) => {}
            // The open file stays readable, whatever happens to its name.
            Err(_) if !self.is_writable => {}
            Err(error) => return Err(error).on("lock", path)?,
        }
        let metadata = file.metadata().on("stat", &path)?;
        if !metadata.is_file() || metadata.size() != descriptor.size {
            return Err(BlobProblem::Damaged(digest.clone()));
        }
        Ok(HeldBlob::of_part(file, &path, 0, descriptor))
    }

    /// Makes sure that a blob has its digest: by its stamp, else by reading it.
    pub(super) fn checked(&self, held: HeldBlob) -> Result<HeldBlob, BlobProblem> {
        if self.has_stamp(&held.file, &held.digest)? {
            return Ok(held);
        }
        held.check()?;
        if self.is_writable
            && let Err(error) = self.stamp(&held.file, &held.digest)
        {
            // It is hashed again the next time.
            tracing::debug!("a blob gets no stamp: {error}");
        }
        Ok(held)
    }

    /// Removes a damaged blob, unless its name leads to another file by now.
    pub(super) fn discard(&self, held: &HeldBlob) -> Result<(), PathError> {
        if !self.is_writable {
            return Ok(());
        }
        let _lock = self.lock_exclusive()?;
        let found = held.file.metadata().on("stat", &held.path)?;
        let named = std::fs::symlink_metadata(&held.path);
        if named.is_ok_and(|named| named.ino() == found.ino() && named.dev() == found.dev()) {
            std::fs::remove_file(&held.path).on("remove", &held.path)?;
        }
        Ok(())
    }

    /// Removes a blob that was found damaged, unless it has been replaced meanwhile.
    pub(super) fn discard_named(&self, digest: &Digest) -> Result<(), PathError> {
        if !self.is_writable {
            return Ok(());
        }
        let path = self.blob_path(digest);
        let _lock = self.lock_exclusive()?;
        let Ok(file) = open_to_read(&path) else {
            return Ok(());
        };
        let size = file.metadata().on("stat", &path)?.size();
        let descriptor = Descriptor::new(
            crate::image::MediaType::Other(String::new()),
            digest.clone(),
            size,
        );
        // Replaced by a whole one between our look and the lock: hashed, because nothing else tells.
        if HeldBlob::of_part(file, &path, 0, &descriptor)
            .check()
            .is_ok()
        {
            return Ok(());
        }
        std::fs::remove_file(&path).on("remove", &path)
    }
}
