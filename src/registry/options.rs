//! What the user decided about registries. This module holds decisions; it must not read files, flags or the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::credentials::Keychain;
use super::host::{RegistryHost, canonical};
use crate::http::options::USER_AGENT;
pub use crate::http::options::{
    ClientCertificate, ProxyOptions, RetryPolicy, SystemRoots, Timeouts,
};

/// How registries are spoken to. The default verifies TLS everywhere, uses plain HTTP for loopback hosts only, and is anonymous.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// `--insecure`: hosts that are pushed to may speak plain HTTP.
    pub insecure_push: bool,
    /// `--insecure-pull`: hosts that are pulled from may speak plain HTTP.
    pub insecure_pull: bool,
    /// `--insecure-registry`: these hosts may speak plain HTTP, both ways.
    pub insecure_hosts: BTreeSet<String>,
    /// `--skip-tls-verify`: no certificate is checked.
    pub skip_tls_verify: bool,
    /// `--skip-tls-verify-pull`: no certificate is checked when pulling.
    pub skip_tls_verify_pull: bool,
    /// `--skip-tls-verify-registry`: the certificates of these hosts are not checked.
    pub skip_tls_verify_hosts: BTreeSet<String>,
    /// `--registry-certificate`: PEM files with further roots, for that host only.
    pub registry_certificates: BTreeMap<String, Vec<PathBuf>>,
    /// `--registry-client-cert`: what we show to that host only.
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// Directories with a directory of certificates for each registry, best first: `certs.d` of docker and containers.
    pub certificate_dirs: Vec<PathBuf>,
    /// Where the system's roots are. Empty fields mean the usual places.
    pub system_roots: SystemRoots,
    /// Which proxies to go through. Loopback hosts are always reached directly.
    pub proxy: ProxyOptions,
    /// `--registry-map` and `--registry-mirror`: where to pull from instead, in this order.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// `--skip-default-registry-fallback`: a failing mirror is an error.
    pub skip_default_registry_fallback: bool,
    /// Who may get in where.
    pub keychain: Keychain,
    /// What we call ourselves.
    pub user_agent: String,
    /// How often, and how patiently.
    pub retry: RetryPolicy,
    /// How long.
    pub timeouts: Timeouts,
    /// How many requests run at the same time per registry; a blob being read counts until it is dropped.
    pub connections_per_registry: usize,
}

/// A registry to ask before, or instead of, the one that a reference names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Host and port.
    pub host: String,
    /// Goes before the repository. Empty for none; no slash at either end.
    pub repository_prefix: String,
}

impl Mirror {
    /// Takes `host` or `host/prefix`, as `--registry-map` writes it.
    pub fn parse(text: &str) -> Self {
        let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
        Self {
            host: host.to_owned(),
            repository_prefix: prefix.trim_matches('/').to_owned(),
        }
    }

    /// Returns the repository's name on this mirror.
    pub fn repository(&self, original: &str) -> String {
        match self.repository_prefix.as_str() {
            "" => original.to_owned(),
            prefix => format!("{prefix}/{original}"),
        }
    }
}

/// More connections gain little: the disk and the compressor are the limit by then, and registries count them.
const CONNECTIONS_PER_REGISTRY: usize = 4;

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            insecure_push: false,
            insecure_pull: false,
            insecure_hosts: BTreeSet::new(),
            skip_tls_verify: false,
            skip_tls_verify_pull: false,
            skip_tls_verify_hosts: BTreeSet::new(),
            registry_certificates: BTreeMap::new(),
            client_certificates: BTreeMap::new(),
            certificate_dirs: Vec::new(),
            system_roots: SystemRoots::default(),
            proxy: ProxyOptions::default(),
            mirrors: BTreeMap::new(),
            skip_default_registry_fallback: false,
            keychain: Keychain::default(),
            user_agent: USER_AGENT.to_owned(),
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            connections_per_registry: CONNECTIONS_PER_REGISTRY,
        }
    }
}

/// What a client is for: the flags differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Reading only.
    Pull,
    /// Reading and writing.
    Push,
}

/// How to find out whether a host speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Security {
    /// TLS or nothing.
    Tls,
    /// TLS if the host speaks it, plain HTTP otherwise.
    TlsThenPlain,
    /// Plain HTTP.
    Plain,
}

