//! Docker's config.json, as docker, podman and CI servers write it. This module takes its text; it must not find the file.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tracing::info;

use super::helper;
use super::{Credential, CredentialError};
use crate::http::{Password, Token};
use crate::registry::host::{RegistryHost, canonical};

/// Docker Hub's key in `auths`, and the name that helpers know it by.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// People pipe `user:password` through `base64` with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The credentials in one docker config, and the helpers it names.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    origin: String,
    auths: BTreeMap<String, Entry>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
    headers: HeaderMap,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "HttpHeaders")]
    headers: Option<BTreeMap<String, Option<String>>>,
}

/// One value of `auths`, undecoded: an entry that is never needed may be broken.
#[derive(Clone, Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(..)")
    }
}

impl DockerConfig {
    /// Reads the text of a config. `origin` says where it came from, for messages.
    pub fn parse(text: &str, origin: &str) -> Result<Self, CredentialError> {
        // A script that writes an unset variable to the file; docker's CLI reads it as an empty one, too.
        let text = match text.trim() {
            "" => "{}",
            text => text,
        };
        let raw: RawConfig =
            serde_json::from_str(text).map_err(|error| CredentialError::Parse {
                origin: origin.to_owned(),
                line: error.line(),
                column: error.column(),
            })?;
        let headers = shown_headers(raw.headers.unwrap_or_default(), origin)?;
        let auths = raw.auths.unwrap_or_default().into_iter();
        Ok(Self {
            origin: origin.to_owned(),
            auths: auths
                .map(|(key, entry)| (key, entry.unwrap_or_default()))
                .collect(),
            helpers: raw.helpers.unwrap_or_default(),
            store: raw.store.filter(|name| !name.is_empty()),
            headers,
        })
    }

    /// Returns what every registry is to see besides credentials.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns where the text came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Asks the host's helper, or the store for all hosts, then `auths`. `Ok(None)` if none of them knows the host.
    pub(super) async fn find(
        &self,
        host: &RegistryHost,
        repository: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        if let Some((server, name)) = self.helper_for(host) {
            let program = program(name, &self.origin)?;
            if let Some(credential) = helper::get(&program, &server).await? {
                return Ok(Some(credential));
            }
        }
        match self.entry_for(host, repository) {
            Some((key, entry)) => self.decode(key, entry),
            None => Ok(None),
        }
    }

    /// The helper to ask, and what it calls the host.
    fn helper_for(&self, host: &RegistryHost) -> Option<(String, &str)> {
        let server = match host.name() {
            crate::image::reference::DOCKER_HUB => DOCKER_HUB_KEY.to_owned(),
            name => name.to_owned(),
        };
        let mut own = self.helpers.iter();
        let own = own.find(|(key, _)| Key::read(key).host == host.name());
        let name = own.map(|(_, name)| name.as_str());
        Some((server, name.or(self.store.as_deref())?))
    }

    /// The entry with the longest path that the repository lies in; among equals the key that is written most plainly.
    fn entry_for(&self, host: &RegistryHost, repository: &str) -> Option<(&str, &Entry)> {
        let fitting = self.auths.iter().filter_map(|(text, entry)| {
            let key = Key::read(text);
            let fits = key.host == host.name() && key.contains(repository);
            (fits && !entry.is_empty()).then_some((key.path.len(), text, entry))
        });
        let best = fitting
            .max_by_key(|(path_length, text, _)| (*path_length, std::cmp::Reverse(text.len())));
        best.map(|(_, text, entry)| (text.as_str(), entry))
    }

    fn decode(&self, key: &str, entry: &Entry) -> Result<Option<Credential>, CredentialError> {
        entry.decode().map_err(|problem| CredentialError::Entry {
            origin: self.origin.clone(),
            key: key.to_owned(),
            problem,
        })
    }
}

/// Takes the `HttpHeaders` that reach registries. docker sends all of them to its daemon, which passes on those called
/// `X-Meta-…` (seen with docker 28 and a daemon 20.10); others may be meant for the daemon's own door alone.
fn shown_headers(
    given: BTreeMap<String, Option<String>>,
    origin: &str,
) -> Result<HeaderMap, CredentialError> {
    let mut shown = HeaderMap::new();
    for (name, text) in given {
        if !name.to_ascii_lowercase().starts_with("x-meta-") {
            info!(
                "`HttpHeaders` of `{origin}`: `{name}` has no effect: registries see those called X-Meta-…, as with docker"
            );
            continue;
        }
        let pair = HeaderName::try_from(&name)
            .ok()
            .zip(HeaderValue::try_from(text.unwrap_or_default()).ok());
        let (key, mut value) = pair.ok_or_else(|| CredentialError::Header {
            origin: origin.to_owned(),
            name,
        })?;
        value.set_sensitive(true);
        shown.insert(key, value);
    }
    Ok(shown)
}

