//! One client for each host: certificates are for one host only. This module must not send anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustls::RootCertStore;
use url::Url;

use super::client::{ClientSettings, http_client};
use super::options::{ClientCertificate, ProxyOptions, SystemRoots, Timeouts, USER_AGENT};
use super::tls::{TlsSettings, TlsSetupError, system_roots};

/// How servers are spoken to. Keys are hosts, with a port where it is not the usual one.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// PEM files with further roots, for that host only.
    pub certificates: BTreeMap<String, Vec<PathBuf>>,
    /// What we show to that host only.
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// Hosts whose certificates go unchecked.
    pub unverified: BTreeSet<String>,
    /// Where the system's roots are.
    pub system_roots: SystemRoots,
    /// Which proxies to go through.
    pub proxy: ProxyOptions,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// What we call ourselves.
    pub user_agent: String,
    /// Connections to a host that are kept open for the next request.
    pub idle_connections: usize,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            certificates: BTreeMap::new(),
            client_certificates: BTreeMap::new(),
            unverified: BTreeSet::new(),
            system_roots: SystemRoots::default(),
            proxy: ProxyOptions::default(),
            timeouts: Timeouts::default(),
            user_agent: USER_AGENT.to_owned(),
            idle_connections: 1,
        }
    }
}

/// Makes and keeps the clients.
#[derive(Debug)]
pub struct HostClients {
    settings: HostSettings,
    roots: OnceLock<RootCertStore>,
    clients: Mutex<BTreeMap<String, reqwest::Client>>,
}

impl HostClients {
    /// Takes the user's decisions; reads no file yet.
    pub fn new(settings: HostSettings) -> Self {
        Self {
            settings,
            roots: OnceLock::new(),
            clients: Mutex::default(),
        }
    }

    /// Returns the client of a URL's host.
    pub fn client(&self, url: &Url) -> Result<reqwest::Client, TlsSetupError> {
        let name = authority(url);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&name) {
            return Ok(client.clone());
        }
        let own = &self.settings;
        let roots = self.roots.get_or_init(|| system_roots(&own.system_roots));
        let certificates = of_host(&own.certificates, url);
        let settings = ClientSettings {
            tls: TlsSettings {
                certificates: certificates.map_or(&[], Vec::as_slice),
                client: of_host(&own.client_certificates, url),
                skips_verification: own.unverified.contains(&name),
            },
            proxy: &own.proxy,
            timeouts: own.timeouts,
            user_agent: &own.user_agent,
            idle_connections: own.idle_connections,
        };
        let client = http_client(roots, &settings)?;
        clients.insert(name, client.clone());
        Ok(client)
    }
}

/// Returns host and port, the usual one left out.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// `host:443` is `host`, as for registries.
fn of_host<'a, T>(by_host: &'a BTreeMap<String, T>, url: &Url) -> Option<&'a T> {
    let own = authority(url);
    let name = |text: &str| {
        let lower = text.to_ascii_lowercase();
        lower.strip_suffix(":443").unwrap_or(&lower).to_owned()
    };
    let mut entries = by_host.iter();
    entries
        .find(|(host, _)| name(host) == own)
        .map(|(_, value)| value)
}
