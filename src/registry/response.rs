//! What came back: status and headers at once, the body piece by piece. This module knows what an answer looks like,
//! not what it was an answer to.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::error::{Call, Refusal, RegistryError};
use crate::http::retry::read_retry_after;

/// A refusal's own words are a few hundred bytes; pages of HTML are cut here.
const MAX_REFUSAL_BYTES: u64 = 64 * 1024;

/// A response whose body has not been read.
#[derive(Debug)]
pub(super) struct Response {
    call: Box<Call>,
    inner: reqwest::Response,
    idle: Duration,
    is_from_elsewhere: bool,
    credentials_tried: Vec<String>,
    /// Read, but not yet given out.
    put_back: Option<Bytes>,
    _connection: Option<OwnedSemaphorePermit>,
}

impl Response {
    pub(super) fn new(call: Box<Call>, inner: reqwest::Response, idle: Duration) -> Self {
        Self {
            call,
            inner,
            idle,
            is_from_elsewhere: false,
            credentials_tried: Vec::new(),
            put_back: None,
            _connection: None,
        }
    }

    /// Notes that redirects led to another host.
    pub(super) fn redirected(self, is_from_elsewhere: bool) -> Self {
        Self {
            is_from_elsewhere,
            ..self
        }
    }

    /// Keeps the connection counted as busy until the response is dropped.
    pub(super) fn holding(self, connection: OwnedSemaphorePermit) -> Self {
        Self {
            _connection: Some(connection),
            ..self
        }
    }

    /// Notes what was tried to get in, for the error if this is a refusal.
    pub(super) fn after_trying(self, credentials_tried: Vec<String>) -> Self {
        Self {
            credentials_tried,
            ..self
        }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Tells whether another host than the one asked has answered.
    pub(super) fn is_from_elsewhere(&self) -> bool {
        self.is_from_elsewhere
    }

    /// Returns a header's text. `None` if it is missing, or not ASCII.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Returns the length that the server announced. `None` if it did not.
    pub(super) fn announced_length(&self) -> Option<u64> {
        self.header(&reqwest::header::CONTENT_LENGTH)?.parse().ok()
    }

    /// Returns `Location`, which may be relative, in full and with its query. `None` if it is missing.
    pub(super) fn location(&self) -> Result<Option<Url>, RegistryError> {
        let Some(text) = self.header(&LOCATION) else {
            return Ok(None);
        };
        match self.inner.url().join(text) {
            Ok(url) if url.scheme() == "http" && self.inner.url().scheme() == "https" => {
                Err(self.protocol_error("its `Location` leads from https to http"))
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
            _ => Err(self.protocol_error("its `Location` is not a URL")),
        }
    }

    /// Returns a URL that the server has written, in full. `None` if it is none, or on another server.
    pub(super) fn resolve(&self, text: &str) -> Option<Url> {
        let target = self.inner.url().join(text).ok()?;
        (target.origin() == self.inner.url().origin()).then_some(target)
    }

    pub(super) fn protocol_error(&self, problem: &str) -> RegistryError {
        RegistryError::Protocol {
            call: self.call.clone(),
            problem: problem.to_owned(),
        }
    }

    /// Gives the response back if it has one of the statuses, and an error that holds the server's words otherwise.
    pub(super) async fn accept(self, statuses: &[StatusCode]) -> Result<Self, RegistryError> {
        match statuses.contains(&self.status()) {
            true => Ok(self),
            false => Err(RegistryError::Refused(Box::new(self.into_refusal().await))),
        }
    }

    pub(super) async fn into_refusal(mut self) -> Refusal {
        let status = self.status();
        let wait = self.header(&RETRY_AFTER);
        let wait = wait.and_then(|text| read_retry_after(text, SystemTime::now()));
        let mut body = BytesMut::new();
        // Whatever can be read of the words is good enough.
        while let Ok(Some(chunk)) = self.next_chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > MAX_REFUSAL_BYTES {
                break;
            }
        }
        let mut refusal = Refusal::read(*self.call, status, wait, &body);
        refusal.credentials_tried = self.credentials_tried;
        refusal
    }

    /// Reads a whole body that is meant to be small.
    pub(super) async fn body(mut self, limit: u64) -> Result<Bytes, RegistryError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next_chunk().await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(RegistryError::TooLarge {
                    call: self.call,
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Reads an unimportant body so that the connection can be used again, and lets the response go.
    pub(super) async fn discard(self) {
        let _ = self.into_refusal().await;
    }

    /// Gives a piece back: it will be the next one.
    pub(super) fn put_back(&mut self, chunk: Bytes) {
        self.put_back = Some(chunk);
    }

    /// Returns the next piece of the body. `None` at its end.
    pub(super) async fn next_chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        if let Some(chunk) = self.put_back.take() {
            return Ok(Some(chunk));
        }
        match tokio::time::timeout(self.idle, self.inner.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(RegistryError::from_exchange(self.call.clone(), error)),
            Err(_) => Err(RegistryError::Stalled {
                call: self.call.clone(),
                after: self.idle,
            }),
        }
    }
}
