//! One source of credentials, of whatever kind. This module says what each gave; it must not choose between them.

use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use tokio::time::Instant;

use super::cloud::Cloud;
use super::logins::{HostVariables, Login};
use super::{Credential, CredentialError, DockerConfig};
use crate::cloud::CloudHttp;
use crate::registry::host::RegistryHost;

/// Where credentials may come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A docker config, as a file or a variable.
    Config(DockerConfig),
    /// A place where credentials may be, and are not: said where access is refused.
    Absent {
        /// The place.
        origin: String,
        /// Why it gives nothing, such as `no such file`.
        why: String,
    },
    /// Users and passwords in variables that are named for their hosts.
    Variables(HostVariables),
    /// Users and passwords of hosts that are known.
    Logins {
        /// What they are called together.
        name: &'static str,
        /// Most important first.
        logins: Vec<Login>,
    },
    /// A cloud's registries. What was got is shared by all copies.
    Cloud(Arc<Cloud>),
}

/// What a source gave.
#[derive(Debug)]
pub(super) enum Found {
    /// Something to show to the registry.
    Credential {
        credential: Credential,
        /// When it expires, or a little earlier. `None` means never.
        good_until: Option<Instant>,
    },
    /// Nothing, and why. No secrets.
    Nothing(String),
}

impl Found {
    fn lasting(credential: Credential) -> Self {
        Self::Credential {
            credential,
            good_until: None,
        }
    }
}

impl Source {
    /// Returns what the source is called in messages.
    pub(super) fn origin(&self) -> &str {
        match self {
            Self::Config(config) => config.origin(),
            Self::Absent { origin, .. } => origin,
            Self::Variables(_) => "env",
            Self::Logins { name, .. } => name,
            Self::Cloud(cloud) => cloud.name(),
        }
    }

    /// Returns what every registry is to see besides credentials.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let headers = match self {
            Self::Config(config) => Some(config.headers()),
            Self::Absent { .. } | Self::Variables(_) | Self::Logins { .. } | Self::Cloud(_) => None,
        };
        headers.into_iter().flatten()
    }

    pub(super) fn asks_cloud(&self, host: &RegistryHost) -> bool {
        match self {
            Self::Cloud(cloud) => cloud.knows(host.name()),
            Self::Config(_) | Self::Absent { .. } | Self::Variables(_) | Self::Logins { .. } => {
                false
            }
        }
    }

    pub(super) async fn find(
        &self,
        host: &RegistryHost,
        repository: &str,
        http: Option<&CloudHttp>,
    ) -> Result<Found, CredentialError> {
        let name = host.name();
        match self {
            Self::Config(config) => Ok(match config.find(host, repository).await? {
                Some(credential) => Found::lasting(credential),
                None => Found::Nothing(format!("no entry for `{name}`")),
            }),
            Self::Absent { why, .. } => Ok(Found::Nothing(why.clone())),
            Self::Variables(variables) => Ok(match variables.find(name) {
                Ok(credential) => Found::lasting(credential),
                Err(why) => Found::Nothing(why),
            }),
            Self::Logins { logins, .. } => {
                let login = logins.iter().find(|login| login.is_for(host));
                Ok(match login {
                    Some(login) => Found::lasting(login.credential()),
                    None => Found::Nothing(format!("no login for `{name}`")),
                })
            }
            Self::Cloud(cloud) => match http {
                _ if !cloud.knows(name) => Ok(Found::Nothing(cloud.refusal().to_owned())),
                None => Ok(Found::Nothing("not asked".to_owned())),
                Some(http) => cloud.find(http, name).await,
            },
        }
    }
}
