//! Which hosts are reached without a proxy. This module reads the list; it must not know the proxies.
//!
//! The list is Go's (golang.org/x/net/http/httpproxy, `Config.NoProxy`), because jobs write it for kaniko, docker and the
//! cluster alike. reqwest's own knows no ports and no `*.domain`.

use std::net::IpAddr;

use url::{Host, Url};

/// The hosts of a `NO_PROXY`, and this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// `None` for all ports.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name and all names below it.
    Domain(String),
    /// All names below a name.
    Below(String),
    /// Addresses that begin with the same bits.
    Network(IpAddr, u8),
}

impl NoProxy {
    /// Reads names, `.domain`, `*.domain`, addresses, networks and `*`, separated by commas or blanks; all but networks may
    /// have a port. What cannot be read matches nothing.
    pub(super) fn parse(text: &str) -> Self {
        let words = text.split([',', ' ', '\t', '\n']);
        let entries = words.filter(|word| !word.is_empty()).filter_map(entry);
        Self {
            entries: entries.collect(),
        }
    }

    /// Tells whether a URL's host is reached directly. This machine always is, as in Go.
    pub(super) fn contains(&self, url: &Url) -> bool {
        let (Some(host), port) = (url.host(), url.port_or_known_default()) else {
            return true;
        };
        let address = address(&host);
        let name = host.to_string().to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        let is_loopback =
            name == "localhost" || address.is_some_and(|address| address.is_loopback());
        let mut entries = self.entries.iter();
        is_loopback
            || entries.any(|entry| {
                let is_port = entry.port.is_none_or(|wanted| Some(wanted) == port);
                is_port && entry.hosts.contains(name, address)
            })
    }
}

impl Hosts {
    fn contains(&self, name: &str, address: Option<IpAddr>) -> bool {
        let is_below = |domain: &str| {
            let parent = name.strip_suffix(domain);
            parent.is_some_and(|parent| parent.len() > 1 && parent.ends_with('.'))
        };
        match self {
            Self::All => true,
            Self::Domain(domain) => name == domain || is_below(domain),
            Self::Below(domain) => is_below(domain),
            Self::Network(network, bits) => {
                address.is_some_and(|address| has_common_bits(address, *network, *bits))
            }
        }
    }
}

fn address(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address).to_canonical()),
    }
}

fn entry(word: &str) -> Option<Entry> {
    if let Some((network, bits)) = word.split_once('/') {
        let hosts = network_of(bare(network).parse().ok()?, bits.parse().ok()?)?;
        return Some(Entry { hosts, port: None });
    }
    let (host, port) = split_port(word)?;
    if let Ok(address) = bare(host).parse::<IpAddr>() {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let hosts = network_of(address, bits)?;
        return Some(Entry { hosts, port });
    }
    let host = host.to_ascii_lowercase();
    let hosts = match (host.as_str(), host.strip_prefix('*').unwrap_or(&host)) {
        ("*", _) => Hosts::All,
        (_, below) if below.starts_with('.') => Hosts::Below(below[1..].to_owned()),
        (_, domain) => Hosts::Domain(domain.trim_end_matches('.').to_owned()),
    };
    match &hosts {
        Hosts::Domain(domain) | Hosts::Below(domain) if domain.is_empty() => None,
        Hosts::All | Hosts::Domain(_) | Hosts::Below(_) | Hosts::Network(..) => {
            Some(Entry { hosts, port })
        }
    }
}

/// Splits off `:port`. An IPv6 address without brackets has none.
fn split_port(word: &str) -> Option<(&str, Option<u16>)> {
    let is_bare_address = word.parse::<IpAddr>().is_ok() || word.ends_with(']');
    match word.rsplit_once(':').filter(|_| !is_bare_address) {
        None => Some((word, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn network_of(address: IpAddr, bits: u8) -> Option<Hosts> {
    let all = if address.is_ipv4() { 32 } else { 128 };
    (bits <= all).then_some(Hosts::Network(address, bits))
}

fn has_common_bits(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differing = one.to_bits() ^ other.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differing = one.to_bits() ^ other.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_direct(list: &str, url: &str) -> bool {
        NoProxy::parse(list).contains(&Url::parse(url).unwrap())
    }

    #[test]
    fn names_and_what_is_below_them() {
        for (list, url, expected) in [
            ("corp.lan", "https://corp.lan/v2/", true),
            ("corp.lan", "https://reg.corp.lan", true),
            ("corp.lan", "https://notcorp.lan", false),
            ("CORP.lan", "https://Reg.Corp.LAN", true),
            (".corp.lan", "https://reg.corp.lan", true),
            (".corp.lan", "https://corp.lan", false),
            ("*.corp.lan", "https://reg.corp.lan", true),
            ("*.corp.lan", "https://corp.lan", false),
            ("a, corp.lan ,b", "https://corp.lan", true),
            ("*", "https://anything.example", true),
            ("", "https://anything.example", false),
            (",,.,*.", "https://anything.example", false),
        ] {
            assert_eq!(is_direct(list, url), expected, "{list} {url}");
        }
    }

    #[test]
    fn addresses_networks_and_ports() {
        for (list, url, expected) in [
            ("10.1.2.3", "http://10.1.2.3:5000", true),
            ("10.1.2.3", "http://10.1.2.4", false),
            ("10.0.0.0/8", "http://10.200.0.1", true),
            ("10.0.0.0/8", "http://11.0.0.1", false),
            ("0.0.0.0/0", "http://11.0.0.1", true),
            ("fd00::/8", "http://[fd12::1]:5000", true),
            ("fd00::/8", "http://[fe80::1]", false),
            ("::ffff:0:0/96", "http://10.0.0.1", false),
            ("10.0.0.0/33", "http://10.0.0.0", false),
            ("reg.lan:5000", "http://reg.lan:5000", true),
            ("reg.lan:5000", "http://reg.lan:5001", false),
            ("reg.lan:443", "https://reg.lan", true),
            ("reg.lan:80", "https://reg.lan", false),
            ("10.1.2.3:5000", "http://10.1.2.3:5000", true),
            ("[fd12::1]:5000", "http://[fd12::1]:5000", true),
            ("[fd12::1]:5000", "http://[fd12::1]", false),
            ("fd12::1", "http://[fd12::1]:5000", true),
            ("reg.lan:port", "http://reg.lan", false),
        ] {
            assert_eq!(is_direct(list, url), expected, "{list} {url}");
        }
    }

    #[test]
    fn this_machine_is_never_behind_a_proxy() {
        for url in [
            "http://localhost:5000",
            "http://127.0.0.1",
            "http://127.9.9.9",
            "http://[::1]:5000",
        ] {
            assert!(is_direct("", url), "{url}");
        }
        assert!(!is_direct("", "http://localhost.example"));
    }
}
