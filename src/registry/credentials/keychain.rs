//! The sources of credentials in their order. This module asks one after the other; it must not know how one finds anything.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::source::{Found, Source};
use super::{Credential, CredentialError, DockerConfig};
use crate::cloud::CloudHttp;
use crate::registry::host::RegistryHost;

/// How long a failure counts. A helper that hangs takes as long to fail, and is not to hold up each request.
const FAILURE_KEPT: Duration = Duration::from_secs(60);

/// The sources of credentials, in the order in which they are asked: the first that has something wins.
#[derive(Clone, Debug, Default)]
pub struct Keychain {
    sources: Vec<Source>,
}

/// What the sources gave for one repository.
#[derive(Debug)]
pub(in crate::registry) struct Lookup {
    /// `None` means anonymous.
    pub(in crate::registry) credential: Option<Credential>,
    /// When to ask again. `None` means never.
    pub(in crate::registry) good_until: Option<Instant>,
    /// One line per source that was asked, in order: what it is, what it gave. No secrets.
    pub(in crate::registry) tried: Vec<String>,
    /// The first failure, if no source had anything.
    pub(in crate::registry) failure: Option<Arc<CredentialError>>,
}

impl Lookup {
    /// Tells whether what was found can still be used.
    pub(in crate::registry) fn is_good(&self) -> bool {
        self.good_until.is_none_or(|until| Instant::now() < until)
    }
}

impl Keychain {
    /// Makes a keychain of docker configs, most important first. Empty means always anonymous.
    pub fn new(configs: Vec<DockerConfig>) -> Self {
        Self::of(configs.into_iter().map(Source::Config).collect())
    }

    /// Makes a keychain of any sources, most important first.
    pub fn of(sources: Vec<Source>) -> Self {
        Self { sources }
    }

    /// Returns what every registry is to see besides credentials; of two with one name the first.
    pub(in crate::registry) fn headers(&self) -> HeaderMap {
        let mut all = HeaderMap::new();
        for (name, value) in self.sources.iter().flat_map(Source::headers) {
            all.entry(name).or_insert_with(|| value.clone());
        }
        all
    }

    /// Tells whether asking for the host's credentials may need a cloud's own servers.
    pub(in crate::registry) fn asks_cloud(&self, host: &RegistryHost) -> bool {
        self.sources.iter().any(|source| source.asks_cloud(host))
    }

    /// Asks the sources in turn. A source that fails is noted, and the next one asked.
    /// `http` is how clouds are reached; without, they are not asked.
    pub(in crate::registry) async fn find(
        &self,
        host: &RegistryHost,
        repository: &str,
        http: Option<&CloudHttp>,
    ) -> Lookup {
        let mut tried = Vec::new();
        let mut failure = None;
        for source in &self.sources {
            let origin = source.origin();
            match source.find(host, repository, http).await {
                Ok(Found::Credential {
                    credential,
                    good_until,
                }) => {
                    tried.push(format!("{origin}: {}", credential.outline()));
                    return Lookup {
                        credential: Some(credential),
                        good_until,
                        tried,
                        failure: None,
                    };
                }
                Ok(Found::Nothing(why)) => tried.push(format!("{origin}: {why}")),
                Err(error) => {
                    tried.push(format!("{origin}: {}", error.without_origin()));
                    failure = failure.or_else(|| Some(Arc::new(error)));
                }
            }
        }
        // What failed may work the next time; the requests of one moment need not each find out.
        let good_until = failure.as_ref().map(|_| Instant::now() + FAILURE_KEPT);
        Lookup {
            credential: None,
            good_until,
            tried,
            failure,
        }
    }
}
