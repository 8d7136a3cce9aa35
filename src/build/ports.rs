//! The words of EXPOSE, `[ip:][host:]port[-port][/protocol]`, read as BuildKit reads them (frontend, `convert_expose.go`).
//!
//! Addresses and ports of the host play no part in an image; that they make sense is checked nevertheless.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Not a port, nor a range of ports.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid port `{word}`: {reason}")]
pub(super) struct PortError {
    /// As given, expanded.
    word: String,
    reason: Reason,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("expected PORT[-PORT][/tcp|udp|sctp]")]
    Form,
    #[error("`{0}` is not an IP address")]
    Address(String),
    #[error("`{0}` is not a port of the host")]
    HostPort(String),
    #[error("there are not as many ports of the host as of the container")]
    Lengths,
}

/// Reads all words into `port/protocol`, one for each port of a range.
pub(super) fn exposed_ports(words: &[String]) -> Result<Vec<String>, PortError> {
    let mut ports = Vec::new();
    for word in words {
        let read = read(word);
        let (range, protocol) = read.map_err(|reason| PortError {
            word: word.clone(),
            reason,
        })?;
        ports.extend(range.map(|port| format!("{port}/{protocol}")));
    }
    Ok(ports)
}

fn read(word: &str) -> Result<(RangeInclusive<u16>, String), Reason> {
    let (host, container) = match word.rsplit_once(':') {
        Some((host, container)) => (Some(host), container),
        None => (None, word),
    };
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => return Err(Reason::Form),
    };
    let range = ports_of(ports).ok_or(Reason::Form)?;
    if let Some(host) = host {
        check_host(host, &range)?;
    }
    Ok((range, protocol))
}

/// Checks `[ip:]port[-port]`, where the port may be left out behind an address.
fn check_host(host: &str, container: &RangeInclusive<u16>) -> Result<(), Reason> {
    let (address, ports) = host.rsplit_once(':').unwrap_or(("", host));
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = bare.unwrap_or(address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(Reason::Address(bare.to_owned()));
    }
    if ports.is_empty() {
        return Ok(());
    }
    let range = ports_of(ports).ok_or_else(|| Reason::HostPort(ports.to_owned()))?;
    // One port may be any of a range of the host's.
    match container.len() == 1 || container.len() == range.len() {
        true => Ok(()),
        false => Err(Reason::Lengths),
    }
}

fn ports_of(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(words: &[&str]) -> Result<Vec<String>, PortError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        exposed_ports(&words)
    }

    #[test]
    fn ports_are_expanded_and_protocols_lowered() {
        let expected = [
            "80/tcp", "53/udp", "7000/tcp", "7001/tcp", "9/sctp", "443/tcp",
        ];
        let words = ["80", "53/UDP", "7000-7001", "9/sctp", "443/"];
        assert_eq!(ports(&words).unwrap(), expected);
    }

    #[test]
    fn what_is_the_hosts_is_checked_and_left_out() {
        let words = [
            "8080:80",
            "127.0.0.1:8443:443/udp",
            "127.0.0.1::81",
            "[::1]:1:82",
            "::1:1:83",
            "9000-9001:84-85",
            "9000-9005:86",
            ":87",
        ];
        let expected = [
            "80/tcp", "443/udp", "81/tcp", "82/tcp", "83/tcp", "84/tcp", "85/tcp", "86/tcp",
            "87/tcp",
        ];
        assert_eq!(ports(&words).unwrap(), expected);
        for word in [
            "localhost:1:80",
            "1.2.3:1:80",
            "x:80",
            "65536:80",
            "9000-9002:80-81",
            "1.2.3.4:80:",
        ] {
            assert!(ports(&[word]).is_err(), "{word}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for word in [
            "", "http", "80/icmp", "65536", "9-8", "+80", "-80", "1-2-3", "/tcp",
        ] {
            assert!(ports(&[word]).is_err(), "{word}");
        }
    }
}
