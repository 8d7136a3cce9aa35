//! Blobs that come into the cache.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::blob::{BUFFER_BYTES, BlobProblem, HeldBlob};
use super::temp::TempFile;
use super::{LocalCache, LocalCacheError};
use crate::fs::PathContext;
use crate::image::digest::DigestHasher;
use crate::image::{Descriptor, Digest};

/// A blob that is being written. Dropping it leaves nothing behind.
pub struct NewBlob<'a> {
    cache: &'a LocalCache,
    expected: Digest,
    hasher: DigestHasher,
    size: u64,
    writer: BufWriter<TempWriter>,
}

struct TempWriter(TempFile);

impl Write for TempWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file().flush()
    }
}

impl Write for NewBlob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl NewBlob<'_> {
    /// Puts the blob into the cache, if its bytes have the digest that was announced. Waits until they are on the disk.
    pub fn commit(self) -> Result<HeldBlob, LocalCacheError> {
        let cache = self.cache;
        let held = self.commit_unstamped()?;
        cache.stamp(&held.file, &held.digest)?;
        Ok(held)
    }

    /// As [`commit`](Self::commit) for what is hashed whenever it is read.
    fn commit_unstamped(self) -> Result<HeldBlob, LocalCacheError> {
        let found = self.hasher.finish();
        if found != self.expected {
            let expected = self.expected;
            return Err(LocalCacheError::Mismatch { expected, found });
        }
        let path = self.cache.blob_path(&self.expected);
        let writer = self.writer.into_inner().map_err(|error| error.into_error());
        let TempWriter(temp) = writer.on("write", &path)?;
        let file = {
            let _lock = self.cache.lock_shared()?;
            temp.rename(&path)?
        };
        Ok(HeldBlob::whole(file, &path, self.size, found))
    }
}

impl LocalCache {
    /// Begins to write a blob.
    pub fn write_blob(&self, expected: &Digest) -> Result<NewBlob<'_>, LocalCacheError> {
        self.check_writable()?;
        let path = self.blob_path(expected);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).on("create directory", dir)?;
        }
        let temp = TempFile::create(&self.temp_dir())?;
        Ok(NewBlob {
            cache: self,
            expected: expected.clone(),
            hasher: DigestHasher::new(expected.algorithm()),
            size: 0,
            writer: BufWriter::with_capacity(BUFFER_BYTES, TempWriter(temp)),
        })
    }

    /// Adds a blob from a file that is finished: as a hard link where the file system allows, else as a copy. The bytes
    /// are hashed unless the blob is there already.
    pub fn add_file(
        &self,
        file: &Path,
        descriptor: &Descriptor,
    ) -> Result<HeldBlob, LocalCacheError> {
        if let Some(held) = self.hold_if_whole(descriptor)? {
            return Ok(held);
        }
        self.check_writable()?;
        match self.link(file, descriptor)? {
            Some(held) => Ok(held),
            None => {
                let mut source = File::open(file).on("open", file)?;
                let mut blob = self.write_blob(&descriptor.digest)?;
                io::copy(&mut source, &mut blob).on("copy", file)?;
                blob.commit()
            }
        }
    }

    /// Adds a document, which is hashed whenever it is read.
    pub fn add_document(
        &self,
        bytes: &[u8],
        descriptor: &Descriptor,
    ) -> Result<HeldBlob, LocalCacheError> {
        self.check_writable()?;
        let opened = {
            let _lock = self.lock_shared()?;
            self.open_blob(descriptor)
        };
        if let Ok(held) = opened
            && held.check().is_ok()
        {
            return Ok(held);
        }
        let mut blob = self.write_blob(&descriptor.digest)?;
        let path = self.blob_path(&descriptor.digest);
        blob.write_all(bytes).on("write", path)?;
        blob.commit_unstamped()
    }

    /// Holds a blob if it is there and whole. One that is damaged is removed.
    pub fn hold_if_whole(
        &self,
        descriptor: &Descriptor,
    ) -> Result<Option<HeldBlob>, LocalCacheError> {
        match self.hold(descriptor) {
            Ok(held) => Ok(Some(held)),
            Err(BlobProblem::Missing(_) | BlobProblem::Damaged(_)) => Ok(None),
            Err(BlobProblem::File(error)) => Err(error.into()),
        }
    }

    /// Gives a file another name, that of the blob. `None` where that is not possible.
    fn link(
        &self,
        file: &Path,
        descriptor: &Descriptor,
    ) -> Result<Option<HeldBlob>, LocalCacheError> {
        let path = self.blob_path(&descriptor.digest);
        let held = {
            let _lock = self.lock_shared()?;
            if std::fs::hard_link(file, &path).is_err() {
                return Ok(None);
            }
            match self.open_blob(descriptor) {
                Ok(held) => held,
                Err(problem) => {
                    std::fs::remove_file(&path).on("remove", &path)?;
                    return Err(problem.into());
                }
            }
        };
        if let Err(problem) = held.check() {
            self.discard(&held)?;
            return Err(problem.into());
        }
        self.stamp(&held.file, &held.digest)?;
        Ok(Some(held))
    }
}
