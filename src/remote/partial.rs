//! A file that is being written, of which the first part may stay while the rest is asked for. This module sends nothing.

use std::ffi::OsStr;

use super::download::Version;
use super::error::RemoteError;
use super::received::Received;
use crate::fs::{Dir, NewFile, PathError};
use crate::image::Digest;
use crate::image::digest::DigestHasher;

/// A file that is being fetched. What was written stays, should the connection break.
pub(super) struct Partial<'a> {
    file: NewFile<'a>,
    hasher: DigestHasher,
    pub(super) received: Received,
}

impl<'a> Partial<'a> {
    /// Starts with nothing, in place of what was there.
    pub(super) fn begin(
        dir: &'a Dir,
        name: &'a OsStr,
        version: Version,
    ) -> Result<Self, RemoteError> {
        if dir.metadata_of(name)?.is_some() {
            dir.remove_file(name)?;
        }
        Ok(Self {
            file: dir.create_new_file(name, 0o600)?,
            hasher: DigestHasher::default(),
            received: Received::nothing_of(version),
        })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
        self.received.size += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file, which is whole, its looks; returns what it is.
    pub(super) fn finish(self, mode: u32) -> Result<(Digest, Version), PathError> {
        self.file.set_mode(mode)?;
        self.file.set_mtime(self.received.version.mtime())?;
        Ok((self.hasher.finish(), self.received.version))
    }
}
