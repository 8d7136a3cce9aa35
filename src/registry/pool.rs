//! The clients of all registries of a build: one per host, made when first needed, and the mirrors to ask before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use reqwest::{NoProxy, Proxy, redirect};
use rustls::RootCertStore;
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use url::Url;

use super::auth::Authorizer;
use super::client::{Registry, Repository};
use super::error::RegistryError;
use super::exchange::Exchange;
use super::host::{RegistryHost, is_loopback};
use super::options::{ProxyOptions, Purpose, RegistryOptions, Security};
use super::pull::FetchedManifest;
use super::tls::{self, TlsSettings, TlsSetupError};
use super::transport::Transport;
use crate::image::{Descriptor, Reference};

/// Makes and keeps clients. Making one asks nobody: errors are about certificate files only.
#[derive(Debug)]
pub struct Registries {
    options: RegistryOptions,
    system_roots: OnceLock<RootCertStore>,
    clients: Mutex<BTreeMap<ClientKey, Registry>>,
    connections: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// Pulling from and pushing to a host share a client unless the flags tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClientKey {
    host: RegistryHost,
    security: Security,
    skips_verification: bool,
}

impl Registries {
    /// Takes the user's decisions; reads no file yet.
    pub fn new(options: RegistryOptions) -> Self {
        Self {
            options,
            system_roots: OnceLock::new(),
            clients: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    /// Returns the repository that a reference names, for pushing, or for pulling past all mirrors.
    pub fn repository(
        &self,
        reference: &Reference,
        purpose: Purpose,
    ) -> Result<Repository, RegistryError> {
        let registry = self.registry(reference.registry(), purpose)?;
        Ok(registry.repository(reference.repository()))
    }

    /// Returns the client of a host.
    pub fn registry(&self, host: &str, purpose: Purpose) -> Result<Registry, RegistryError> {
        let host = RegistryHost::new(host);
        let key = ClientKey {
            security: self.options.security(&host, purpose),
            skips_verification: self.options.skips_verification(&host, purpose),
            host,
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.connect(&key).map_err(|source| RegistryError::Setup {
            registry: key.host.name().to_owned(),
            source,
        })?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    /// Finds out what a tag stands for, at the first source that knows: the mirrors in their order, then the registry itself.
    /// The repository is where to read on. The descriptor's digest is the registry's word until its content has been read.
    pub async fn resolve(
        &self,
        reference: &Reference,
    ) -> Result<(Repository, Descriptor), RegistryError> {
        let asked = reference.tag_or_digest();
        let ask = async |source: &Repository| source.resolve(asked).await;
        self.first_source(reference, ask).await
    }

    /// Reads the manifest or index that a reference names, at the first source that has it, as [`Self::resolve`] does.
    pub async fn fetch_manifest(
        &self,
        reference: &Reference,
    ) -> Result<(Repository, FetchedManifest), RegistryError> {
        let asked = reference.tag_or_digest();
        let ask = async |source: &Repository| source.fetch_manifest(asked).await;
        self.first_source(reference, ask).await
    }

    async fn first_source<T>(
        &self,
        reference: &Reference,
        ask: impl AsyncFn(&Repository) -> Result<T, RegistryError>,
    ) -> Result<(Repository, T), RegistryError> {
        let mut sources = self.sources(reference)?;
        let last = sources.pop();
        for source in sources {
            match ask(&source).await {
                Ok(answer) => return Ok((source, answer)),
                Err(error) => warn!(
                    "mirror `{}` cannot give `{reference}`: {error}",
                    source.registry().host()
                ),
            }
        }
        match last {
            Some(source) => ask(&source).await.map(|answer| (source, answer)),
            None => Err(RegistryError::NoSource {
                reference: reference.to_string(),
            }),
        }
    }

    /// Mirrors first, in order; the registry itself last, unless the user wants mirrors only.
    fn sources(&self, reference: &Reference) -> Result<Vec<Repository>, RegistryError> {
        let mirrors = self
            .options
            .mirrors_of(&RegistryHost::new(reference.registry()));
        let mut sources = Vec::with_capacity(mirrors.len() + 1);
        for mirror in mirrors {
            let registry = self.registry(&mirror.host, Purpose::Pull)?;
            sources.push(registry.repository(&mirror.repository(reference.repository())));
        }
        if mirrors.is_empty() || !self.options.skip_default_registry_fallback {
            sources.push(self.repository(reference, Purpose::Pull)?);
        }
        Ok(sources)
    }

    fn connect(&self, key: &ClientKey) -> Result<Registry, TlsSetupError> {
        let ClientKey { host, security, .. } = key;
        debug!(registry = host.name(), ?security, "new client");
        let exchange = Exchange::new(self.http_client(key)?, self.options.timeouts);
        let authorizer = Authorizer::new(host.clone(), self.options.keychain.clone());
        let connections = self.connections_of(host);
        let transport = Transport::new(
            host.clone(),
            *security,
            exchange,
            authorizer,
            connections,
            self.options.retry,
        );
        Ok(Registry::new(transport))
    }

    fn http_client(&self, key: &ClientKey) -> Result<reqwest::Client, TlsSetupError> {
        let settings = TlsSettings {
            certificates: self.options.certificates_of(&key.host),
            client: self.options.client_certificate_of(&key.host),
            skips_verification: key.skips_verification,
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(self.roots(), &settings)?)
            // One connection per request in flight: a stream that a registry resets takes no other with it.
            .http1_only()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .proxy(proxy(&self.options.proxy))
            .user_agent(self.options.user_agent.as_str())
            .connect_timeout(self.options.timeouts.connect)
            .pool_max_idle_per_host(self.options.connections_per_registry)
            .build()
            .map_err(TlsSetupError::Http)
    }

    fn roots(&self) -> &RootCertStore {
        self.system_roots
            .get_or_init(|| tls::system_roots(&self.options.system_roots))
    }

    fn connections_of(&self, host: &RegistryHost) -> Arc<Semaphore> {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let limit = self.options.connections_per_registry.max(1);
        let semaphore = connections.entry(host.name().to_owned());
        Arc::clone(semaphore.or_insert_with(|| Arc::new(Semaphore::new(limit))))
    }
}

fn proxy(options: &ProxyOptions) -> Proxy {
    let (http, https) = (options.http_proxy.clone(), options.https_proxy.clone());
    let choose = move |url: &Url| match url.scheme() {
        _ if is_loopback(url.host_str().unwrap_or_default()) => None,
        "https" => https.clone(),
        _ => http.clone(),
    };
    Proxy::custom(choose).no_proxy(NoProxy::from_string(&options.no_proxy))
}
