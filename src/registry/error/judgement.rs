//! What an error comes down to, and whether the request may be sent again.

use super::RegistryError;
use crate::http::retry::{RetryAdvice, Retryable};

/// What an error comes down to, for whoever adds a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not without (other) credentials.
    Unauthorized,
    /// Not with these credentials.
    Forbidden,
    /// No such repository, tag, digest or upload.
    NotFound,
    /// Rate or quota exceeded.
    TooManyRequests,
    /// The tag exists, and stays what it is.
    TagImmutable,
    /// The registry takes no such manifests.
    UnsupportedMediaType,
    /// Too large for the registry or something before it.
    ContentTooLarge,
    /// Nobody there.
    Unreachable,
    /// A certificate that is not trusted, or another failure of TLS.
    Tls,
    /// Plain HTTP where TLS was expected.
    NotTls,
    /// The connection broke, or nothing moved.
    Interrupted,
    /// The registry is at fault: 5xx, or an answer against the specification.
    Server,
    /// Content is not what its digest or size says.
    Corrupt,
    /// Nothing here for the platform.
    NoPlatform,
    /// Our side: files, certificates, credentials.
    Local,
    /// Any other refusal.
    Refused,
}

impl RegistryError {
    /// Returns what the error comes down to.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(refusal) => refusal.kind(),
            Self::TokenRefused { refusal, .. } => match refusal.kind() {
                // Token servers answer a wrong password in many ways.
                ErrorKind::NotFound | ErrorKind::Refused => ErrorKind::Unauthorized,
                other => other,
            },
            Self::UnsupportedChallenge { .. } | Self::InsecureRealm { .. } => {
                ErrorKind::Unauthorized
            }
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::Tls { .. } => ErrorKind::Tls,
            Self::NotTls { .. } => ErrorKind::NotTls,
            Self::Interrupted { .. } | Self::Stalled { .. } => ErrorKind::Interrupted,
            Self::Protocol { .. } | Self::TooLarge { .. } => ErrorKind::Server,
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => ErrorKind::Corrupt,
            Self::Manifest { .. } | Self::Referrers { .. } | Self::Config { .. } => {
                ErrorKind::Corrupt
            }
            Self::Platform { .. } => ErrorKind::NoPlatform,
            Self::Credentials { .. } | Self::Host { .. } | Self::NoSource { .. } => {
                ErrorKind::Local
            }
            Self::Source { .. } | Self::SourceSize { .. } | Self::Setup { .. } => ErrorKind::Local,
        }
    }
}

impl Retryable for RegistryError {
    /// Tells whether sending the same request again may help:
    ///
    /// | what happened | again? |
    /// |---|---|
    /// | cannot connect, connection lost, nothing moved | yes |
    /// | 408, 425, 429, 499, 500, 502, 503, 504 and other 5xx, from the registry or its token server | yes |
    /// | the same with `Retry-After` | after that time, if it is bearable |
    /// | 501, 505 and all other statuses | no |
    /// | TLS, wrong content, files, credentials | no |
    fn retry_advice(&self) -> RetryAdvice {
        match self {
            Self::Refused(refusal) | Self::TokenRefused { refusal, .. } => refusal.retry_advice(),
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Stalled { .. } => {
                RetryAdvice::Backoff
            }
            Self::UnsupportedChallenge { .. }
            | Self::InsecureRealm { .. }
            | Self::Credentials { .. }
            | Self::Host { .. }
            | Self::NoSource { .. }
            | Self::Tls { .. }
            | Self::NotTls { .. }
            | Self::Protocol { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::TooLarge { .. }
            | Self::Manifest { .. }
            | Self::Referrers { .. }
            | Self::Config { .. }
            | Self::Platform { .. }
            | Self::Source { .. }
            | Self::SourceSize { .. }
            | Self::Setup { .. } => RetryAdvice::Never,
        }
    }
}
