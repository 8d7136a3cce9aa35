//! What can go wrong with object stores. This module shows no credentials, and no more of a server's words than the code
//! of its error: S3 sends back what was signed.

use std::error::Error;

use reqwest::StatusCode;
use thiserror::Error;

use super::super::error::RemoteError;
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
    /// One of two variables that are nothing without each other.
    #[error("{0} is missing, without which the other half means nothing")]
    Half(&'static str),
    /// Nothing was given that could open the store.
    #[error("no credentials for the object store: {tried}")]
    NoCredentials {
        /// What was looked for.
        tried: &'static str,
    },
    /// Where credentials come from, none came.
    #[error("cannot get credentials for the object store (tried: {tried})")]
    Credentials {
        /// What was looked for, and where.
        tried: &'static str,
        /// What the user can do.
        hint: &'static str,
        /// The request that failed.
        source: Box<RemoteError>,
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
        tried: &'static str,
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

/// Says what is wrong with a file of credentials, without what is in it but for names.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_about_names = ["missing field", "unknown variant"];
    match is_about_names.iter().any(|start| text.starts_with(start)) {
        true => format!("the file of credentials cannot be used: {text}"),
        false => format!(
            "the file of credentials cannot be read: line {}, column {}",
            error.line(),
            error.column()
        ),
    }
}

impl ObjectError {
    pub(super) fn settings(error: object_store::Error) -> Self {
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(cause) = next {
            if let Some(json) = cause.downcast_ref::<serde_json::Error>() {
                return Self::Settings(json_problem(json).into());
            }
            next = cause.source();
        }
        Self::Settings(Box::new(error))
    }

    /// Returns what the user can do.
    pub(in crate::remote) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Credentials { hint, .. } => Some(hint),
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
            | Self::Half(_)
            | Self::NoCredentials { .. }
            | Self::Settings(_)
            | Self::Protocol { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_file_of_credentials_is_not_shown() {
        let problem = |text: &str| {
            let read: Result<Vec<String>, serde_json::Error> = serde_json::from_str(text);
            json_problem(&read.unwrap_err())
        };
        assert!(problem("\n\"hunter2\"").ends_with("line 2, column 9"));
    }
}
