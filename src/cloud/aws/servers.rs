//! Keys of a container or of a machine, from the servers that Amazon puts beside them. This module asks them; it must not
//! know whether something else comes first.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::{AwsGrant, AwsKeys, ContainerCredentials};
use crate::cloud::exchange::{CloudError, CloudHttp, Question, below, read_json, read_token};
use crate::http::{Password, Token};

/// The answer of both.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

impl Given {
    fn into_grant(self) -> AwsGrant {
        let expires = self.expiration.and_then(|text| text.parse().ok());
        let keys = AwsKeys {
            id: self.access_key_id,
            secret: Password::new(self.secret_access_key),
            session_token: self.token.map(Token::new),
        };
        AwsGrant {
            expires: expires.filter(|time: &Timestamp| *time > Timestamp::UNIX_EPOCH),
            ..AwsGrant::lasting(keys)
        }
    }
}

pub(super) async fn container_keys(
    http: &CloudHttp,
    container: &ContainerCredentials,
) -> Result<AwsGrant, CloudError> {
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
    Ok(given.into_grant())
}

/// The instance metadata service, version 2: a token first, then the role's name, then its keys.
pub(super) async fn instance_keys(
    http: &CloudHttp,
    metadata: &Url,
) -> Result<AwsGrant, CloudError> {
    let question = Question::new(Method::PUT, below(metadata, "/latest/api/token")?)
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300")?;
    let token = http.ask_machine(&question).await?;
    let ask = |path: String| -> Result<Question, CloudError> {
        let path = format!("/latest/meta-data/iam/security-credentials/{path}");
        Question::new(Method::GET, below(metadata, &path)?)
            .header("x-aws-ec2-metadata-token", token.trim())
    };
    let roles = http.ask_machine(&ask(String::new())?).await?;
    let role = roles.lines().next().unwrap_or_default().trim().to_owned();
    let question = ask(role)?;
    let text = http.ask_machine(&question).await?;
    let given: Given = read_json(&text, &question, "keys")?;
    Ok(given.into_grant())
}
