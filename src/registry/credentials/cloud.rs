//! Registries of clouds, whose credentials are asked for at the cloud's own servers, with what the environment of a job
//! has for that. This module knows their hosts and keeps what was got; who the job is, another room knows.

mod azure;
mod ecr;
mod google;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use self::azure::{AzureIdentity, AzureOptions, ServiceIdentity};

use super::source::Found;
use super::{Credential, CredentialError};
use crate::cloud::{AwsOptions, CloudHttp, Failure, GoogleOptions, use_until};

/// One cloud's registries, and what was got for each of them so far.
#[derive(Debug)]
pub struct Cloud {
    kind: Kind,
    known: Mutex<BTreeMap<String, Issued>>,
}

#[derive(Debug)]
enum Kind {
    Google(Box<GoogleOptions>),
    Ecr(Box<AwsOptions>),
    Azure(Box<AzureOptions>),
}

/// What a cloud gave for one host.
#[derive(Clone, Debug)]
struct Issued {
    credential: Credential,
    good_until: Instant,
}

impl Issued {
    /// A credential that its server takes for so long.
    fn new(credential: Credential, lifetime: Duration) -> Self {
        Self {
            credential,
            good_until: use_until(lifetime),
        }
    }
}

/// What came of asking: something, or what was looked for in vain.
type Answer = Result<Issued, Failure>;

impl Cloud {
    /// Amazon's registries.
    pub fn ecr(options: AwsOptions) -> Self {
        Self::of(Kind::Ecr(Box::new(options)))
    }

    /// Google's registries.
    pub fn google(options: GoogleOptions) -> Self {
        Self::of(Kind::Google(Box::new(options)))
    }

    /// Azure's registries.
    pub fn azure(options: AzureOptions) -> Self {
        Self::of(Kind::Azure(Box::new(options)))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            known: Mutex::default(),
        }
    }

    /// Returns the name of the credential helper whose place this takes.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Google(_) => "google",
            Kind::Ecr(_) => "ecr",
            Kind::Azure(_) => "acr",
        }
    }

    /// Tells whether a host is one of this cloud's registries.
    pub(super) fn knows(&self, host: &str) -> bool {
        match self.kind {
            Kind::Google(_) => google::is_google(host),
            Kind::Ecr(_) => ecr::EcrHost::parse(host).is_some(),
            Kind::Azure(_) => azure::is_azure(host),
        }
    }

    /// Says why another host's credentials are not here.
    pub(super) fn refusal(&self) -> &'static str {
        match self.kind {
            Kind::Google(_) => "not a host of Google's registries",
            Kind::Ecr(_) => "not an ECR host",
            Kind::Azure(_) => "not an ACR host",
        }
    }

    /// Gives what is known for a host, or asks the cloud.
    pub(super) async fn find(
        &self,
        http: &CloudHttp,
        host: &str,
    ) -> Result<Found, CredentialError> {
        if let Some(issued) = self.remembered(host) {
            return Ok(issued.into_found());
        }
        let asked = match &self.kind {
            Kind::Google(options) => google::ask(http, options).await,
            Kind::Ecr(options) => ecr::ask(http, options, host).await,
            Kind::Azure(options) => azure::ask(http, options, host).await,
        };
        match asked {
            Ok(issued) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(host.to_owned(), issued.clone());
                Ok(issued.into_found())
            }
            Err(Failure::NotConfigured(why)) => Ok(Found::Nothing(why)),
            Err(Failure::Failed(source)) => Err(CredentialError::Cloud {
                provider: self.name(),
                source,
            }),
        }
    }

    fn remembered(&self, host: &str) -> Option<Issued> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = known.get(host)?;
        (Instant::now() < issued.good_until).then(|| issued.clone())
    }
}

impl Issued {
    fn into_found(self) -> Found {
        Found::Credential {
            credential: self.credential,
            good_until: Some(self.good_until),
        }
    }
}

#[cfg(test)]
mod tests;
