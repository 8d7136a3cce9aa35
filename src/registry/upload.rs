//! Sending one blob: open a session, send the bytes, close it with the digest; from the start again if it breaks.
//!
//! The whole blob goes in one PUT: every registry of note takes that, and some take nothing else (distribution-spec, "Pushing
//! blobs": "POST then PUT"). Where one refuses, the blob is sent in pieces by PATCH, which can be taken up where it broke.

use std::path::Path;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use tracing::debug;
use url::Url;

use super::client::Repository;
use super::error::RegistryError;
use super::push::{BlobSource, WRITTEN};
use super::request::Body;
use super::scope::{Access, Scope};
use super::upload_session::{OpenUpload, UploadSession};
use crate::http::retry::Retries;
use crate::image::{Descriptor, Digest};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// How a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Whole,
    Pieces,
}

impl Repository {
    /// Sends a blob, into `upload` if the registry has opened one already.
    pub(super) async fn upload(
        &self,
        descriptor: &Descriptor,
        source: &BlobSource,
        mut upload: Option<OpenUpload>,
    ) -> Result<(), RegistryError> {
        check_source(descriptor, source).await?;
        let mut retries = Retries::new(self.transport().retry_policy());
        let mut manner = Manner::Whole;
        loop {
            let opened = match upload.take() {
                Some(opened) => opened,
                None => self.start_upload(Some(&descriptor.digest)).await?,
            };
            let session = opened.session();
            let sent = match manner {
                Manner::Whole => self.send_whole(session, descriptor, source).await,
                Manner::Pieces => {
                    self.send_in_pieces(session.clone(), descriptor, source)
                        .await
                }
            };
            let Err(error) = sent else {
                opened.close();
                return Ok(());
            };
            opened.cancel().await;
            if manner == Manner::Whole && is_against_whole(&error) {
                debug!("sending `{}` in pieces: {error}", descriptor.digest);
                manner = Manner::Pieces;
            } else if is_lost_session(&error) {
                retries.wait_after_lost_session(error).await?;
            } else {
                retries.wait_after(error).await?;
            }
        }
    }

    /// Returns what a token must allow to read here.
    pub(super) fn read_scopes(&self) -> Vec<Scope> {
        vec![Scope::new(self.name(), Access::Pull)]
    }

    async fn send_whole(
        &self,
        session: &UploadSession,
        descriptor: &Descriptor,
        source: &BlobSource,
    ) -> Result<(), RegistryError> {
        let url = closing_url(&session.location, &descriptor.digest);
        let body = source.part(0, descriptor.size);
        let request = self
            .writing(Method::PUT, url)
            .header(CONTENT_TYPE, OCTETS)
            .body(body);
        self.transport()
            .send_for(&request, &WRITTEN)
            .await
            .map(drop)
    }

