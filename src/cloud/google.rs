//! Who a job is at Google: an access token, from the key or configuration file that the environment names, or from the
//! machine's metadata server (Google Cloud, "How Application Default Credentials works"). This module gets tokens; it must
//! not know what they open.

mod external_account;

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

use self::external_account::ExternalAccount;
use super::Failure;
use super::exchange::{CloudError, CloudHttp, Question, below, endpoint, read_json};
use crate::http::{Password, Token};

/// What a token is for: registries and buckets take this one.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long a token lives, where the answer does not say.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Types of files whose names may be said where they are not supported; any other text in that place may be a secret.
const OTHER_TYPES: [&str; 2] = ["external_account_authorized_user", "gdch_service_account"];

/// What a job's environment has for Google.
#[derive(Clone, Debug, Default)]
pub struct GoogleOptions {
    /// The file that `GOOGLE_APPLICATION_CREDENTIALS` names, or the one that gcloud leaves.
    pub key: Option<GoogleKey>,
    /// The machine's metadata server. `None`: it is not asked.
    pub metadata: Option<Url>,
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
    ImpersonatedServiceAccount(Box<Impersonation>),
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

/// A service account that somebody with another file may act as.
#[derive(Deserialize)]
struct Impersonation {
    #[serde(deserialize_with = "url_field")]
    service_account_impersonation_url: Url,
    #[serde(default)]
    delegates: Vec<String>,
    source_credentials: Value,
}

/// A token that was given.
#[derive(Clone, Debug)]
pub struct GoogleGrant {
    /// What to show.
    pub token: Token,
    /// How long it is good for.
    pub lifetime: Duration,
    /// Where it came from, in words.
    pub origin: String,
}

/// A URL in a file.
fn url_field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// A URL that a file may lack.
fn url_if_given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

/// OAuth2's answer with a token.
#[derive(Deserialize)]
struct AccessToken {
    access_token: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl AccessToken {
    fn into_parts(self) -> (Token, Duration) {
        let lifetime = self.expires_in.filter(|seconds| *seconds > 0.0);
        let lifetime = lifetime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        (
            Token::new(self.access_token),
            lifetime.unwrap_or(LIFETIME).min(LIFETIME),
        )
    }
}

/// Gets an access token, good for an hour.
pub async fn access_token(
    http: &CloudHttp,
    options: &GoogleOptions,
) -> Result<GoogleGrant, Failure> {
    if let Some(key) = &options.key {
        let (token, lifetime) = key_token(http, key).await?;
        let origin = format!("`{}`", key.origin);
        return Ok(GoogleGrant {
            token,
            lifetime,
            origin,
        });
    }
    let missing = "GOOGLE_APPLICATION_CREDENTIALS is not set, gcloud has left no file";
    let Some(metadata) = &options.metadata else {
        return Err(Failure::NotConfigured(missing.to_owned()));
    };
    let given = metadata_token(http, metadata).await;
    let (token, lifetime) = given.map_err(|error| {
        Failure::NotConfigured(format!("{missing}; the metadata server: {error}"))
    })?;
    Ok(GoogleGrant {
        token,
        lifetime,
        origin: "the metadata server".to_owned(),
    })
}

async fn key_token(http: &CloudHttp, key: &GoogleKey) -> Result<(Token, Duration), CloudError> {
    let unusable = |problem: &str| CloudError::Unusable(format!("`{}` {problem}", key.origin));
    // The parser's own message is left out: it may quote the file.
    let file = |text: &str| {
        let file: Option<KeyFile> = serde_json::from_str(text).ok();
        file.ok_or_else(|| unusable("is not a credentials file"))
    };
    match file(key.text.expose())? {
        KeyFile::ImpersonatedServiceAccount(wanted) => {
            let source = wanted.source_credentials.to_string();
            let (token, _) = own_token(http, file(&source)?, &source, &key.origin).await?;
            let url = &wanted.service_account_impersonation_url;
            external_account::impersonate(http, url, &token, &wanted.delegates).await
        }
        own @ (KeyFile::ServiceAccount(_)
        | KeyFile::AuthorizedUser(_)
        | KeyFile::ExternalAccount(_)
        | KeyFile::Unknown) => own_token(http, own, key.text.expose(), &key.origin).await,
    }
}

/// Gets the token of whom a file is about. `origin` names it, for messages.
async fn own_token(
    http: &CloudHttp,
    file: KeyFile,
    text: &str,
    origin: &str,
) -> Result<(Token, Duration), CloudError> {
    let unusable = |problem: &str| CloudError::Unusable(format!("`{origin}` {problem}"));
    let question = match file {
        KeyFile::ServiceAccount(account) => account
            .question()
            .ok_or_else(|| unusable("holds a private key that cannot be used"))?,
        KeyFile::AuthorizedUser(user) => user.question()?,
        KeyFile::ExternalAccount(account) => {
            return external_account::token(http, &account, origin).await;
        }
        KeyFile::ImpersonatedServiceAccount(_) => {
            return Err(unusable("has one impersonated_service_account in another"));
        }
        KeyFile::Unknown => {
            return Err(unusable(&format!(
                "is of a type that is not supported{} (not service_account, authorized_user, external_account, impersonated_service_account)",
                known_type(text)
            )));
        }
    };
    let answer: AccessToken = http.ask_json(&question, "token").await?;
    Ok(answer.into_parts())
}

/// Returns the type of a file, if it is one of Google's.
fn known_type(text: &str) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let name = value.as_ref().and_then(|value| value["type"].as_str());
    let known = name.filter(|name| OTHER_TYPES.contains(name));
    known.map_or_else(String::new, |name| format!(", {name}"))
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
    let url = below(metadata, path)?;
    let question = Question::new(Method::GET, url).header("metadata-flavor", "Google")?;
    let text = http.ask_machine(&question).await?;
    let answer: AccessToken = read_json(&text, &question, "token")?;
    Ok(answer.into_parts())
}
