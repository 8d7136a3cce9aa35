//! What can go wrong with files from elsewhere, said once: the request, what came back, and whether trying again may
//! help. This module must not log, and shows no URL that has not been redacted.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use thiserror::Error;

use super::git::GitError;
use super::object::ObjectError;
use crate::fs::PathError;
use crate::http::retry::{RetryAdvice, Retryable, advice_after};
use crate::http::{Call, TlsSetupError, tls_failure};
use crate::image::Digest;

/// Why something could not be fetched.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The server said no.
    #[error("{call} was answered with {status}{}", redirected(.asked))]
    Refused {
        /// The request.
        call: Box<Call>,
        /// What it had been before redirects; `None` without.
        asked: Option<Box<Call>>,
        /// The answer.
        status: StatusCode,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// Nobody there.
    #[error("cannot reach the server: {call}")]
    Unreachable {
        /// The request.
        call: Box<Call>,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A certificate that is not trusted, or another failure of TLS.
    #[error("cannot agree on TLS: {call}")]
    Tls {
        /// The request.
        call: Box<Call>,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection broke.
    #[error("connection lost: {call}")]
    Interrupted {
        /// The request.
        call: Box<Call>,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing moved.
    #[error("no answer within {} s: {call}", .after.as_secs())]
    Stalled {
        /// The request.
        call: Box<Call>,
        /// How long was waited.
        after: Duration,
    },
    /// An answer that makes no sense.
    #[error("unexpected answer to {call}: {problem}")]
    Protocol {
        /// The request.
        call: Box<Call>,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes are not those that were asked for.
    #[error("{call} gave `{actual}` instead of `{expected}`")]
    Checksum {
        /// The request.
        call: Box<Call>,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// No connection can be made at all.
    #[error("cannot set up the connection to `{host}`")]
    Setup {
        /// The server.
        host: String,
        /// Why.
        #[source]
        source: TlsSetupError,
    },
    /// Something is wrong with a git repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Something is wrong with an object store.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Files of ours.
    #[error(transparent)]
    File(#[from] PathError),
    /// Somebody asked for an end.
    #[error("the download was stopped")]
    Stopped,
}

fn redirected(asked: &Option<Box<Call>>) -> String {
    match asked {
        Some(asked) => format!(" (redirected from {asked})"),
        None => String::new(),
    }
}

impl RemoteError {
    /// Takes what the HTTP library says of a request. The URL in it may hold a secret.
    pub(super) fn from_exchange(call: Box<Call>, error: reqwest::Error) -> Self {
        let error = error.without_url();
        match (tls_failure(&error).is_some(), error.is_connect()) {
            (true, _) => Self::Tls {
                call,
                source: Box::new(error),
            },
            (false, true) => Self::Unreachable {
                call,
                source: Box::new(error),
            },
            (false, false) => Self::Interrupted {
                call,
                source: Box::new(error),
            },
        }
    }

    /// Says whether other credentials may help. GitHub and others say "not found" of what may not be seen.
    pub fn asks_for_credentials(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(
                *status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
            ),
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Interrupted { .. }
            | Self::Stalled { .. }
            | Self::Protocol { .. }
            | Self::Checksum { .. }
            | Self::Setup { .. }
            | Self::Git(_)
            | Self::Object(_)
            | Self::File(_)
            | Self::Stopped => false,
        }
    }

    /// Returns what the user can do, for what this room knows better than whoever asked.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Object(error) => error.hint(),
            Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Interrupted { .. }
            | Self::Stalled { .. }
            | Self::Protocol { .. }
            | Self::Checksum { .. }
            | Self::Setup { .. }
            | Self::Git(_)
            | Self::File(_)
            | Self::Stopped => None,
        }
    }
}

impl Retryable for RemoteError {
    fn retry_advice(&self) -> RetryAdvice {
        match self {
            Self::Refused {
                status,
                retry_after,
                ..
            } => advice_after(*status, *retry_after),
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Stalled { .. } => {
                RetryAdvice::Backoff
            }
            Self::Tls { .. }
            | Self::Protocol { .. }
            | Self::Checksum { .. }
            | Self::Setup { .. }
            // Whoever speaks to stores has tried again.
            | Self::Object(_)
            | Self::File(_)
            | Self::Stopped => RetryAdvice::Never,
            Self::Git(error) => error.retry_advice(),
        }
    }
}
