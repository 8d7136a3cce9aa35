//! Who may get in where. This module looks things up in what the caller read; it must not look for files itself.

mod docker_config;
mod helper;

use std::sync::Arc;

use thiserror::Error;

pub use self::docker_config::DockerConfig;

use super::host::RegistryHost;
use crate::http::{Password, Token};

/// What opens a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// User and password, or what stands for them (access tokens, robot accounts).
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Password,
    },
    /// A refresh token that the token server exchanges (`identitytoken`).
    IdentityToken {
        /// The user's name; empty if the file has none.
        username: String,
        /// The refresh token.
        token: Token,
    },
    /// A bearer token that goes to the registry as it is (`registrytoken`).
    RegistryToken(Token),
}

/// Why a source of credentials gave nothing usable. No text in here is a secret.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The parser's own message is left out: it may quote the file.
    #[error("cannot parse `{origin}`: no docker config at line {line}, column {column}")]
    Parse {
        /// Where the text came from.
        origin: String,
        /// From 1.
        line: usize,
        /// From 1; 0 for an empty line.
        column: usize,
    },
    /// An entry of `auths` that cannot be read.
    #[error("entry `{key}` of `{origin}` is unusable: {problem}")]
    Entry {
        /// Where the text came from.
        origin: String,
        /// The entry's key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A helper's name that is more than a name.
    #[error("`{name}` in `{origin}` is not the name of a credential helper")]
    HelperName {
        /// Where the text came from.
        origin: String,
        /// What stands there.
        name: String,
    },
    /// The helper is not installed, or not executable.
    #[error("cannot run credential helper `{program}`")]
    HelperStart {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The helper ran, and said no.
    #[error("credential helper `{program}` failed for `{server}`: {problem}")]
    HelperFailed {
        /// The program.
        program: String,
        /// The registry it was asked about.
        server: String,
        /// Its exit status, or what is wrong with its answer.
        problem: String,
    },
}

/// The sources of credentials, in the order in which they are asked: the first that has something wins.
#[derive(Clone, Debug, Default)]
pub struct Keychain {
    configs: Vec<DockerConfig>,
}

/// What the sources gave for one repository.
#[derive(Debug)]
pub(super) struct Lookup {
    /// `None` means anonymous.
    pub(super) credential: Option<Credential>,
    /// One line per source that was asked, in order: what it is, what it gave. No secrets.
    pub(super) tried: Vec<String>,
    /// The first failure, if no source had anything.
    pub(super) failure: Option<Arc<CredentialError>>,
}

impl Keychain {
    /// Makes a keychain of docker configs, most important first. Empty means always anonymous.
    pub fn new(configs: Vec<DockerConfig>) -> Self {
        Self { configs }
    }

    /// Asks the sources in turn. A source that fails is noted, and the next one asked.
    pub(super) async fn find(&self, host: &RegistryHost, repository: &str) -> Lookup {
        let mut tried = Vec::new();
        let mut failure = None;
        for config in &self.configs {
            let origin = config.origin();
            match config.find(host, repository).await {
                Ok(Some(credential)) => {
                    tried.push(format!("{origin}: {}", credential.outline()));
                    return Lookup {
                        credential: Some(credential),
                        tried,
                        failure: None,
                    };
                }
                Ok(None) => tried.push(format!("{origin}: no entry for `{}`", host.name())),
                Err(error) => {
                    tried.push(format!("{origin}: {error}"));
                    failure = failure.or_else(|| Some(Arc::new(error)));
                }
            }
        }
        Lookup {
            credential: None,
            tried,
            failure,
        }
    }
}

impl Credential {
    /// Says what kind of credential this is, for a message.
    fn outline(&self) -> String {
        match self {
            Self::Basic { username, .. } => format!("user `{username}`"),
            Self::IdentityToken { .. } => "an identity token".to_owned(),
            Self::RegistryToken(_) => "a registry token".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
