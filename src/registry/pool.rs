//! The clients of all registries of a build: one per host, made when first needed, and the mirrors to ask before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::RootCertStore;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::auth::Authorizer;
use super::certs_dir::{self, HostCertificates};
use super::client::{Registry, Repository};
use super::error::RegistryError;
use super::exchange::Exchange;
use super::host::RegistryHost;
use super::options::{Purpose, RegistryOptions, Security};
use super::pull::FetchedManifest;
use super::transport::Transport;
use crate::cloud::CloudHttp;
use crate::http::{
    ClientSettings, HostSettings, TlsSettings, TlsSetupError, http_client, system_roots,
};
use crate::image::{Descriptor, Reference};

/// Makes and keeps clients. Making one asks nobody: errors are about certificate files only.
#[derive(Debug)]
pub struct Registries {
    options: RegistryOptions,
    system_roots: OnceLock<RootCertStore>,
    clients: Mutex<BTreeMap<ClientKey, Registry>>,
    connections: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    certificates: Mutex<BTreeMap<RegistryHost, Arc<HostCertificates>>>,
}

/// Pulling from and pushing to a host share a client unless the flags tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClientKey {
    /// The canonical name: whatever spelling comes first is connected to.
    host: String,
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
            certificates: Mutex::default(),
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
        let setup_failed = |source| RegistryError::Setup {
            registry: host.name().to_owned(),
            source,
        };
        let kept = self.kept_certificates(&host).map_err(setup_failed)?;
        let key = ClientKey {
            security: match self.options.security(&host, purpose) {
                // Somebody has prepared this machine for TLS with it.
                Security::Plain if !kept.is_empty() => Security::Tls,
                security => security,
            },
            skips_verification: self.options.skips_verification(&host, purpose),
            host: host.name().to_owned(),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.connect(&host, &key, &kept).map_err(setup_failed)?;
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
        let ask = |source: Repository| async move {
            let descriptor = source.resolve(asked).await?;
            Ok((source, descriptor))
        };
        self.first_source(reference, ask).await
    }

    /// Reads the manifest or index that a reference names, at the first source that has it, as [`Self::resolve`] does.
    pub async fn fetch_manifest(
        &self,
        reference: &Reference,
    ) -> Result<(Repository, FetchedManifest), RegistryError> {
        let asked = reference.tag_or_digest();
        let ask = |source: Repository| async move {
            let manifest = source.fetch_manifest(asked).await?;
            Ok((source, manifest))
        };
        self.first_source(reference, ask).await
    }

    async fn first_source<T, F, Fut>(
        &self,
        reference: &Reference,
        ask: F,
    ) -> Result<T, RegistryError>
    where
        F: Fn(Repository) -> Fut,
        Fut: Future<Output = Result<T, RegistryError>>,
    {
        let mut sources = self.sources(reference)?;
        let Some(last) = sources.pop() else {
            let reference = reference.to_string();
            return Err(RegistryError::NoSource { reference });
        };
        for source in sources {
            let host = source.registry().host().to_owned();
            match ask(source).await {
                Ok(answer) => return Ok(answer),
                Err(error) => warn!("mirror `{host}` cannot give `{reference}`: {error}"),
            }
        }
        ask(last).await
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

    /// Returns what this machine keeps for a host: looked for once.
    fn kept_certificates(
        &self,
        host: &RegistryHost,
    ) -> Result<Arc<HostCertificates>, TlsSetupError> {
        let mut certificates = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = certificates.get(host) {
            return Ok(Arc::clone(kept));
        }
        let kept = Arc::new(certs_dir::find(&self.options.certificate_dirs, host)?);
        certificates.insert(host.clone(), Arc::clone(&kept));
        Ok(kept)
    }

    fn connect(
        &self,
        host: &RegistryHost,
        key: &ClientKey,
        kept: &HostCertificates,
    ) -> Result<Registry, TlsSetupError> {
        debug!(registry = host.name(), security = ?key.security, "new client");
        let exchange = Exchange::new(
            self.http_client(host, key.skips_verification, kept)?,
            self.options.timeouts,
        );
        let asks_cloud = self.options.keychain.asks_cloud(host);
        let cloud = asks_cloud.then(|| self.cloud_http());
        let keychain = self.options.keychain.clone();
        let headers = keychain.headers();
        let authorizer = Authorizer::new(host.clone(), keychain, cloud);
        let connections = self.connections_of(host);
        let transport = Transport::new(
            host.clone(),
            key.security,
            exchange,
            authorizer,
            headers,
            connections,
            self.options.retry,
        );
        Ok(Registry::new(transport))
    }

    fn http_client(
        &self,
        host: &RegistryHost,
        skips_verification: bool,
        kept: &HostCertificates,
    ) -> Result<reqwest::Client, TlsSetupError> {
        let named = self.options.certificates_of(host);
        let settings = ClientSettings {
            tls: TlsSettings {
                certificates: &[named, &kept.roots].concat(),
                // What was said now counts more than what lies about.
                client: self
                    .options
                    .client_certificate_of(host)
                    .or(kept.client.as_ref()),
                skips_verification,
            },
            proxy: &self.options.proxy,
            timeouts: self.options.timeouts,
            user_agent: &self.options.user_agent,
            idle_connections: self.options.connections_per_registry,
        };
        http_client(self.roots(), &settings)
    }

    /// How a cloud's own servers are asked for credentials. What makes a registry insecure makes none of them so.
    fn cloud_http(&self) -> CloudHttp {
        CloudHttp::new(HostSettings {
            certificates: self.options.registry_certificates.clone(),
            client_certificates: self.options.client_certificates.clone(),
            system_roots: self.options.system_roots.clone(),
            proxy: self.options.proxy.clone(),
            timeouts: self.options.timeouts,
            user_agent: self.options.user_agent.clone(),
            ..HostSettings::default()
        })
    }

    fn roots(&self) -> &RootCertStore {
        self.system_roots
            .get_or_init(|| system_roots(&self.options.system_roots))
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

#[cfg(test)]
mod tests;
