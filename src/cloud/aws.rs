//! Who a job is at Amazon: the places where its keys may be, in the order of Amazon's SDKs (AWS SDKs and Tools Reference
//! Guide, "Credential provider chain"). This module gets keys; it must not know what they open.

mod process;
mod profiles;
mod servers;
mod sigv4;
mod sources;
mod sts;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::info;
use url::Url;

pub use self::profiles::{ProfileFile, ProfilePlaces};
pub use self::sigv4::{Service, sign};

use self::profiles::Profiles;
use self::sources::{Origin, Route};
use self::sts::Sts;
use super::exchange::{CloudError, CloudHttp};
use super::{Failure, use_until};
use crate::http::{Password, Token};

/// What a job's environment has for Amazon.
#[derive(Clone, Debug, Default)]
pub struct AwsOptions {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    pub keys: Option<AwsKeys>,
    /// `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub web_identity: Option<WebIdentity>,
    /// `AWS_PROFILE`, and the files that it is in.
    pub profiles: ProfilePlaces,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`.
    pub container: Option<ContainerCredentials>,
    /// The machine's metadata service. `None`: it is not asked (`AWS_EC2_METADATA_DISABLED`).
    pub metadata: Option<Url>,
    /// `AWS_REGION` or `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`: what sessions are called in Amazon's logs.
    pub session_name: Option<String>,
    /// Instead of ECR's own endpoint.
    pub ecr_endpoint: Option<Url>,
    /// Instead of STS's own endpoint.
    pub sts_endpoint: Option<Url>,
}

/// Keys of a user or of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKeys {
    /// The access key's ID.
    pub id: String,
    /// The secret key.
    pub secret: Password,
    /// What keys of a role have besides.
    pub session_token: Option<Token>,
}

/// A role that is assumed with a token of somebody whom Amazon trusts, such as a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentity {
    /// The role.
    pub role: String,
    /// Where the token is; read for each use.
    pub token_file: PathBuf,
    /// What the session is called in Amazon's logs.
    pub session_name: Option<String>,
}

/// A server that gives a container (ECS) or a pod (EKS) its keys.
#[derive(Clone, Debug)]
pub struct ContainerCredentials {
    /// The server.
    pub url: Url,
    /// What to show to it.
    pub token: Option<Token>,
    /// Where what to show to it is; read for each use, and preferred.
    pub token_file: Option<PathBuf>,
}

/// Keys that were found.
#[derive(Clone, Debug)]
pub struct AwsGrant {
    /// The keys.
    pub keys: AwsKeys,
    /// `None` if they do not expire.
    pub expires: Option<Timestamp>,
    /// Where they came from, in words.
    pub origin: String,
}

/// What a profile says besides of who the job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// Where things are.
    pub region: Option<String>,
    /// Instead of the endpoints of all services.
    pub endpoint: Option<String>,
}

impl AwsKeys {
    /// Returns what keys of a role have besides.
    pub fn token(&self) -> Option<&str> {
        self.session_token.as_ref().map(Token::expose)
    }
}

impl AwsGrant {
    fn lasting(keys: AwsKeys) -> Self {
        Self {
            keys,
            expires: None,
            origin: String::new(),
        }
    }

    fn of(self, origin: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            ..self
        }
    }

    /// Returns until when to use the keys; `None` for ever.
    pub fn use_until(&self) -> Option<Instant> {
        let seconds = self.expires?.as_second() - Timestamp::now().as_second();
        let lifetime = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Some(use_until(lifetime))
    }
}

/// Returns the region and the endpoint that the environment, else the profile, names.
pub async fn settings(options: &AwsOptions) -> Result<AwsSettings, CloudError> {
    let profiles = Profiles::read(&options.profiles).await?;
    let profile = profiles.get(options.profiles.chosen());
    let of_profile = |name| profile.as_ref().and_then(|profile| profile.text(name));
    Ok(AwsSettings {
        region: options.region.clone().or(of_profile("region")),
        endpoint: of_profile("endpoint_url"),
    })
}

/// Finds the job's keys. `region` is where a role is asked for if nothing else says where.
pub async fn find_keys(
    http: &CloudHttp,
    options: &AwsOptions,
    region: &str,
) -> Result<AwsGrant, Failure> {
    if let Some(keys) = &options.keys {
        if let Some(profile) = options.profiles.asked_for() {
            info!("access keys of the environment count, and not the profile `{profile}`");
        }
        return Ok(AwsGrant::lasting(keys.clone()).of("the access keys of the environment"));
    }
    let profiles = Profiles::read(&options.profiles).await?;
    let chosen = profiles.get(options.profiles.chosen());
    let of_profile = chosen.and_then(|profile| profile.text("region"));
    let named = options.region.clone().or(of_profile);
    let finder = Finder {
        http,
        options,
        sts: Sts {
            http,
            endpoint: options.sts_endpoint.as_ref(),
            region: named.as_deref().unwrap_or(region),
            session_name: options.session_name.as_deref(),
        },
    };
    if let Some(identity) = &options.web_identity {
        let grant = finder.sts.with_web_identity(identity).await?;
        return Ok(grant.of("AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN"));
    }
    match sources::route(&profiles, &options.profiles)? {
        Some(route) => finder.follow(route).await,
        None => finder.of_machine().await,
    }
}

/// Asks wherever keys come from.
struct Finder<'a> {
    http: &'a CloudHttp,
    options: &'a AwsOptions,
    sts: Sts<'a>,
}

impl Finder<'_> {
    async fn follow(&self, route: Route) -> Result<AwsGrant, Failure> {
        let profile = format!("profile `{}`", route.profile);
        let missing = |what: &str| {
            let problem = format!("{profile}: `credential_source` is {what}");
            Failure::Failed(CloudError::Unusable(problem))
        };
        let mut grant = match &route.origin {
            Origin::Keys(keys) => AwsGrant::lasting(keys.clone()),
            Origin::Process { command, profile } => process::keys(command, profile).await?,
            Origin::WebIdentity(identity) => self.sts.with_web_identity(identity).await?,
            // Keys of the environment count before any profile, and without its role.
            Origin::Environment => return Err(missing("Environment, which is not supported")),
            Origin::Container => match &self.options.container {
                Some(container) => servers::container_keys(self.http, container).await?,
                None => {
                    return Err(missing(
                        "EcsContainer, and AWS_CONTAINER_CREDENTIALS_… are not set",
                    ));
                }
            },
            Origin::Instance => match &self.options.metadata {
                Some(metadata) => servers::instance_keys(self.http, metadata).await?,
                None => {
                    return Err(missing(
                        "Ec2InstanceMetadata, and AWS_EC2_METADATA_DISABLED is true",
                    ));
                }
            },
        };
        for role in &route.roles {
            grant = self.sts.assume(role, &grant.keys).await?;
        }
        Ok(grant.of(profile))
    }

    /// What is left where nobody has configured anything.
    async fn of_machine(&self) -> Result<AwsGrant, Failure> {
        if let Some(container) = &self.options.container {
            let grant = servers::container_keys(self.http, container).await?;
            return Ok(grant.of("the container's role (AWS_CONTAINER_CREDENTIALS_…)"));
        }
        let missing = "AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_CONTAINER_CREDENTIALS_… are not set, no profile has keys";
        let Some(metadata) = &self.options.metadata else {
            return Err(Failure::NotConfigured(format!(
                "{missing}, and AWS_EC2_METADATA_DISABLED is true"
            )));
        };
        let asked = servers::instance_keys(self.http, metadata).await;
        let grant = asked.map_err(|error| {
            Failure::NotConfigured(format!("{missing}; the instance's role: {error}"))
        })?;
        Ok(grant.of("the instance's role"))
    }
}
