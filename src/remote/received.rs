//! How much of a file is here, and what is to be asked of the server for the rest (RFC 9110, sections 13.1.5 and 14). This
//! module sends nothing.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};

use super::download::Version;
use super::web::Answer;

/// The first part of a file, wherever it went.
#[derive(Debug)]
pub(super) struct Received {
    /// Bytes that are here.
    pub(super) size: u64,
    /// Which state of the file they are of.
    pub(super) version: Version,
}

impl Received {
    pub(super) fn nothing_of(version: Version) -> Self {
        Self { size: 0, version }
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
}
