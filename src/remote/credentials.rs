//! Which secret opens which host. This module knows names of secrets, not how they were given.
//!
//! A secret is for one host. Nothing here is ever printed.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use url::Url;

use crate::http::Password;

/// Who git servers take a token for, whatever it is called there (BuildKit, `source/git`).
const TOKEN_USER: &str = "x-access-token";

/// Secrets by their ids.
#[derive(Clone, Default)]
pub struct Credentials {
    by_id: BTreeMap<String, Password>,
}

impl Credentials {
    /// Keeps those of the secrets that open servers; what ends a line is no part of them. One that is no text opens
    /// nothing.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a String, &'a [u8])>) -> Self {
        let prefixes = ["HTTP_AUTH_", "GIT_AUTH_"];
        let opens = |id: &str| prefixes.iter().any(|prefix| id.starts_with(prefix));
        let read = |(id, contents): (&'a String, &'a [u8])| {
            let text = std::str::from_utf8(contents).ok()?;
            Some((
                id.clone(),
                Password::new(text.trim_end_matches(['\r', '\n'])),
            ))
        };
        let found = secrets.into_iter().filter(|(id, _)| opens(id));
        Self {
            by_id: found.filter_map(read).collect(),
        }
    }

    /// Returns what to show to the host of a file (Dockerfile reference, "ADD", "Adding private files").
    pub(super) fn of_file(&self, url: &Url) -> Option<HeaderValue> {
        let hosts = names_of(url);
        let header = |host: &String| self.get(&format!("HTTP_AUTH_HEADER_{host}"));
        let token = |host: &String| self.get(&format!("HTTP_AUTH_TOKEN_{host}"));
        let header = hosts.iter().find_map(header).map(str::to_owned);
        let token = || {
            let token = hosts.iter().find_map(token)?;
            Some(format!("Bearer {token}"))
        };
        sensitive(header.or_else(token).or_else(|| basic(url)))
    }

    /// Returns what to show to the host of a repository. `is_own`: it is where the repository is that the user named,
    /// so that secrets without a host are meant for it. Where else a submodule is was chosen by a repository: only
    /// secrets of exactly this host and port are for it, and not where everybody on the way could read them.
    pub(super) fn of_repository(&self, url: &Url, is_own: bool) -> Option<HeaderValue> {
        let names = match is_own {
            true => names_of(url),
            false if url.scheme() == "https" => vec![crate::http::authority(url)],
            false => Vec::new(),
        };
        let mut endings: Vec<String> = names.iter().map(|host| format!(".{host}")).collect();
        if is_own {
            endings.push(String::new());
        }
        let found = endings.iter().find_map(|ending| {
            if let Some(header) = self.get(&format!("GIT_AUTH_HEADER{ending}")) {
                return Some(header.to_owned());
            }
            let token = self.get(&format!("GIT_AUTH_TOKEN{ending}"))?;
            Some(basic_header(TOKEN_USER, token))
        });
        sensitive(found.or_else(|| basic(url)))
    }

    fn get(&self, id: &str) -> Option<&str> {
        self.by_id.get(id).map(Password::expose)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.by_id.keys()).finish()
    }
}

/// The host with its port first, then without.
fn names_of(url: &Url) -> Vec<String> {
    let Some(host) = url.host_str() else {
        return Vec::new();
    };
    let with_port = url.port().map(|port| format!("{host}:{port}"));
    with_port.into_iter().chain([host.to_owned()]).collect()
}

/// What a URL says of user and password itself.
fn basic(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = super::percent::decoded(url.username());
    let password = super::percent::decoded(url.password().unwrap_or_default());
    Some(basic_header(
        &String::from_utf8_lossy(&user),
        &String::from_utf8_lossy(&password),
    ))
}

fn basic_header(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn sensitive(text: Option<String>) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text?).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(secrets: &[(&str, &str)]) -> Credentials {
        let owned: Vec<(String, &str)> = secrets
            .iter()
            .map(|(id, text)| ((*id).to_owned(), *text))
            .collect();
        Credentials::new(owned.iter().map(|(id, text)| (id, text.as_bytes())))
    }

    fn shown(value: Option<HeaderValue>) -> String {
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_secret_of_a_file_is_for_its_host_only() {
        let all = credentials(&[
            ("HTTP_AUTH_TOKEN_files.lan", "t1\n"),
            ("HTTP_AUTH_HEADER_files.lan:8443", "Basic abc"),
            ("OTHER", "x"),
        ]);
        let of = |url: &str| shown(all.of_file(&Url::parse(url).unwrap()));
        assert_eq!(of("https://files.lan/a"), "Bearer t1");
        assert_eq!(of("https://files.lan:8443/a"), "Basic abc");
        assert_eq!(of("https://files.lan.evil/a"), "");
        assert_eq!(of("https://u:p%40@other/a"), "Basic dTpwQA==");
        assert!(!format!("{all:?}").contains("t1"));
    }

    #[test]
    fn a_secret_without_a_host_is_for_the_repository_that_the_user_named() {
        let all = credentials(&[
            ("GIT_AUTH_TOKEN", "general"),
            ("GIT_AUTH_TOKEN.sub.lan", "own"),
        ]);
        let of = |url: &str, is_own| shown(all.of_repository(&Url::parse(url).unwrap(), is_own));
        let general = format!("Basic {}", STANDARD.encode("x-access-token:general"));
        let own = format!("Basic {}", STANDARD.encode("x-access-token:own"));
        assert_eq!(of("https://main.lan/r.git", true), general);
        assert_eq!(of("https://elsewhere.lan/r.git", false), "");
        assert_eq!(of("https://sub.lan/r.git", false), own);
        assert_eq!(of("https://sub.lan/r.git", true), own);
    }

    #[test]
    fn a_repository_cannot_choose_a_weaker_place_for_a_secret() {
        let all = credentials(&[
            ("GIT_AUTH_TOKEN.h.lan", "usual"),
            ("GIT_AUTH_HEADER.h.lan:8443", "own"),
        ]);
        let of = |url: &str, is_own| shown(all.of_repository(&Url::parse(url).unwrap(), is_own));
        let usual = format!("Basic {}", STANDARD.encode("x-access-token:usual"));
        for (url, expected) in [
            ("https://h.lan/r", usual.as_str()),
            ("https://h.lan:443/r", &usual),
            ("https://h.lan:8443/r", "own"),
            ("https://h.lan:8444/r", ""),
            ("http://h.lan/r", ""),
            ("http://h.lan:8443/r", ""),
        ] {
            assert_eq!(of(url, false), expected, "{url}");
        }
        assert_eq!(of("https://h.lan:8444/r", true), usual);
        assert_eq!(of("http://h.lan/r", true), usual);
    }
}
