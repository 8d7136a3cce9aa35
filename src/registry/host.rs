//! A registry's host, and the names under which it is known. This module knows names, not connections.

use std::net::IpAddr;

use crate::image::reference::DOCKER_HUB;

/// Docker Hub's names in references and credential files; all are one registry.
const DOCKER_HUB_NAMES: &[&str] = &[DOCKER_HUB, "index.docker.io", "registry-1.docker.io"];

/// Where Docker Hub's API answers.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// Host and port of a registry. Equal for all spellings of the same registry that do not change how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RegistryHost {
    name: String,
    authority: String,
}

impl RegistryHost {
    /// Takes host and port as a reference or a flag writes them.
    pub(super) fn new(text: &str) -> Self {
        let name = canonical(text);
        let authority = match name.as_str() {
            DOCKER_HUB => DOCKER_HUB_API.to_owned(),
            _ => text.to_ascii_lowercase(),
        };
        Self { name, authority }
    }

    /// Returns the name for looking things up: lower case, without `:443`, `docker.io` for Docker Hub.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns host and port to connect to.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Tells whether the host is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(host_of(&self.authority))
    }
}

/// Returns the spelling under which a registry's settings and credentials are kept.
/// `host:443` is `host` (GitLab's dependency proxy writes the port, its credentials lack it).
pub(super) fn canonical(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix(":443").unwrap_or(&lower);
    match DOCKER_HUB_NAMES.contains(&name) {
        true => DOCKER_HUB.to_owned(),
        false => name.to_owned(),
    }
}

/// Tells whether a host name or address, IPv6 with or without brackets, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_has_one_name_and_an_api_host_of_its_own() {
        for text in [
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "Docker.io:443",
        ] {
            let host = RegistryHost::new(text);
            assert_eq!(
                (host.name(), host.authority()),
                ("docker.io", "registry-1.docker.io")
            );
        }
    }

    #[test]
    fn port_443_is_the_host_without_a_port() {
        assert_eq!(canonical("gitlab.example.com:443"), "gitlab.example.com");
        assert_eq!(
            canonical("gitlab.example.com:5443"),
            "gitlab.example.com:5443"
        );
        assert_eq!(canonical("GHCR.io"), "ghcr.io");
    }

    #[test]
    fn loopback_is_known_by_name_and_by_address() {
        for text in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.8.9.1",
            "[::1]:5000",
            "[::1]",
        ] {
            assert!(RegistryHost::new(text).is_loopback(), "{text}");
        }
        for text in [
            "localhost.example.com",
            "10.0.0.1:5000",
            "[fe80::1]:5000",
            "notlocalhost",
        ] {
            assert!(!RegistryHost::new(text).is_loopback(), "{text}");
        }
    }
}