impl RegistryOptions {
    /// A host with TLS settings of its own speaks TLS, even on loopback. A loopback host without speaks plain HTTP.
    /// An insecure host is tried with TLS first, as kaniko's library does.
    pub(super) fn security(&self, host: &RegistryHost, purpose: Purpose) -> Security {
        let has_tls_settings = find(&self.registry_certificates, host).is_some()
            || find(&self.client_certificates, host).is_some()
            || contains(&self.skip_tls_verify_hosts, host);
        let is_insecure_purpose = match purpose {
            Purpose::Pull => self.insecure_pull,
            Purpose::Push => self.insecure_push,
        };
        let is_insecure = is_insecure_purpose || contains(&self.insecure_hosts, host);
        match (has_tls_settings, is_insecure) {
            (true, false) => Security::Tls,
            (true, true) => Security::TlsThenPlain,
            (false, _) if host.is_loopback() && !self.skips_verification(host, purpose) => {
                Security::Plain
            }
            (false, _) if host.is_loopback() => Security::TlsThenPlain,
            (false, true) => Security::TlsThenPlain,
            (false, false) => Security::Tls,
        }
    }

    /// Tells whether the host's certificate goes unchecked.
    pub(super) fn skips_verification(&self, host: &RegistryHost, purpose: Purpose) -> bool {
        let for_purpose = match purpose {
            Purpose::Pull => self.skip_tls_verify_pull,
            Purpose::Push => false,
        };
        self.skip_tls_verify || for_purpose || contains(&self.skip_tls_verify_hosts, host)
    }

    pub(super) fn certificates_of(&self, host: &RegistryHost) -> &[PathBuf] {
        find(&self.registry_certificates, host).map_or(&[], Vec::as_slice)
    }

    pub(super) fn client_certificate_of(&self, host: &RegistryHost) -> Option<&ClientCertificate> {
        find(&self.client_certificates, host)
    }

    pub(super) fn mirrors_of(&self, host: &RegistryHost) -> &[Mirror] {
        find(&self.mirrors, host).map_or(&[], Vec::as_slice)
    }
}

fn contains(hosts: &BTreeSet<String>, host: &RegistryHost) -> bool {
    hosts.iter().any(|text| canonical(text) == host.name())
}

fn find<'a, T>(by_host: &'a BTreeMap<String, T>, host: &RegistryHost) -> Option<&'a T> {
    let mut entries = by_host.iter();
    entries
        .find(|(text, _)| canonical(text) == host.name())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(options: &RegistryOptions, host: &str, purpose: Purpose) -> Security {
        options.security(&RegistryHost::new(host), purpose)
    }

    #[test]
    fn without_flags_only_loopback_speaks_plain_http() {
        let options = RegistryOptions::default();
        assert_eq!(
            security(&options, "localhost:5000", Purpose::Push),
            Security::Plain
        );
        assert_eq!(
            security(&options, "10.0.0.1:5000", Purpose::Push),
            Security::Tls
        );
    }

    #[test]
    fn insecure_flags_hold_for_their_direction_only() {
        let options = RegistryOptions {
            insecure_push: true,
            ..RegistryOptions::default()
        };
        assert_eq!(
            security(&options, "reg.lan", Purpose::Push),
            Security::TlsThenPlain
        );
        assert_eq!(security(&options, "reg.lan", Purpose::Pull), Security::Tls);
    }

    #[test]
    fn an_insecure_host_is_known_under_each_of_its_spellings() {
        let options = RegistryOptions {
            insecure_hosts: BTreeSet::from(["Reg.lan:443".to_owned()]),
            ..RegistryOptions::default()
        };
        assert_eq!(
            security(&options, "reg.lan", Purpose::Pull),
            Security::TlsThenPlain
        );
        assert_eq!(
            security(&options, "reg.lan:5000", Purpose::Pull),
            Security::Tls
        );
    }

    #[test]
    fn a_loopback_host_with_tls_settings_speaks_tls() {
        let options = RegistryOptions {
            registry_certificates: BTreeMap::from([(
                "localhost:5000".to_owned(),
                vec!["/ca.pem".into()],
            )]),
            ..RegistryOptions::default()
        };
        assert_eq!(
            security(&options, "localhost:5000", Purpose::Pull),
            Security::Tls
        );
        assert_eq!(
            security(&options, "localhost:5001", Purpose::Pull),
            Security::Plain
        );
    }

    #[test]
    fn a_mirror_may_put_a_prefix_before_the_repository() {
        let mirror = Mirror::parse("gitlab.lan:443/group/dependency_proxy/containers/");
        assert_eq!(mirror.host, "gitlab.lan:443");
        assert_eq!(
            mirror.repository("library/alpine"),
            "group/dependency_proxy/containers/library/alpine"
        );
        assert_eq!(
            Mirror::parse("mirror.gcr.io").repository("library/alpine"),
            "library/alpine"
        );
    }
}
