//! Who may get in where. This module looks things up in what the caller read; it must not look for files itself.
//!
//! A [`Keychain`] is a list of [`Source`]s. Which there are, and in which order, is the caller's decision.

mod cloud;
mod docker_config;
mod helper;
mod keychain;
mod logins;
mod source;
mod stored;

use thiserror::Error;

pub use self::cloud::{AzureIdentity, AzureOptions, Cloud, ServiceIdentity};
pub use self::docker_config::DockerConfig;
pub use self::keychain::Keychain;
pub(super) use self::keychain::Lookup;
pub use self::logins::{HostVariables, Login};
pub use self::source::Source;
pub use self::stored::{
    StoreError, StoredConfig, config_key, erase_with_helper, store_with_helper,
};

use crate::cloud::CloudError;
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
    /// One of `HttpHeaders` that no request can carry.
    #[error("`HttpHeaders` of `{origin}`: `{name}` or its value is no header")]
    Header {
        /// Where the text came from.
        origin: String,
        /// The header's name.
        name: String,
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
    /// A cloud's own servers said no, or what they need is unusable.
    #[error("{provider}: {source}")]
    Cloud {
        /// The source's name, such as `ecr`.
        provider: &'static str,
        /// Why.
        source: CloudError,
    },
}

impl CredentialError {
    /// Says what went wrong where the source has been named already.
    fn without_origin(&self) -> String {
        match self {
            Self::Cloud { source, .. } => source.to_string(),
            Self::HelperStart { source, .. } => format!("{self}: {source}"),
            Self::Parse { .. }
            | Self::Entry { .. }
            | Self::Header { .. }
            | Self::HelperName { .. }
            | Self::HelperFailed { .. } => self.to_string(),
        }
    }
}

impl Credential {
    /// Says what kind of credential this is, for a message.
    pub(super) fn outline(&self) -> String {
        match self {
            Self::Basic { username, .. } => format!("user `{username}`"),
            Self::IdentityToken { .. } => "an identity token".to_owned(),
            Self::RegistryToken(_) => "a registry token".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
