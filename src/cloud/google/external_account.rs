//! Google's workload identity federation: a token of another identity provider, from a file or a URL, exchanged for one of
//! Google's (RFC 8693), and where the file says so for one of a service account. This module makes these exchanges.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use url::Url;

use super::{AccessToken, SCOPE, url_field, url_if_given};
use crate::cloud::exchange::{CloudError, CloudHttp, Question, read_token};
use crate::http::Token;

/// The lifetime that is asked for.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A credentials file of type `external_account`.
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    #[serde(deserialize_with = "url_field")]
    token_url: Url,
    #[serde(default, deserialize_with = "url_if_given")]
    service_account_impersonation_url: Option<Url>,
    credential_source: CredentialSource,
}

/// Where the other provider's token is. Amazon's signed requests and programs are not supported.
#[derive(Deserialize)]
struct CredentialSource {
    file: Option<PathBuf>,
    #[serde(default, deserialize_with = "url_if_given")]
    url: Option<Url>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    format: Option<Format>,
    /// Which provider signs requests, such as `aws1`.
    environment_id: Option<IgnoredAny>,
    executable: Option<IgnoredAny>,
    certificate: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
    subject_token_field_name: Option<String>,
}

/// Gets an access token. `origin` names the file, for messages.
pub(super) async fn token(
    http: &CloudHttp,
    account: &ExternalAccount,
    origin: &str,
) -> Result<(Token, Duration), CloudError> {
    let subject = account.credential_source.token(http, origin).await?;
    let question = Question::form(
        account.token_url.clone(),
        &[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("audience", &account.audience),
            ("scope", SCOPE),
            ("subject_token_type", &account.subject_token_type),
            ("subject_token", subject.expose()),
        ],
    );
    let answer: AccessToken = http.ask_json(&question, "token").await?;
    let (token, lifetime) = answer.into_parts();
    match &account.service_account_impersonation_url {
        Some(url) => impersonate(http, url, &token, &[]).await,
        None => Ok((token, lifetime)),
    }
}

impl CredentialSource {
    async fn token(&self, http: &CloudHttp, origin: &str) -> Result<Token, CloudError> {
        let foreign = [
            ("environment_id", &self.environment_id),
            ("executable", &self.executable),
            ("certificate", &self.certificate),
        ];
        // Amazon's has a URL too, which is for something else.
        if let Some((kind, _)) = foreign.iter().find(|(_, value)| value.is_some()) {
            let problem = format!("not yet supported: a `credential_source` with `{kind}`");
            return Err(CloudError::Unusable(format!("`{origin}`: {problem}")));
        }
        let text = match (&self.file, &self.url) {
            (Some(path), _) => read_token(path).await?,
            (None, Some(url)) => {
                let mut question = Question::new(Method::GET, url.clone());
                for (name, value) in &self.headers {
                    question = question.header(name, value)?;
                }
                http.ask(&question).await?
            }
            (None, None) => {
                let problem = "a `credential_source` without `file` or `url`";
                return Err(CloudError::Unusable(format!("`{origin}`: {problem}")));
            }
        };
        let field = self.format.as_ref().filter(|format| format.kind == "json");
        let Some(format) = field else {
            return Ok(Token::new(text.trim()));
        };
        let name = format
            .subject_token_field_name
            .as_deref()
            .unwrap_or("access_token");
        let value: Option<Value> = serde_json::from_str(&text).ok();
        let found = value.as_ref().and_then(|value| value.get(name)?.as_str());
        found.map(Token::new).ok_or_else(|| {
            CloudError::Unusable(format!(
                "`{origin}`: the subject token has no field `{name}`"
            ))
        })
    }
}

/// IAM credentials API, "generateAccessToken".
pub(super) async fn impersonate(
    http: &CloudHttp,
    url: &Url,
    token: &Token,
    delegates: &[String],
) -> Result<(Token, Duration), CloudError> {
    let lifetime = format!("{}s", LIFETIME.as_secs());
    let mut body = json!({ "scope": [SCOPE], "lifetime": lifetime });
    if !delegates.is_empty() {
        body["delegates"] = delegates.into();
    }
    let question = Question::new(Method::POST, url.clone())
        .header("authorization", &format!("Bearer {}", token.expose()))?
        .header("content-type", "application/json")?
        .body(body.to_string());
    let answer: Value = http.ask_json(&question, "token").await?;
    let Some(token) = answer["accessToken"].as_str() else {
        let call = question.call();
        let missing = "token";
        return Err(CloudError::Answer { call, missing });
    };
    let expires = answer["expireTime"].as_str();
    let expires = expires.and_then(|text| text.parse::<Timestamp>().ok());
    let lifetime = expires.and_then(|time| {
        let seconds = time.as_second() - Timestamp::now().as_second();
        u64::try_from(seconds).ok().map(Duration::from_secs)
    });
    Ok((
        Token::new(token),
        lifetime.unwrap_or(LIFETIME).min(LIFETIME),
    ))
}
