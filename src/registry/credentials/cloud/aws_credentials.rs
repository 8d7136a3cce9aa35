//! Who a job is at Amazon: keys from the environment or the shared file, of a role by a web identity, of a container or
//! of the machine; the order is that of Amazon's SDKs. This module gets keys; it must not know what they open.

use std::path::PathBuf;

use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::Failure;
use super::exchange::{CloudError, CloudHttp, Question, element, read_json, read_token};
use crate::http::{Password, Token};

/// What a job's environment has for Amazon.
#[derive(Clone, Debug, Default)]
pub struct AwsOptions {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    pub keys: Option<AwsKeys>,
    /// `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub web_identity: Option<WebIdentity>,
    /// From the shared credentials file.
    pub shared_keys: Option<AwsKeys>,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`.
    pub container: Option<ContainerCredentials>,
    /// The machine's metadata service. `None`: it is not asked (`AWS_EC2_METADATA_DISABLED`).
    pub metadata: Option<Url>,
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
#[derive(Clone, Debug)]
pub struct WebIdentity {
    /// The role.
    pub role: String,
    /// Where the token is; read for each use.
    pub token_file: PathBuf,
    /// What the session is called in Amazon's logs.
    pub session_name: String,
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

impl AwsKeys {
    pub(super) fn token(&self) -> Option<&str> {
        self.session_token.as_ref().map(Token::expose)
    }
}

/// Returns the keys of a profile in the text of the shared credentials file. `Ok(None)` if it has none, an error if it
/// wants something else than keys.
pub fn shared_aws_keys(text: &str, profile: &str) -> Result<Option<AwsKeys>, CloudError> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut is_profile = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']').trim();
            is_profile = section.strip_prefix("profile ").unwrap_or(section).trim() == profile;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_profile) else {
            continue;
        };
        let value = value.trim().to_owned();
        match name.trim() {
            "aws_access_key_id" => id = Some(value),
            "aws_secret_access_key" => secret = Some(value),
            "aws_session_token" => token = Some(value),
            unsupported @ ("role_arn" | "credential_process" | "sso_session" | "sso_start_url") => {
                let problem = format!("not yet supported: `{unsupported}` in profile `{profile}`");
                return Err(CloudError::Unusable(problem));
            }
            _ => {}
        }
    }
    Ok(id.zip(secret).map(|(id, secret)| AwsKeys {
        id,
        secret: Password::new(secret),
        session_token: token.map(Token::new),
    }))
}

/// Finds the job's keys. `region` is where to ask for those of a role.
pub(super) async fn keys(
    http: &CloudHttp,
    options: &AwsOptions,
    region: &str,
    domain: &str,
) -> Result<AwsKeys, Failure> {
    if let Some(keys) = &options.keys {
        return Ok(keys.clone());
    }
    if let Some(identity) = &options.web_identity {
        let endpoint = match &options.sts_endpoint {
            Some(endpoint) => endpoint.clone(),
            None => endpoint(&format!("https://sts.{region}.{domain}/"))?,
        };
        return Ok(role_keys(http, identity, endpoint).await?);
    }
    if let Some(keys) = &options.shared_keys {
        return Ok(keys.clone());
    }
    if let Some(container) = &options.container {
        return Ok(container_keys(http, container).await?);
    }
    let missing = "AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_CONTAINER_CREDENTIALS_… are not set";
    match &options.metadata {
        None => Err(Failure::NotConfigured(format!(
            "{missing}, and AWS_EC2_METADATA_DISABLED is"
        ))),
        Some(metadata) => machine_keys(http, metadata)
            .await
            .map_err(|error| Failure::NotConfigured(format!("{missing}; {error}"))),
    }
}

/// Makes a URL of names that were checked.
pub(super) fn endpoint(text: &str) -> Result<Url, CloudError> {
    Url::parse(text).map_err(|_| CloudError::Unusable(format!("`{text}` is not a URL")))
}

/// STS, "AssumeRoleWithWebIdentity": a request without a signature, answered in XML.
async fn role_keys(
    http: &CloudHttp,
    identity: &WebIdentity,
    endpoint: Url,
) -> Result<AwsKeys, CloudError> {
    let token = read_token(&identity.token_file).await?;
    let question = Question::form(
        endpoint,
        &[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &identity.role),
            ("RoleSessionName", &identity.session_name),
            ("WebIdentityToken", &token),
        ],
    );
    let text = http.ask(&question).await?;
    let field = |name| element(&text, name).filter(|value| !value.is_empty());
    let found = field("AccessKeyId").zip(field("SecretAccessKey"));
    let Some(((id, secret), token)) = found.zip(field("SessionToken")) else {
        let call = question.call();
        let missing = "keys";
        return Err(CloudError::Answer { call, missing });
    };
    Ok(AwsKeys {
        id: id.to_owned(),
        secret: Password::new(secret),
        session_token: Some(Token::new(token)),
    })
}

/// The answer of the servers of containers and machines.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    token: String,
}

impl Given {
    fn into_keys(self) -> AwsKeys {
        AwsKeys {
            id: self.access_key_id,
            secret: Password::new(self.secret_access_key),
            session_token: Some(Token::new(self.token)),
        }
    }
}

async fn container_keys(
    http: &CloudHttp,
    container: &ContainerCredentials,
) -> Result<AwsKeys, CloudError> {
    let mut question = Question::new(Method::GET, container.url.clone());
    let token = match (&container.token_file, &container.token) {
        (Some(path), _) => Some(Token::new(read_token(path).await?)),
        (None, token) => token.clone(),
    };
    if let Some(token) = token {
        question = question.header("authorization", token.expose())?;
    }
    let text = http.ask_machine(&question).await?;
    let given: Given = read_json(&text, &question, "keys")?;
    Ok(given.into_keys())
}

/// The instance metadata service, version 2: a token first, then the role's name, then its keys.
async fn machine_keys(http: &CloudHttp, metadata: &Url) -> Result<AwsKeys, CloudError> {
    let url = |path: &str| {
        endpoint(&format!(
            "{}{path}",
            metadata.as_str().trim_end_matches('/')
        ))
    };
    let question = Question::new(Method::PUT, url("/latest/api/token")?)
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300")?;
    let token = http.ask_machine(&question).await?;
    let ask = |path: String| -> Result<Question, CloudError> {
        let path = format!("/latest/meta-data/iam/security-credentials/{path}");
        Question::new(Method::GET, url(&path)?).header("x-aws-ec2-metadata-token", token.trim())
    };
    let roles = http.ask_machine(&ask(String::new())?).await?;
    let role = roles.lines().next().unwrap_or_default().trim().to_owned();
    let question = ask(role)?;
    let text = http.ask_machine(&question).await?;
    let given: Given = read_json(&text, &question, "keys")?;
    Ok(given.into_keys())
}