/// Returns the program of a helper's name, which must be no more than a name.
pub(super) fn program(name: &str, origin: &str) -> Result<String, CredentialError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(CredentialError::HelperName {
            origin: origin.to_owned(),
            name: name.to_owned(),
        });
    }
    Ok(format!("docker-credential-{name}"))
}

/// A key of `auths`, read as docker and podman do.
pub(super) struct Key {
    host: String,
    path: String,
}

impl Key {
    /// A key with a scheme is a URL of the registry's API: its path says nothing. Without, the path limits the entry.
    pub(super) fn read(text: &str) -> Self {
        let (without_scheme, is_url) = match text.split_once("://") {
            Some((_, rest)) => (rest, true),
            None => (text, false),
        };
        let (host, path) = without_scheme
            .split_once('/')
            .unwrap_or((without_scheme, ""));
        let path = match path.trim_matches('/') {
            _ if is_url => "",
            "v1" | "v2" => "",
            path => path,
        };
        Self {
            host: canonical(host),
            path: path.to_owned(),
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Tells whether the key is about all repositories of its host.
    pub(super) fn is_whole_host(&self) -> bool {
        self.path.is_empty()
    }

    fn contains(&self, repository: &str) -> bool {
        let rest = repository.strip_prefix(self.path.as_str());
        rest.is_some_and(|rest| self.path.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }
}

impl Entry {
    /// `docker login` with a store leaves empty entries behind.
    fn is_empty(&self) -> bool {
        let fields = [
            &self.auth,
            &self.username,
            &self.password,
            &self.identitytoken,
            &self.registrytoken,
        ];
        fields
            .iter()
            .all(|field| field.as_deref().unwrap_or_default().is_empty())
    }

    /// Takes the strongest form that the entry has.
    fn decode(&self) -> Result<Option<Credential>, &'static str> {
        let filled = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(Token::new(token))));
        }
        let (username, password) = match filled(&self.auth) {
            Some(auth) => decode_auth(&auth)?,
            None => (
                filled(&self.username).unwrap_or_default(),
                filled(&self.password).unwrap_or_default(),
            ),
        };
        if let Some(token) = filled(&self.identitytoken) {
            let token = Token::new(token);
            return Ok(Some(Credential::IdentityToken { username, token }));
        }
        if username.is_empty() {
            return Err("it has no user name");
        }
        let password = Password::new(password);
        Ok(Some(Credential::Basic { username, password }))
    }
}

fn decode_auth(auth: &str) -> Result<(String, String), &'static str> {
    let compact: String = auth.split_ascii_whitespace().collect();
    let bytes = BASE64.decode(compact).map_err(|_| "`auth` is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "`auth` is not text")?;
    let (username, password) = text
        .split_once(':')
        .ok_or("`auth` is not `user:password`")?;
    // `echo user:password | base64` puts a newline behind, and docker pads with NUL.
    let password = password.trim_end_matches(['\0', '\r', '\n']);
    Ok((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_is_asked_for_what_a_login_stored() {
        let text =
            r#"{"credHelpers":{"docker.io":"a","https://reg.example":"b"},"credsStore":"c"}"#;
        let config = DockerConfig::parse(text, "config.json").unwrap();
        let asked = |host: &str| {
            let asked = config.helper_for(&RegistryHost::new(host)).unwrap();
            (asked.0, asked.1.to_owned())
        };
        for (host, server, name) in [
            ("docker.io", DOCKER_HUB_KEY, "a"),
            ("reg.example", "reg.example", "b"),
            ("other.example", "other.example", "c"),
        ] {
            assert_eq!(asked(host), (server.to_owned(), name.to_owned()));
        }
    }

    #[test]
    fn headers_for_registries_are_dockers_and_are_not_printed() {
        let text = r#"{"HttpHeaders":{"x-meta-team":"hunter2","User-Agent":"hunter2","X-Meta-Empty":null}}"#;
        let config = DockerConfig::parse(text, "config.json").unwrap();
        let names: Vec<&str> = config.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-meta-empty", "x-meta-team"]);
        assert_eq!(config.headers()["x-meta-team"], "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
        let wrong = r#"{"HttpHeaders":{"X-Meta-Team":"hunter\n2"}}"#;
        let error = DockerConfig::parse(wrong, "config.json").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`HttpHeaders` of `config.json`: `X-Meta-Team` or its value is no header"
        );
    }
}
