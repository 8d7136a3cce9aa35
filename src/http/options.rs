//! What the user decided about HTTP. This module holds decisions; it must not read files, flags or the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// What we call ourselves.
pub const USER_AGENT: &str = concat!("sawagani/", env!("CARGO_PKG_VERSION"));

/// Certificate and key that a server asks its clients for, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Where root certificates are read from: `file` and `dirs` are what `SSL_CERT_FILE` and `SSL_CERT_DIR` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemRoots {
    /// Replaces the system's bundle.
    pub file: Option<PathBuf>,
    /// Replaces the system's directories; every file in them is read, whatever it is called.
    pub dirs: Vec<PathBuf>,
    /// Files that are read besides, such as GitLab's `CI_SERVER_TLS_CA_FILE`.
    pub more: Vec<PathBuf>,
}

/// As the variables of the same names say.
#[derive(Clone, Default)]
pub struct ProxyOptions {
    /// For `http://` URLs.
    pub http_proxy: Option<Url>,
    /// For `https://` URLs.
    pub https_proxy: Option<Url>,
    /// Hosts, domains and networks to reach directly, with or without a port, separated by commas. Empty for none.
    pub no_proxy: String,
}

/// A proxy's URL may hold a password.
impl fmt::Debug for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |url: &Option<Url>| {
            url.as_ref()
                .and_then(|url| url.host_str().map(str::to_owned))
        };
        f.debug_struct("ProxyOptions")
            .field("http_proxy", &host(&self.http_proxy))
            .field("https_proxy", &host(&self.https_proxy))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// How failed requests are tried again; which ones are is told by [`RetryAdvice`](super::retry::RetryAdvice).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first. 0 means none.
    pub retries: u32,
    /// Before the first retry; doubled for every further one.
    pub first_delay: Duration,
    /// No delay of ours is longer.
    pub longest_delay: Duration,
    /// A `Retry-After` beyond this is not waited for: the request fails and says when to come back.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 4,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(10),
            longest_retry_after: Duration::from_secs(120),
        }
    }
}

/// When to stop waiting. None of these bounds a transfer that makes progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For name resolution, TCP and TLS together.
    pub connect: Duration,
    /// From a request's end to its response's headers, uploads excepted.
    pub response: Duration,
    /// Without a single byte moving in either direction.
    pub idle: Duration,
    /// From a blob's last byte to the answer: registries copy the blob within their storage before they answer.
    pub commit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            response: Duration::from_secs(90),
            idle: Duration::from_secs(90),
            commit: Duration::from_secs(15 * 60),
        }
    }
}