    async fn send_in_pieces(
        &self,
        mut session: UploadSession,
        descriptor: &Descriptor,
        source: &BlobSource,
    ) -> Result<(), RegistryError> {
        let mut retries = Retries::new(self.transport().retry_policy());
        let (mut sent, mut furthest) = (0, 0);
        while sent < descriptor.size {
            let length = session.chunk_bytes.min(descriptor.size - sent);
            match self.send_piece(&session, source, sent, length).await {
                Ok(next) => {
                    session.location = next;
                    sent += length;
                    // A registry that forgets what it took makes no progress, however often it takes it.
                    if sent > furthest {
                        furthest = sent;
                        retries.reset();
                    }
                }
                Err(error) => {
                    match error.status() {
                        Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                            retries.wait_after_lost_session(error).await?
                        }
                        _ => retries.wait_after(error).await?,
                    }
                    (session.location, sent) = self.ask_progress(&session).await?;
                }
            }
        }
        let url = closing_url(&session.location, &descriptor.digest);
        let request = self.writing(Method::PUT, url);
        self.transport()
            .send_until(&request, &WRITTEN)
            .await
            .map(drop)
    }

    /// Sends one piece; returns where the next one goes.
    async fn send_piece(
        &self,
        session: &UploadSession,
        source: &BlobSource,
        from: u64,
        length: u64,
    ) -> Result<Url, RegistryError> {
        let mut request = self
            .writing(Method::PATCH, session.location.clone())
            .header(CONTENT_TYPE, OCTETS);
        // Both ends included, and no "bytes": the specification's own form.
        if let Ok(range) = HeaderValue::from_str(&format!("{from}-{}", from + length - 1)) {
            request = request.header(CONTENT_RANGE, range);
        }
        let request = request.body(source.part(from, length));
        let response = self.transport().send_for(&request, &WRITTEN).await?;
        Ok(response
            .location()?
            .unwrap_or_else(|| session.location.clone()))
    }

    /// Asks how much of an upload has arrived. What is reported as `0-0` may be one byte or none; none is always right.
    async fn ask_progress(&self, session: &UploadSession) -> Result<(Url, u64), RegistryError> {
        let request = self.writing(Method::GET, session.location.clone());
        let response = self.transport().send_until(&request, &WRITTEN).await?;
        let last = response
            .header(&RANGE)
            .and_then(|range| range.rsplit_once('-')?.1.parse::<u64>().ok());
        let arrived = last
            .filter(|last| *last > 0)
            .map_or(0, |last| last.saturating_add(1));
        let location = response
            .location()?
            .unwrap_or_else(|| session.location.clone());
        Ok((location, arrived))
    }
}

impl BlobSource {
    fn part(&self, offset: u64, length: u64) -> Body {
        match self {
            Self::File(path) => Body::File {
                path: path.clone(),
                offset,
                length,
            },
            Self::Part(part) => Body::File {
                path: part.path.clone(),
                offset: part.start + offset,
                length,
            },
            Self::Bytes(bytes) => {
                Body::Bytes(bytes.slice(offset as usize..(offset + length) as usize))
            }
        }
    }
}

/// A file of another length than announced would break the upload, or worse, not break it.
async fn check_source(descriptor: &Descriptor, source: &BlobSource) -> Result<(), RegistryError> {
    let (path, actual) = match source {
        BlobSource::File(path) => (path.clone(), length_of(path).await?),
        BlobSource::Part(part) => {
            let rest = length_of(&part.path).await?.saturating_sub(part.start);
            (part.path.clone(), part.size.min(rest))
        }
        BlobSource::Bytes(bytes) => (descriptor.digest.as_str().into(), bytes.len() as u64),
    };
    match actual == descriptor.size {
        true => Ok(()),
        false => Err(RegistryError::SourceSize {
            path,
            expected: descriptor.size,
            actual,
        }),
    }
}

async fn length_of(path: &Path) -> Result<u64, RegistryError> {
    let metadata = tokio::fs::metadata(path).await;
    let metadata = metadata.map_err(|source| RegistryError::Source {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(metadata.len())
}

/// The location with the digest added to whatever query it has; nothing else about it is ours to change.
fn closing_url(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    url
}

/// Answers that speak against the way of sending, not against the blob or us.
fn is_against_whole(error: &RegistryError) -> bool {
    let statuses = [
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::LENGTH_REQUIRED,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::RANGE_NOT_SATISFIABLE,
        StatusCode::NOT_IMPLEMENTED,
    ];
    error
        .status()
        .is_some_and(|status| statuses.contains(&status))
        && !is_lost_session(error)
}

/// The session is gone, or what arrived was not what we sent: a new session may do better.
fn is_lost_session(error: &RegistryError) -> bool {
    const CODES: [&str; 4] = [
        "BLOB_UPLOAD_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "DIGEST_INVALID",
        "SIZE_INVALID",
    ];
    let refusal = error.refusal();
    refusal.is_some_and(|refusal| CODES.contains(&refusal.code.as_str()))
}
