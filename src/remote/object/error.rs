//! What can go wrong with object stores. This module shows no credentials, and no more of a server's words than the code
//! of its error: S3 sends back what was signed.

use std::error::Error;

use reqwest::StatusCode;
use thiserror::Error;

use crate::cloud::{CloudError, Failure};
use crate::http::{Call, Untrusted};

/// Why there is no object.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// A URL without a bucket, or with what does not belong there.
    #[error("expected s3://BUCKET/KEY or gs://BUCKET/OBJECT, without a user, a port or a query")]
    NoBucket,
    /// A name that no request can carry as it is.
    #[error("`{key}` cannot be the name of an object: {source}")]
    Key {
        /// The name.
        key: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An endpoint that is no URL. It may hold a password, and is not shown.
    #[error("the endpoint of the object store is no URL")]
    Endpoint(#[source] url::ParseError),
    /// Nothing was given that could open the store.
    #[error("no credentials for the object store: {tried}")]
    NoCredentials {
        /// What was looked for.
        tried: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// What was given does not work.
    #[error("cannot get credentials for the object store")]
    Credentials(#[source] CloudError),
    /// Keys with characters that no request can carry.
    #[error("the keys for the object store hold a character that none can hold ({tried})")]
    UnusableKeys {
        /// Where they came from.
        tried: String,
    },
    /// The store said no.
    #[error("{call} was answered with {status}{} (credentials: {tried})", coded(.code))]
    Refused {
        /// The request.
        call: Box<Call>,
        /// The answer.
        status: StatusCode,
        /// The store's own word for it. Empty where it said none.
        code: String,
        /// What was shown.
        tried: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// The settings make no sense.
    #[error("cannot use the settings of the object store")]
    Settings(#[source] Box<dyn Error + Send + Sync>),
    /// An answer that makes no sense.
    #[error("unexpected answer to {call}")]
    Protocol {
        /// The request.
        call: Box<Call>,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
}

fn coded(code: &str) -> String {
    match code {
        "" => String::new(),
        code => format!(": {}", Untrusted(code)),
    }
}

impl ObjectError {
    pub(super) fn settings(error: object_store::Error) -> Self {
        Self::Settings(Box::new(error))
    }

    pub(super) fn no_credentials(failure: Failure, hint: &'static str) -> Self {
        match failure {
            Failure::NotConfigured(tried) => Self::NoCredentials { tried, hint },
            Failure::Failed(source) => Self::Credentials(source),
        }
    }

    /// Returns what the user can do.
    pub(in crate::remote) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCredentials { hint, .. } => Some(hint),
            Self::Refused { status, hint, .. } => match *status {
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::MOVED_PERMANENTLY
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::BAD_REQUEST => Some(hint),
                _ => None,
            },
            Self::NoBucket
            | Self::Key { .. }
            | Self::Endpoint(_)
            | Self::Credentials(_)
            | Self::UnusableKeys { .. }
            | Self::Settings(_)
            | Self::Protocol { .. } => None,
        }
    }
}
