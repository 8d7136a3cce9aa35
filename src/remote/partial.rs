//! A file of which the first part is here, and what is to be asked of the server for the rest (RFC 9110, sections 13.1.5
//! and 14). This module sends nothing.

use std::ffi::OsStr;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};

use super::download::Version;
use super::error::RemoteError;
use super::web::Answer;
use crate::fs::{Dir, NewFile, PathError};
use crate::image::Digest;
use crate::image::digest::DigestHasher;

/// A file that is being fetched. What was written stays, should the connection break.
pub(super) struct Partial<'a> {
    file: NewFile<'a>,
    hasher: DigestHasher,
    /// Bytes that are here.
    size: u64,
    version: Version,
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
            size: 0,
            version,
        })
    }

    /// Returns what asks for the rest alone; nothing where the rest might be that of another file. Only a strong tag says
    /// that bytes are the same.
    pub(super) fn headers(&self) -> Option<HeaderMap> {
        if self.size == 0 || !self.version.etag.starts_with('"') {
            return None;
        }
        let range = HeaderValue::try_from(format!("bytes={}-", self.size)).ok()?;
        let tag = HeaderValue::try_from(&self.version.etag).ok()?;
        Some(HeaderMap::from_iter([(RANGE, range), (IF_RANGE, tag)]))
    }

    /// Says whether an answer is the rest. Any other one is a whole file, or nothing to go on with.
    pub(super) fn is_continued_by(&self, answer: &Answer) -> bool {
        let range = answer.header(&CONTENT_RANGE);
        let begins = range
            .strip_prefix("bytes ")
            .and_then(|it| it.split('-').next());
        let begins = begins.and_then(|first| first.trim().parse().ok());
        answer.status() == StatusCode::PARTIAL_CONTENT
            && begins == Some(self.size)
            && [self.version.etag.as_str(), ""].contains(&Version::of(answer).etag.as_str())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file, which is whole, its looks; returns what it is.
    pub(super) fn finish(self, mode: u32) -> Result<(Digest, Version), PathError> {
        self.file.set_mode(mode)?;
        self.file.set_mtime(self.version.mtime())?;
        Ok((self.hasher.finish(), self.version))
    }
}
