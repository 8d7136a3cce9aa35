//! What a login leaves behind: an entry of a docker config, or of the helper that the config names. This module changes a
//! config's text, of which it keeps what it does not know; it must not read or write files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::docker_config::{DOCKER_HUB_KEY, Key, program};
use super::{CredentialError, helper};
use crate::http::Password;
use crate::image::reference::DOCKER_HUB;
use crate::registry::host::canonical;

/// Why a config's text cannot be changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Something is where an object should be. It is not quoted.
    #[error("{0} is not a JSON object")]
    Form(&'static str),
    /// The registry is more than a host.
    #[error("`{0}` is not the name of a registry, expected HOST[:PORT]")]
    Host(String),
}

/// A docker config that can be changed.
#[derive(Debug)]
pub struct StoredConfig {
    root: Map<String, Value>,
}

/// Returns the key of a registry in `auths`, and the name that helpers know it by: docker's, for Docker Hub the URL.
pub fn config_key(registry: &str) -> Result<String, StoreError> {
    let rest = registry
        .split_once("://")
        .map_or(registry, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let is_api = matches!(path.trim_matches('/'), "" | "v1" | "v2");
    if host.is_empty() || !host.bytes().all(is_plain) || !is_api {
        return Err(StoreError::Host(registry.to_owned()));
    }
    match canonical(host) {
        name if name == DOCKER_HUB => Ok(DOCKER_HUB_KEY.to_owned()),
        name => Ok(name),
    }
}

impl StoredConfig {
    /// Reads a config's text; an empty one is an empty config.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        if text.trim().is_empty() {
            let root = Map::new();
            return Ok(Self { root });
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(root)) => Ok(Self { root }),
            Ok(_) | Err(_) => Err(StoreError::Form("the file")),
        }
    }

    /// Returns the config's text, as docker lays it out.
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        let layout = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, layout);
        // A map of strings and values can always be written.
        let _ = serde::Serialize::serialize(&self.root, &mut serializer);
        let mut text = String::from_utf8(bytes).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Returns the program that keeps a registry's login: its own helper, or the store for all.
    pub fn helper(&self, key: &str) -> Result<Option<String>, CredentialError> {
        let wanted = Key::read(key);
        let helpers = self.root.get("credHelpers").and_then(Value::as_object);
        let own = helpers.into_iter().flatten();
        let own = own
            .into_iter()
            .find(|(key, _)| Key::read(key).host() == wanted.host());
        let name = own.map_or(self.root.get("credsStore"), |(_, name)| Some(name));
        let name = name.and_then(Value::as_str).unwrap_or_default();
        match name.is_empty() {
            true => Ok(None),
            false => program(name, "the config file").map(Some),
        }
    }

    /// Sets the entry of a registry, in place of all spellings of its host.
    pub fn insert(
        &mut self,
        key: &str,
        username: &str,
        password: &Password,
    ) -> Result<(), StoreError> {
        self.remove(key)?;
        let auths = self.root.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        let auths = auths.as_object_mut().ok_or(StoreError::Form("`auths`"))?;
        let auth = STANDARD.encode(format!("{username}:{}", password.expose()));
        auths.insert(key.to_owned(), json!({ "auth": auth }));
        Ok(())
    }

    /// Removes a registry's entries; those of paths on it stay. Tells whether there were any.
    pub fn remove(&mut self, key: &str) -> Result<bool, StoreError> {
        let wanted = Key::read(key);
        let auths = match self.root.get_mut("auths") {
            None | Some(Value::Null) => return Ok(false),
            Some(auths) => auths.as_object_mut().ok_or(StoreError::Form("`auths`"))?,
        };
        let before = auths.len();
        auths.retain(|key, _| {
            let key = Key::read(key);
            !(key.host() == wanted.host() && key.is_whole_host())
        });
        Ok(auths.len() < before)
    }
}

/// Gives a login to a helper.
pub async fn store_with_helper(
    program: &str,
    key: &str,
    username: &str,
    password: &Password,
) -> Result<(), CredentialError> {
    let entry = json!({ "ServerURL": key, "Username": username, "Secret": password.expose() });
    helper::tell(program, "store", key, &entry.to_string()).await
}

/// Has a helper forget a login.
pub async fn erase_with_helper(program: &str, key: &str) -> Result<(), CredentialError> {
    helper::tell(program, "erase", key, key).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_dockers() {
        for (registry, key) in [
            ("docker.io", "https://index.docker.io/v1/"),
            ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
            ("Reg.example:443", "reg.example"),
            ("https://reg.example/", "reg.example"),
            ("localhost:5000", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(config_key(registry).unwrap(), key, "{registry}");
        }
        for wrong in ["", "reg.example/group", "user@reg.example", "https://"] {
            assert!(config_key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_login_changes_its_entry_and_nothing_else() {
        let text = r#"{"zeta":1,"auths":{"https://reg.example/v2/":{"auth":"b2xk"},"reg.example/group":{"auth":"YTpi"},"other.example":{"auth":"YTpi","email":"x"}},"HttpHeaders":{"a":"b"}}"#;
        let mut config = StoredConfig::parse(text).unwrap();
        config
            .insert("reg.example", "u", &Password::new("p"))
            .unwrap();
        let value: Value = serde_json::from_str(&config.text()).unwrap();
        assert_eq!(
            value,
            json!({
                "zeta": 1,
                "auths": {
                    "reg.example/group": {"auth": "YTpi"},
                    "other.example": {"auth": "YTpi", "email": "x"},
                    "reg.example": {"auth": "dTpw"},
                },
                "HttpHeaders": {"a": "b"},
            })
        );
        assert!(config.text().starts_with("{\n\t\"zeta\": 1,\n"));
        assert!(config.remove("reg.example").unwrap());
        assert!(!config.remove("reg.example").unwrap());
    }

    #[test]
    fn a_config_that_is_none_is_refused_without_quoting_it() {
        for text in ["s3cret", "[\"s3cret\"]"] {
            let error = StoredConfig::parse(text).unwrap_err();
            assert!(!error.to_string().contains("s3cret"));
        }
        let mut config = StoredConfig::parse(r#"{"auths":["s3cret"]}"#).unwrap();
        let password = Password::new("p");
        assert!(config.insert("a.example", "u", &password).is_err());
        let mut empty = StoredConfig::parse("").unwrap();
        empty.insert("a.example", "u", &password).unwrap();
        assert!(empty.text().contains("a.example"));
    }

    #[test]
    fn the_program_that_keeps_a_login_is_the_hosts_own_or_the_store() {
        let text = r#"{"credHelpers":{"https://reg.example":"own"},"credsStore":"all"}"#;
        let config = StoredConfig::parse(text).unwrap();
        let helper = |key| config.helper(key).unwrap().unwrap();
        assert_eq!(helper("reg.example"), "docker-credential-own");
        assert_eq!(helper("other.example"), "docker-credential-all");
        let bad = StoredConfig::parse(r#"{"credsStore":"../x"}"#).unwrap();
        assert!(bad.helper("reg.example").is_err());
        let none = StoredConfig::parse("{}").unwrap();
        assert_eq!(none.helper("reg.example").unwrap(), None);
    }
}
