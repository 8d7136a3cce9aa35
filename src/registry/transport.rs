//! Requests to one registry: with its scheme, its authorization, its share of connections, and again if it fails.
//! This module knows no manifests and no blobs.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};
use url::Url;

use super::auth::{AfterRefusal, Authorization, Authorizer};
use super::error::{ErrorKind, RegistryError, Untrusted};
use super::exchange::{Exchange, Shown, has_same_origin};
use super::host::RegistryHost;
use super::options::{RetryPolicy, Security};
use super::request::Request;
use super::response::Response;
use super::warnings::Warnings;
use crate::http::retry::with_retries;

/// One request may need: nothing known, a token, a token for what was newly demanded.
const MAX_AUTHORIZATIONS: usize = 3;

/// The way to one registry.
#[derive(Debug)]
pub(super) struct Transport {
    host: RegistryHost,
    security: Security,
    exchange: Exchange,
    authorizer: Authorizer,
    headers: HeaderMap,
    connections: Arc<Semaphore>,
    retry: RetryPolicy,
    base: OnceCell<Url>,
    warnings: Warnings,
}

impl Transport {
    /// `headers` are for the registry's own origin only.
    pub(super) fn new(
        host: RegistryHost,
        security: Security,
        exchange: Exchange,
        authorizer: Authorizer,
        headers: HeaderMap,
        connections: Arc<Semaphore>,
        retry: RetryPolicy,
    ) -> Self {
        Self {
            host,
            security,
            exchange,
            authorizer,
            headers,
            connections,
            retry,
            base: OnceCell::new(),
            warnings: Warnings::default(),
        }
    }

    pub(super) fn host(&self) -> &RegistryHost {
        &self.host
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy {
        self.retry
    }

    /// Returns the URL of something below `/v2/`. The segments are names: what is not allowed in a path is encoded.
    pub(super) async fn url(&self, segments: &[&str]) -> Result<Url, RegistryError> {
        let mut url = self.base().await?.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Ok(url)
    }

    /// Waits for one of the registry's connections. It is free again when the permit is dropped.
    pub(super) async fn connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).acquire_owned().await.ok()
    }

    /// Sends a request, again if that may help, until the answer has one of the statuses.
    pub(super) async fn send_until(
        &self,
        request: &Request,
        statuses: &[StatusCode],
    ) -> Result<Response, RegistryError> {
        with_retries(&self.retry, || self.send_for(request, statuses)).await
    }

    /// Sends a request once; an answer without one of the statuses is an error.
    pub(super) async fn send_for(
        &self,
        request: &Request,
        statuses: &[StatusCode],
    ) -> Result<Response, RegistryError> {
        let connection = self.connection().await;
        let response = self.send(request).await?.accept(statuses).await?;
        Ok(match connection {
            Some(connection) => response.holding(connection),
            None => response,
        })
    }

    /// Sends a request once, with what the registry wants to see, on a connection that the caller holds.
    /// The response may have any status.
    pub(super) async fn send(&self, request: &Request) -> Result<Response, RegistryError> {
        let base = self.base().await?;
        // An upload's Location may be on a host that has no business with our tokens.
        if !has_same_origin(&request.url, base) {
            return self.exchange.send(request, Shown::default()).await;
        }
        let mut demanded = None;
        let mut authorization = self.authorization(request, base, None).await?;
        let mut response = self.send_showing(request, &authorization).await?;
        for _ in 1..MAX_AUTHORIZATIONS {
            if response.status() != StatusCode::UNAUTHORIZED || response.is_from_elsewhere() {
                break;
            }
            let (headers, sent) = (response.headers(), authorization.as_ref());
            let scopes = &request.scopes;
            let after =
                self.authorizer
                    .after_refusal(headers, base, sent, scopes, demanded.as_deref());
            demanded = match after {
                AfterRefusal::TryAgain { demanded } => demanded,
                AfterRefusal::GiveUp => break,
                AfterRefusal::Unsupported(challenge) => {
                    return Err(unsupported(response, &challenge).await);
                }
            };
            authorization = self
                .authorization(request, base, demanded.as_deref())
                .await?;
            if authorization.is_none() {
                break;
            }
            response.discard().await;
            response = self.send_showing(request, &authorization).await?;
        }
        for text in self.warnings.news(response.headers()) {
            warn!("`{}` says: {text}", self.host.name());
        }
        Ok(response.after_trying(self.authorizer.credentials_tried(&request.scopes)))
    }

    async fn send_showing(
        &self,
        request: &Request,
        authorization: &Option<Authorization>,
    ) -> Result<Response, RegistryError> {
        let shown = Shown {
            authorization: authorization.as_ref().map(|it| &it.header),
            headers: Some(&self.headers),
        };
        self.exchange.send(request, shown).await
    }

    async fn authorization(
        &self,
        request: &Request,
        base: &Url,
        demanded: Option<&str>,
    ) -> Result<Option<Authorization>, RegistryError> {
        let (scopes, is_long) = (&request.scopes, request.is_long());
        self.authorizer
            .authorization(&self.exchange, base, scopes, demanded, is_long)
            .await
    }

    /// The registry's `/v2/`, with the scheme that it speaks.
    async fn base(&self) -> Result<&Url, RegistryError> {
        self.base.get_or_try_init(|| self.find_base()).await
    }

    async fn find_base(&self) -> Result<Url, RegistryError> {
        match self.security {
            Security::Tls => self.base_with("https"),
            Security::Plain => self.base_with("http"),
            Security::TlsThenPlain => {
                let url = self.base_with("https")?;
                let tried = self
                    .exchange
                    .send(&Request::new(Method::GET, url.clone()), Shown::default())
                    .await;
                match tried {
                    Ok(_) => Ok(url),
                    Err(error) if is_no_tls_there(&error) => {
                        debug!("`{}` is spoken to in plain http: {error}", self.host.name());
                        self.base_with("http")
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn base_with(&self, scheme: &str) -> Result<Url, RegistryError> {
        let text = format!("{scheme}://{}/v2/", self.host.authority());
        Url::parse(&text).map_err(|source| RegistryError::Host {
            host: self.host.authority().to_owned(),
            source,
        })
    }
}

async fn unsupported(response: Response, challenge: &str) -> RegistryError {
    RegistryError::UnsupportedChallenge {
        refusal: Box::new(response.into_refusal().await),
        challenge: Untrusted(challenge).to_string(),
    }
}

/// A bad certificate is not among them: someone does speak TLS there.
fn is_no_tls_there(error: &RegistryError) -> bool {
    match error.kind() {
        ErrorKind::NotTls | ErrorKind::Unreachable | ErrorKind::Interrupted => true,
        ErrorKind::Unauthorized
        | ErrorKind::Forbidden
        | ErrorKind::NotFound
        | ErrorKind::TooManyRequests
        | ErrorKind::TagImmutable
        | ErrorKind::UnsupportedMediaType
        | ErrorKind::ContentTooLarge
        | ErrorKind::Tls
        | ErrorKind::Server
        | ErrorKind::Corrupt
        | ErrorKind::NoPlatform
        | ErrorKind::Local
        | ErrorKind::Refused => false,
    }
}

#[cfg(test)]
mod tests;
