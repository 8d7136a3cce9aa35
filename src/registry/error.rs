//! What can go wrong with a registry, said once: the request, what came back, and whether trying again may help.
//! This module must not log, and shows no URL that has not been redacted.

mod judgement;
mod refusal;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use thiserror::Error;

use super::credentials::CredentialError;
use crate::http::TlsSetupError;
pub(super) use crate::http::Untrusted;
pub use crate::http::{Call, TlsTrouble};
use crate::http::{tls_failure, tls_trouble};
use crate::image::Digest;
use crate::image::config::ConfigError;
use crate::image::manifest::{ManifestError, NoMatchingPlatform};

pub use self::judgement::ErrorKind;
pub use self::refusal::Refusal;

/// A request that did not do what it was for.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The registry answered, with a status that means no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The token server answered, with a status that means no.
    #[error("no token for `{registry}`: {refusal}")]
    TokenRefused {
        /// The registry that the token was for.
        registry: String,
        /// What the token server said.
        refusal: Box<Refusal>,
    },
    /// A 401 that asks for something we cannot do, or for nothing.
    #[error("{refusal}: unsupported challenge `{challenge}`")]
    UnsupportedChallenge {
        /// The registry's answer.
        refusal: Box<Refusal>,
        /// Its `WWW-Authenticate` header; empty if there is none.
        challenge: String,
    },
    /// A registry that speaks TLS wants the password sent without.
    #[error("`{registry}` asks to send credentials over plain http to `{realm}`")]
    InsecureRealm {
        /// The registry.
        registry: String,
        /// Host of its token server.
        realm: String,
    },
    /// The sources of credentials failed, and writing needs them.
    #[error("no credentials for `{registry}`")]
    Credentials {
        /// The registry.
        registry: String,
        /// Which sources were asked, and what each gave.
        tried: Vec<String>,
        /// The first failure.
        #[source]
        source: Arc<CredentialError>,
    },
    /// A host that no URL can hold.
    #[error("`{host}` is not a host name")]
    Host {
        /// As given.
        host: String,
        /// Why.
        #[source]
        source: url::ParseError,
    },
    /// No mirror and no registry to ask.
    #[error("there is no registry to ask for `{reference}`")]
    NoSource {
        /// What was wanted.
        reference: String,
    },
    /// No name, no route, nobody listening.
    #[error("cannot reach the registry: {call}")]
    Unreachable {
        /// What was tried.
        call: Box<Call>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificate is not trusted, or the handshake failed otherwise.
    #[error("cannot agree on TLS: {call}")]
    Tls {
        /// What was tried.
        call: Box<Call>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What answered does not speak TLS.
    #[error("the registry does not speak TLS: {call}")]
    NotTls {
        /// What was tried.
        call: Box<Call>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke in the middle.
    #[error("connection lost: {call}")]
    Interrupted {
        /// What was being done.
        call: Box<Call>,
        /// How.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing moved for too long.
    #[error("no answer within {} s: {call}", .after.as_secs())]
    Stalled {
        /// What was being done.
        call: Box<Call>,
        /// How long nothing moved.
        after: Duration,
    },
    /// An answer that distribution-spec does not allow.
    #[error("unexpected answer to {call}: {problem}")]
    Protocol {
        /// What was asked.
        call: Box<Call>,
        /// What is wrong with the answer.
        problem: String,
    },
    /// Content that is not what its digest says.
    #[error("digest mismatch: {call} gave `{actual}` instead of `{expected}`")]
    DigestMismatch {
        /// What was read or written.
        call: Box<Call>,
        /// As asked for.
        expected: Digest,
        /// As computed, or as the registry computed it.
        actual: Digest,
    },
    /// Content that is shorter or longer than its descriptor says.
    #[error("size mismatch: {call} gave {actual} bytes instead of {expected}")]
    SizeMismatch {
        /// What was read or written.
        call: Box<Call>,
        /// As asked for.
        expected: u64,
        /// As counted; at least that many if there are too many.
        actual: u64,
    },
    /// More than we are willing to hold.
    #[error("the answer to {call} is larger than {limit} bytes")]
    TooLarge {
        /// What was read.
        call: Box<Call>,
        /// In bytes.
        limit: u64,
    },
    /// A manifest that cannot be used.
    #[error("unusable manifest from {call}")]
    Manifest {
        /// Where it came from.
        call: Box<Call>,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// A list of what is about an image that cannot be kept.
    #[error("cannot list what is about an image of `{repository}`")]
    Referrers {
        /// Where the list would be.
        repository: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// A config that cannot be used.
    #[error("unusable image config `{digest}`")]
    Config {
        /// Its digest.
        digest: Digest,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// An index without the platform.
    #[error("cannot use `{image}`")]
    Platform {
        /// The repository and the tag or digest.
        image: String,
        /// What there is instead.
        #[source]
        source: NoMatchingPlatform,
    },
    /// The blob to push cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file to push is not as long as its descriptor says.
    #[error("`{}` has {actual} bytes instead of {expected}", .path.display())]
    SourceSize {
        /// The file.
        path: PathBuf,
        /// As its descriptor says.
        expected: u64,
        /// As it is.
        actual: u64,
    },
    /// A client cannot be made of the options.
    #[error("cannot set up the connection to `{registry}`")]
    Setup {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: TlsSetupError,
    },
}

impl RegistryError {
    /// Returns the status of the answer. `None` if there was none, or if it was not the trouble.
    pub fn status(&self) -> Option<StatusCode> {
        self.refusal().map(|refusal| refusal.status)
    }

    /// Returns the sources of credentials that were asked, and what each gave. Empty if it was not about access.
    pub fn credentials_tried(&self) -> &[String] {
        match self {
            Self::Credentials { tried, .. } => tried,
            other => other
                .refusal()
                .map_or(&[], |refusal| &refusal.credentials_tried),
        }
    }

    /// Returns what stood in the way of TLS. `None` if it was not TLS.
    pub fn tls_trouble(&self) -> Option<TlsTrouble> {
        if let Self::Tls { source, .. } | Self::Interrupted { source, .. } = self {
            return tls_trouble(&**source);
        }
        // nginx says it in plain words, within TLS.
        let refusal = self.refusal()?;
        let is_about_ours = refusal.is_about_client_certificate();
        is_about_ours.then_some(TlsTrouble::ClientCertificate)
    }

    /// Returns the request that failed. `None` if it did not come to one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Unreachable { call, .. }
            | Self::Tls { call, .. }
            | Self::NotTls { call, .. }
            | Self::Interrupted { call, .. }
            | Self::Stalled { call, .. }
            | Self::Protocol { call, .. }
            | Self::DigestMismatch { call, .. }
            | Self::SizeMismatch { call, .. }
            | Self::TooLarge { call, .. }
            | Self::Manifest { call, .. } => Some(call),
            Self::Refused(refusal)
            | Self::TokenRefused { refusal, .. }
            | Self::UnsupportedChallenge { refusal, .. } => Some(&refusal.call),
            Self::InsecureRealm { .. }
            | Self::Credentials { .. }
            | Self::Host { .. }
            | Self::NoSource { .. }
            | Self::Referrers { .. }
            | Self::Config { .. }
            | Self::Platform { .. }
            | Self::Source { .. }
            | Self::SourceSize { .. }
            | Self::Setup { .. } => None,
        }
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal)
            | Self::TokenRefused { refusal, .. }
            | Self::UnsupportedChallenge { refusal, .. } => Some(refusal),
            Self::InsecureRealm { .. }
            | Self::Credentials { .. }
            | Self::Host { .. }
            | Self::NoSource { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::NotTls { .. }
            | Self::Interrupted { .. }
            | Self::Stalled { .. }
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
            | Self::Setup { .. } => None,
        }
    }

    /// Sorts a failure below HTTP: could not connect, TLS, broken.
    pub(super) fn from_exchange(call: Box<Call>, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let source: Box<dyn std::error::Error + Send + Sync>;
        match (tls_failure(&error), error.is_connect()) {
            (Some(rustls::Error::InvalidMessage(_)), _) => {
                source = Box::new(error);
                Self::NotTls { call, source }
            }
            (Some(_), _) => {
                source = Box::new(error);
                Self::Tls { call, source }
            }
            (None, true) => {
                source = Box::new(error);
                Self::Unreachable { call, source }
            }
            (None, false) => {
                source = Box::new(error);
                Self::Interrupted { call, source }
            }
        }
    }
}

#[cfg(test)]
mod tests;
