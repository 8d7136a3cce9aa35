//! Getting a token from a token server (distribution, "Token Authentication Specification" and "OAuth2 Token Authentication").
//! This module asks once; it must not keep tokens.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::debug;
use url::form_urlencoded;

use super::challenge::BearerChallenge;
use super::credentials::Credential;
use super::error::{Refusal, RegistryError};
use super::exchange::{Exchange, Shown};
use super::request::{Body, Redirects, Request};
use super::response::Response;
use super::scope::Scope;
use crate::http::Token;

/// Tokens are a few KiB; Azure's may be tens.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// The specification's lifetime for a token that comes without.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// No token is used for longer without asking again, whatever its server says.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Our name at token servers.
const CLIENT_ID: &str = "sawagani";

/// A token and how long it is good for.
#[derive(Clone, Debug)]
pub(super) struct IssuedToken {
    pub(super) value: Token,
    issued: Instant,
    lifetime: Duration,
}

impl IssuedToken {
    /// Tells whether the token will last for a request that starts now. A long one wants half the lifetime left:
    /// GitLab's tokens live five minutes, and uploads may take as long.
    pub(super) fn is_fresh(&self, is_long: bool) -> bool {
        is_fresh_at(self.issued.elapsed(), self.lifetime, is_long)
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// What to ask a token server for.
pub(super) struct TokenRequest<'a> {
    /// The registry that the token is for, for messages.
    pub(super) registry: &'a str,
    pub(super) challenge: &'a BearerChallenge,
    pub(super) scopes: &'a [Scope],
    /// `None` asks for an anonymous token.
    pub(super) credential: Option<&'a Credential>,
}

impl TokenRequest<'_> {
    /// Asks by GET with user and password, or by POST with an identity token, and by GET if the server knows no POST.
    pub(super) async fn send(&self, exchange: &Exchange) -> Result<IssuedToken, RegistryError> {
        match self.credential {
            None | Some(Credential::RegistryToken(_)) => self.get(exchange, None).await,
            Some(Credential::Basic { username, password }) => {
                let authorization = basic_authorization(username, password.expose());
                self.get(exchange, Some(authorization)).await
            }
            Some(Credential::IdentityToken { username, token }) => {
                match self.post(exchange, token).await {
                    Err(error) if is_without_post(&error) => {
                        debug!("token server takes no POST, trying GET: {error}");
                        let authorization = basic_authorization(username, token.expose());
                        // The first refusal tells more about the token than the second.
                        self.get(exchange, Some(authorization))
                            .await
                            .map_err(|_| error)
                    }
                    answer => answer,
                }
            }
        }
    }

    async fn get(
        &self,
        exchange: &Exchange,
        authorization: Option<HeaderValue>,
    ) -> Result<IssuedToken, RegistryError> {
        let mut url = self.challenge.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.challenge.service {
                query.append_pair("service", service);
            }
            // One parameter per scope, as the specification has it.
            for scope in self.scopes {
                query.append_pair("scope", &scope.to_string());
            }
        }
        let request = Request::new(Method::GET, url);
        let shown = Shown {
            authorization: authorization.as_ref(),
            headers: None,
        };
        let response = exchange.send(&request, shown).await?;
        self.read(response).await
    }

    async fn post(&self, exchange: &Exchange, token: &Token) -> Result<IssuedToken, RegistryError> {
        let scopes: Vec<String> = self.scopes.iter().map(ToString::to_string).collect();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair(
                "service",
                self.challenge.service.as_deref().unwrap_or_default(),
            )
            .append_pair("client_id", CLIENT_ID)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("refresh_token", token.expose())
            .finish();
        let request = Request::new(Method::POST, self.challenge.realm.clone())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(Body::Bytes(Bytes::from(form)))
            // The body is a secret, and goes nowhere else.
            .redirects(Redirects::None);
        let response = exchange.send(&request, Shown::default()).await?;
        self.read(response).await
    }

    async fn read(&self, response: Response) -> Result<IssuedToken, RegistryError> {
        if response.status() != StatusCode::OK {
            return Err(self.refused(response.into_refusal().await));
        }
        let unusable = response.protocol_error("it holds no token");
        let body = response.body(MAX_ANSWER_BYTES).await?;
        let Ok(answer) = serde_json::from_slice::<Answer>(&body) else {
            return Err(unusable);
        };
        let filled = |field: Option<String>| field.filter(|text| !text.is_empty());
        let Some(value) = filled(answer.token).or_else(|| filled(answer.access_token)) else {
            return Err(unusable);
        };
        Ok(IssuedToken {
            value: Token::new(value),
            issued: Instant::now(),
            lifetime: lifetime(answer.expires_in),
        })
    }

    fn refused(&self, refusal: Refusal) -> RegistryError {
        RegistryError::TokenRefused {
            registry: self.registry.to_owned(),
            refusal: Box::new(refusal),
        }
    }
}

fn lifetime(expires_in: Option<f64>) -> Duration {
    let announced = expires_in.filter(|seconds| *seconds > 0.0);
    let announced = announced.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    announced.unwrap_or(DEFAULT_LIFETIME).min(LONGEST_LIFETIME)
}

fn is_fresh_at(age: Duration, lifetime: Duration, is_long: bool) -> bool {
    let margin = match is_long {
        true => lifetime / 2,
        false => (lifetime / 10).min(Duration::from_secs(30)),
    };
    lifetime.saturating_sub(age) > margin
}

/// Artifactory answers 401, Azure 400, Google 404, Docker Hub once 405.
fn is_without_post(error: &RegistryError) -> bool {
    let statuses = [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
    ];
    error
        .status()
        .is_some_and(|status| statuses.contains(&status))
}

/// RFC 7617, in UTF-8.
pub(super) fn basic_authorization(username: &str, password: &str) -> HeaderValue {
    let encoded = STANDARD.encode(format!("{username}:{password}"));
    sensitive(&format!("Basic {encoded}")).unwrap_or(HeaderValue::from_static("Basic"))
}

/// RFC 6750. `None` if the token holds what no header can.
pub(super) fn bearer_authorization(token: &Token) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {}", token.expose()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_as_long_as_its_server_says_within_reason() {
        assert_eq!(lifetime(Some(300.0)), Duration::from_secs(300));
        for odd in [None, Some(0.0), Some(-5.0), Some(f64::NAN)] {
            assert_eq!(lifetime(odd), Duration::from_secs(60));
        }
        assert_eq!(lifetime(Some(1e18)), Duration::from_secs(24 * 60 * 60));
        assert_eq!(lifetime(Some(f64::INFINITY)), Duration::from_secs(60));
    }

    #[test]
    fn a_token_is_renewed_before_it_expires_and_earlier_for_a_long_request() {
        let is_fresh =
            |age, is_long| is_fresh_at(Duration::from_secs(age), Duration::from_secs(300), is_long);
        assert!(is_fresh(0, true) && is_fresh(149, true));
        assert!(!is_fresh(151, true) && is_fresh(151, false));
        assert!(!is_fresh(271, false) && !is_fresh(1000, false));
    }

    #[test]
    fn user_and_password_are_sent_as_the_standard_has_it() {
        // RFC 7617 section 2.
        let value = basic_authorization("Aladdin", "open sesame");
        assert_eq!(
            value.to_str().unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert!(value.is_sensitive());
        assert_eq!(bearer_authorization(&Token::new("a\nb")), None);
    }
}
