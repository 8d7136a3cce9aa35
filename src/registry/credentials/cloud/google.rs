//! Google's registries: an access token, from the key or configuration file that the environment names, or from the
//! machine's metadata server. This module gets tokens; it must not know what they open.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::OsRng;
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use url::Url;

use super::aws_credentials::endpoint;
use super::exchange::{CloudError, CloudHttp, Question, read_json};
use super::external_account::{self, ExternalAccount};
use super::{Answer, Credential, Failure, Issued};
use crate::http::{Password, Token};

/// What registries want a token to be for.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The user name that goes with a token.
const TOKEN_USER: &str = "oauth2accesstoken";

/// How long a token lives, where the answer does not say.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What a job's environment has for Google.
#[derive(Clone, Debug)]
pub struct GoogleOptions {
    /// The file that `GOOGLE_APPLICATION_CREDENTIALS` names, or the one that gcloud leaves.
    pub key: Option<GoogleKey>,
    /// The machine's metadata server.
    pub metadata: Url,
}

/// The text of a credentials file.
#[derive(Clone, Debug)]
pub struct GoogleKey {
    /// Where it came from, for messages.
    pub origin: String,
    /// A private key among other things.
    pub text: Password,
}

/// The kinds of credentials files (Google, "Application Default Credentials").
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum KeyFile {
    ServiceAccount(Box<ServiceAccount>),
    AuthorizedUser(Box<AuthorizedUser>),
    ExternalAccount(Box<ExternalAccount>),
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct ServiceAccount {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    #[serde(deserialize_with = "url_field")]
    token_uri: Url,
}

#[derive(Deserialize)]
struct AuthorizedUser {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    #[serde(default, deserialize_with = "url_if_given")]
    token_uri: Option<Url>,
}

/// A URL in a file.
pub(super) fn url_field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// A URL that a file may lack.
pub(super) fn url_if_given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

/// OAuth2's answer with a token.
#[derive(Deserialize)]
pub(super) struct AccessToken {
    pub(super) access_token: String,
    #[serde(default)]
    pub(super) expires_in: Option<f64>,
}

impl AccessToken {
    pub(super) fn into_parts(self) -> (Token, Duration) {
        let lifetime = self.expires_in.filter(|seconds| *seconds > 0.0);
        let lifetime = lifetime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        (
            Token::new(self.access_token),
            lifetime.unwrap_or(LIFETIME).min(LIFETIME),
        )
    }
}

/// Tells whether a host is one of Google's registries.
pub(super) fn is_google(host: &str) -> bool {
    let is_below = |domain: &str| {
        let name = host
            .strip_suffix(domain)
            .and_then(|name| name.strip_suffix('.'));
        name.is_some_and(|name| !name.is_empty())
    };
    host == "gcr.io" || is_below("gcr.io") || is_below("pkg.dev")
}

/// Gets an access token, good for an hour.
pub(super) async fn ask(http: &CloudHttp, options: &GoogleOptions) -> Answer {
    let (token, lifetime) = match &options.key {
        Some(key) => key_token(http, key).await?,
        None => metadata_token(http, &options.metadata)
            .await
            .map_err(|error| {
                let missing = "GOOGLE_APPLICATION_CREDENTIALS is not set";
                Failure::NotConfigured(format!("{missing}; {error}"))
            })?,
    };
    let credential = Credential::Basic {
        username: TOKEN_USER.to_owned(),
        password: Password::new(token.expose()),
    };
    Ok(Issued::new(credential, lifetime))
}

async fn key_token(http: &CloudHttp, key: &GoogleKey) -> Result<(Token, Duration), CloudError> {
    let unusable = |problem: &str| CloudError::Unusable(format!("`{}` {problem}", key.origin));
    let file = serde_json::from_str(key.text.expose());
    // The parser's own message is left out: it may quote the file.
    let file = file.map_err(|_| unusable("is not a credentials file"))?;
    let question = match file {
        KeyFile::ServiceAccount(account) => account
            .question()
            .ok_or_else(|| unusable("holds a private key that cannot be used"))?,
        KeyFile::AuthorizedUser(user) => user.question()?,
        KeyFile::ExternalAccount(account) => {
            return external_account::token(http, &account, &key.origin).await;
        }
        KeyFile::Unknown => {
            return Err(unusable(
                "is of a type that is not supported (not service_account, authorized_user, external_account)",
            ));
        }
    };
    let answer: AccessToken = http.ask_json(&question, "token").await?;
    Ok(answer.into_parts())
}

impl ServiceAccount {
    /// RFC 7523: a statement about oneself, signed with the account's key. `None` if there is no signing with it.
    fn question(&self) -> Option<Question> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.private_key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri.as_str(),
            "iat": now,
            "exp": now + LIFETIME.as_secs(),
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let statement = format!("{}.{}", encode(&header), encode(&claims));
        let key = RsaPrivateKey::from_pkcs8_pem(&self.private_key).ok()?;
        let signer = SigningKey::<Sha256>::new(key);
        let signature = signer
            .try_sign_with_rng(&mut OsRng, statement.as_bytes())
            .ok()?;
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        Some(Question::form(
            self.token_uri.clone(),
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &format!("{statement}.{signature}")),
            ],
        ))
    }
}

impl AuthorizedUser {
    fn question(&self) -> Result<Question, CloudError> {
        let url = match &self.token_uri {
            Some(url) => url.clone(),
            None => endpoint("https://oauth2.googleapis.com/token")?,
        };
        Ok(Question::form(
            url,
            &[
                ("grant_type", "refresh_token"),
                ("client_id", &self.client_id),
                ("client_secret", &self.client_secret),
                ("refresh_token", &self.refresh_token),
            ],
        ))
    }
}

/// The token of the machine's, or with workload identity the pod's, service account.
async fn metadata_token(http: &CloudHttp, metadata: &Url) -> Result<(Token, Duration), CloudError> {
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    let url = endpoint(&format!(
        "{}{path}",
        metadata.as_str().trim_end_matches('/')
    ))?;
    let question = Question::new(Method::GET, url).header("metadata-flavor", "Google")?;
    let text = http.ask_machine(&question).await?;
    let answer: AccessToken = read_json(&text, &question, "token")?;
    Ok(answer.into_parts())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_googles_own_hosts_are_googles() {
        for host in ["gcr.io", "eu.gcr.io", "europe-docker.pkg.dev"] {
            assert!(is_google(host), "{host}");
        }
        for host in [
            "gcr.io.evil.example",
            "evilgcr.io",
            ".gcr.io",
            "pkg.dev",
            "evilpkg.dev",
            "x.pkg.dev:5000",
        ] {
            assert!(!is_google(host), "{host}");
        }
    }
}
