//! The manifest's digest, sent to a server: kaniko's `--digest-file` takes an `https://` URL for that.

use std::time::SystemTime;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use thiserror::Error;
use url::Url;

use crate::http::options::USER_AGENT;
use crate::http::retry::{RetryAdvice, Retryable, advice_after, read_retry_after, with_retries};
use crate::http::{Call, ClientSettings, TlsSettings, TlsSetupError, http_client, system_roots};
use crate::image::Digest;
use crate::remote::RemoteOptions;

/// Where the digest is sent to.
#[derive(Debug, Clone)]
pub struct DigestUpload {
    /// May hold a password, which is sent and not shown.
    pub url: Url,
    /// How servers are spoken to.
    pub options: RemoteOptions,
}

/// Why the digest was not taken.
#[derive(Debug, Error)]
pub(super) enum DigestUploadError {
    /// There is no way to speak to the server.
    #[error("cannot set up the connection: {call}")]
    Setup {
        /// The request.
        call: Call,
        /// Why.
        #[source]
        source: TlsSetupError,
    },
    /// No answer.
    #[error("no answer to {call}")]
    Failed {
        /// The request.
        call: Call,
        /// Why. The URL is not in it.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is no success. A redirect is none: what is behind it was not asked for.
    #[error("{call} was answered with {status}")]
    Refused {
        /// The request.
        call: Call,
        /// The answer.
        status: StatusCode,
        /// What it is worth to do now.
        advice: RetryAdvice,
    },
}

impl Retryable for DigestUploadError {
    fn retry_advice(&self) -> RetryAdvice {
        match self {
            Self::Setup { .. } => RetryAdvice::Never,
            Self::Failed { .. } => RetryAdvice::Backoff,
            Self::Refused { advice, .. } => *advice,
        }
    }
}

impl DigestUpload {
    /// Sends the digest: a PUT of the text without a newline.
    pub(super) async fn send(&self, digest: &Digest) -> Result<(), DigestUploadError> {
        let call = Call::new(&Method::PUT, &self.url);
        let client = self.client().map_err(|source| DigestUploadError::Setup {
            call: call.clone(),
            source,
        })?;
        let attempt = || async {
            let request = client
                .put(self.url.clone())
                .header(CONTENT_TYPE, "text/plain")
                .timeout(self.options.timeouts.response)
                .body(digest.to_string());
            let answer = request.send().await;
            let answer = answer.map_err(|error| DigestUploadError::Failed {
                call: call.clone(),
                source: error.without_url(),
            })?;
            let status = answer.status();
            if status.is_success() {
                return Ok(());
            }
            let wait = answer.headers().get(RETRY_AFTER);
            let wait = wait.and_then(|wait| wait.to_str().ok());
            let wait = wait.and_then(|wait| read_retry_after(wait, SystemTime::now()));
            Err(DigestUploadError::Refused {
                call: call.clone(),
                status,
                advice: advice_after(status, wait),
            })
        };
        with_retries(&self.options.retry, attempt).await
    }

    fn client(&self) -> Result<reqwest::Client, TlsSetupError> {
        let options = &self.options;
        let host = self.url.host_str().unwrap_or_default();
        let host = match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let certificates = options.certificates.get(&host);
        let settings = ClientSettings {
            tls: TlsSettings {
                certificates: certificates.map_or(&[], Vec::as_slice),
                client: options.client_certificates.get(&host),
                skips_verification: false,
            },
            proxy: &options.proxy,
            timeouts: options.timeouts,
            user_agent: USER_AGENT,
            idle_connections: 1,
        };
        http_client(&system_roots(&options.system_roots), &settings)
    }
}
