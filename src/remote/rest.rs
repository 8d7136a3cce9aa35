//! What is still to come of a file on an HTTP server, asked for where the connection broke. This module must not know who
//! reads it.

use std::fmt;

use reqwest::{Method, StatusCode};
use tracing::debug;

use super::Fetcher;
use super::download::{HttpSource, Version};
use super::error::RemoteError;
use super::received::Received;
use super::web::{Answer, WebRequest};
use crate::http::retry::Retries;

/// So much since the last failure is progress: what failed before no longer counts.
const PROGRESS_THAT_COUNTS: u64 = 1024 * 1024;

/// A file that is being read.
pub(super) struct Rest {
    source: HttpSource,
    received: Received,
    retries: Retries,
    size_at_failure: u64,
}

/// Why there is no rest.
pub(super) enum Ended {
    /// The file must be read again from its beginning.
    Restart(RemoteError),
    /// It has been tried as often as it is worth.
    GivenUp(RemoteError),
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart(error) | Self::GivenUp(error) => error.fmt(formatter),
        }
    }
}

impl Rest {
    /// Begins with nothing.
    pub(super) fn new(source: HttpSource, version: Version, retries: Retries) -> Self {
        Self {
            source,
            received: Received::nothing_of(version),
            retries,
            size_at_failure: 0,
        }
    }

    /// Notes that bytes have come.
    pub(super) fn add(&mut self, count: usize) {
        self.received.size += count as u64;
    }

    /// Asks for the rest, after a failure, until it comes. Blocks.
    pub(super) fn ask_again(
        &mut self,
        fetcher: &Fetcher,
        mut error: RemoteError,
    ) -> Result<Answer, Ended> {
        let size = self.received.size;
        let Some(headers) = self.received.headers() else {
            return Err(Ended::Restart(error));
        };
        if size >= self.size_at_failure + PROGRESS_THAT_COUNTS {
            self.retries.reset();
        }
        self.size_at_failure = size;
        debug!(size, "a download broke off");
        let request = WebRequest {
            headers,
            ..fetcher.request(&self.source, Method::GET)
        };
        loop {
            let waited = fetcher.wait(self.retries.wait_after(error));
            waited.map_err(Ended::GivenUp)?;
            let answer = fetcher.wait(fetcher.web.send(&request));
            match answer.and_then(Answer::accept) {
                Ok(answer) if self.received.is_continued_by(&answer) => return Ok(answer),
                Ok(answer) => {
                    let source = "the server sends it from its beginning, not the rest".into();
                    let call = answer.call;
                    return Err(Ended::Restart(RemoteError::Interrupted { call, source }));
                }
                Err(RemoteError::Refused { call, status, .. }) if no_rest(status) => {
                    let source = format!("the rest was answered with {status}").into();
                    return Err(Ended::Restart(RemoteError::Interrupted { call, source }));
                }
                Err(failed) => error = failed,
            }
        }
    }
}

/// Says whether an answer is about the range that was asked for, and not about the file (RFC 9110, section 14.2): servers
/// and proxies that know no ranges say so in several ways.
fn no_rest(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::NOT_IMPLEMENTED
    )
}
