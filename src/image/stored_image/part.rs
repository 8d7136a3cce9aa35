//! A stretch of bytes in a file, and reading it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::super::digest::{Digest, DigestHasher};
use crate::fs::{PathContext, PathError};

/// A part of a file: one entry of a tar, or all of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// The file.
    pub path: PathBuf,
    /// Where the part begins, in bytes.
    pub start: u64,
    /// How many bytes it has.
    pub size: u64,
}

impl FilePart {
    /// Opens the part for reading, from its first byte.
    pub fn open(&self) -> Result<io::Take<File>, PathError> {
        let mut file = File::open(&self.path).on("open", &self.path)?;
        file.seek(SeekFrom::Start(self.start))
            .on("read", &self.path)?;
        Ok(file.take(self.size))
    }

    /// Says whether the part is the whole file.
    pub fn is_whole_file(&self) -> bool {
        let has_size = |file: std::fs::Metadata| file.len() == self.size;
        self.start == 0 && std::fs::metadata(&self.path).is_ok_and(has_size)
    }

    /// Reads the part; of one that is larger than `limit` so much that it is seen to be.
    pub(super) fn read_at_most(&self, limit: usize) -> Result<Vec<u8>, PathError> {
        let mut bytes = Vec::new();
        let mut reader = self.open()?.take(limit as u64 + 1);
        reader.read_to_end(&mut bytes).on("read", &self.path)?;
        Ok(bytes)
    }
}

/// Reads bytes that should have a digest. The read that finds their end fails if they do not.
pub struct CheckedReader {
    inner: io::Take<File>,
    /// `None` once the end was found.
    hasher: Option<DigestHasher>,
    expected: Digest,
}

impl CheckedReader {
    pub(super) fn new(inner: io::Take<File>, expected: &Digest) -> Self {
        Self {
            inner,
            hasher: Some(DigestHasher::new(expected.algorithm())),
            expected: expected.clone(),
        }
    }
}

impl Read for CheckedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..count]);
            }
            return Ok(count);
        }
        let found = self.hasher.take().map(DigestHasher::finish);
        if found.is_none_or(|found| found == self.expected) {
            return Ok(0);
        }
        let text = format!("the blob `{}` is damaged", self.expected);
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}
