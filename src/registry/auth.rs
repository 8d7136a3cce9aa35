//! Getting in at one registry: what it asks for, the credentials for it, and the tokens that are still good.
//! This module must not send requests to the registry itself; it learns from what others were answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use url::Url;

use super::challenge::{self, BearerChallenge, Challenge};
use super::credentials::{Credential, Keychain, Lookup};
use super::error::RegistryError;
use super::exchange::Exchange;
use super::host::{RegistryHost, is_loopback};
use super::scope::{Scope, merged};
use super::token::{IssuedToken, TokenRequest, basic_authorization, bearer_authorization};
use crate::cloud::CloudHttp;

/// Knows one registry's door.
#[derive(Debug)]
pub(super) struct Authorizer {
    host: RegistryHost,
    keychain: Keychain,
    /// `None` where the host is no cloud's.
    cloud: Option<CloudHttp>,
    memory: Mutex<Memory>,
    /// One token request or helper run at a time: parallel requests for the same repository share the answer.
    door: Semaphore,
}

#[derive(Debug, Default)]
struct Memory {
    /// What the registry asked for last. `None` until it asks.
    challenge: Option<Challenge>,
    /// By repository.
    lookups: BTreeMap<String, Arc<Lookup>>,
    tokens: Vec<(Vec<Scope>, IssuedToken)>,
}

/// What is sent along with a request.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) header: HeaderValue,
    kind: AuthorizationKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthorizationKind {
    /// The same every time.
    Fixed,
    /// A token got for an earlier request.
    Remembered,
    /// A token got for this request.
    New,
}

/// What to do about a 401.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterRefusal {
    /// Ask for an authorization that covers this too, and send the request again.
    TryAgain {
        /// The challenge's scope.
        demanded: Option<String>,
    },
    /// There is nothing better to send.
    GiveUp,
    /// Neither Basic nor Bearer: the header.
    Unsupported(String),
}

impl Authorizer {
    pub(super) fn new(host: RegistryHost, keychain: Keychain, cloud: Option<CloudHttp>) -> Self {
        Self {
            host,
            keychain,
            cloud,
            memory: Mutex::default(),
            door: Semaphore::new(1),
        }
    }

    /// Returns what to send with a request to `registry` that needs these scopes. `None` if the registry has not asked
    /// for anything yet, or if there is nothing to show.
    pub(super) async fn authorization(
        &self,
        exchange: &Exchange,
        registry: &Url,
        scopes: &[Scope],
        demanded: Option<&str>,
        is_long: bool,
    ) -> Result<Option<Authorization>, RegistryError> {
        let Some(challenge) = self.memory().challenge.clone() else {
            return Ok(None);
        };
        match challenge {
            Challenge::Basic => {
                let lookup = self.look_up(scopes).await?;
                Ok(lookup.credential.as_ref().and_then(fixed_authorization))
            }
            Challenge::Bearer(challenge) => {
                let scopes = merged(demanded, scopes);
                self.token(exchange, registry, &challenge, &scopes, is_long)
                    .await
            }
        }
    }

    /// Learns from a 401 to a request that was sent with `sent`.
    pub(super) fn after_refusal(
        &self,
        headers: &HeaderMap,
        registry: &Url,
        sent: Option<&Authorization>,
        scopes: &[Scope],
        demanded_before: Option<&str>,
    ) -> AfterRefusal {
        let challenge = match challenge::read(headers, registry) {
            Ok(challenge) => challenge,
            Err(header) if header.is_empty() => return AfterRefusal::GiveUp,
            Err(header) => return AfterRefusal::Unsupported(header),
        };
        let demanded = match &challenge {
            Challenge::Basic => None,
            Challenge::Bearer(bearer) => bearer.scope.clone(),
        };
        let mut memory = self.memory();
        memory.challenge = Some(challenge);
        let Some(sent) = sent else {
            return AfterRefusal::TryAgain { demanded };
        };
        let is_sent =
            |token: &IssuedToken| bearer_authorization(&token.value).as_ref() == Some(&sent.header);
        let mut tokens = memory.tokens.iter();
        let has_expired = tokens.any(|(_, token)| is_sent(token) && !token.is_fresh(false));
        memory.tokens.retain(|(_, token)| !is_sent(token));
        let is_more_demanded =
            merged(demanded.as_deref(), scopes) != merged(demanded_before, scopes);
        match sent.kind {
            AuthorizationKind::Remembered => AfterRefusal::TryAgain { demanded },
            AuthorizationKind::New if is_more_demanded || has_expired => {
                AfterRefusal::TryAgain { demanded }
            }
            AuthorizationKind::New | AuthorizationKind::Fixed => AfterRefusal::GiveUp,
        }
    }

    /// Returns one line per source of credentials that was asked for these scopes. Empty if none was.
    pub(super) fn credentials_tried(&self, scopes: &[Scope]) -> Vec<String> {
        let memory = self.memory();
        let lookup = memory.lookups.get(repository(scopes));
        lookup
            .map(|lookup| lookup.tried.clone())
            .unwrap_or_default()
    }

    async fn token(
        &self,
        exchange: &Exchange,
        registry: &Url,
        challenge: &BearerChallenge,
        scopes: &[Scope],
        is_long: bool,
    ) -> Result<Option<Authorization>, RegistryError> {
        if let Some(token) = self.remembered(scopes, is_long) {
            return Ok(bearer(&token, AuthorizationKind::Remembered));
        }
        let lookup = self.look_up(scopes).await?;
        if let Some(credential @ Credential::RegistryToken(_)) = &lookup.credential {
            return Ok(fixed_authorization(credential));
        }
        let _turn = self.door.acquire().await;
        if let Some(token) = self.remembered(scopes, is_long) {
            return Ok(bearer(&token, AuthorizationKind::Remembered));
        }
        self.check_realm(registry, &challenge.realm, lookup.credential.is_some())?;
        let request = TokenRequest {
            registry: self.host.name(),
            challenge,
            scopes,
            credential: lookup.credential.as_ref(),
        };
        let token = request
            .send(exchange)
            .await
            .map_err(|error| with_tried(error, &lookup.tried))?;
        let authorization = bearer(&token, AuthorizationKind::New);
        let mut memory = self.memory();
        memory.tokens.retain(|(_, token)| token.is_fresh(false));
        memory.tokens.push((scopes.to_vec(), token));
        Ok(authorization)
    }

    fn remembered(&self, scopes: &[Scope], is_long: bool) -> Option<IssuedToken> {
        let memory = self.memory();
        let mut fitting = memory.tokens.iter().rev().filter(|(held, token)| {
            let covers = scopes
                .iter()
                .all(|scope| held.iter().any(|held| held.covers(scope)));
            covers && token.is_fresh(is_long)
        });
        fitting.next().map(|(_, token)| token.clone())
    }

    /// Credentials may not leave TLS because a registry says so.
    fn check_realm(
        &self,
        registry: &Url,
        realm: &Url,
        has_credential: bool,
    ) -> Result<(), RegistryError> {
        let is_downgrade = registry.scheme() == "https" && realm.scheme() == "http";
        let realm = realm.host_str().unwrap_or_default();
        if has_credential && is_downgrade && !is_loopback(realm) {
            return Err(RegistryError::InsecureRealm {
                registry: self.host.name().to_owned(),
                realm: realm.to_owned(),
            });
        }
        Ok(())
    }

    /// A source that fails is an error for writing; for reading, the image may be public.
    async fn look_up(&self, scopes: &[Scope]) -> Result<Arc<Lookup>, RegistryError> {
        let lookup = self.remembered_lookup(scopes).await;
        let Some(failure) = &lookup.failure else {
            return Ok(lookup);
        };
        if scopes.iter().any(Scope::is_for_writing) {
            return Err(RegistryError::Credentials {
                registry: self.host.name().to_owned(),
                tried: lookup.tried.clone(),
                source: Arc::clone(failure),
            });
        }
        Ok(lookup)
    }

    async fn remembered_lookup(&self, scopes: &[Scope]) -> Arc<Lookup> {
        let repository = repository(scopes);
        let known = || {
            let memory = self.memory();
            let lookup = memory.lookups.get(repository);
            lookup.filter(|lookup| lookup.is_good()).cloned()
        };
        if let Some(lookup) = known() {
            return lookup;
        }
        let _turn = self.door.acquire().await;
        if let Some(lookup) = known() {
            return lookup;
        }
        let cloud = self.cloud.as_ref();
        let lookup = Arc::new(self.keychain.find(&self.host, repository, cloud).await);
        debug!(registry = self.host.name(), repository, tried = ?lookup.tried, "credentials");
        let is_reading = !scopes.iter().any(Scope::is_for_writing);
        if let Some(failure) = lookup.failure.as_ref().filter(|_| is_reading) {
            warn!(
                "going on without credentials for `{}`: {failure}",
                self.host.name()
            );
        }
        self.memory()
            .lookups
            .insert(repository.to_owned(), Arc::clone(&lookup));
        lookup
    }

    /// Nothing panics while the lock is held; a memory that did is still the best there is.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The repository whose credentials count: the one that the request is about comes first.
fn repository(scopes: &[Scope]) -> &str {
    scopes
        .iter()
        .find_map(Scope::repository)
        .unwrap_or_default()
}

fn fixed_authorization(credential: &Credential) -> Option<Authorization> {
    let header = match credential {
        Credential::Basic { username, password } => {
            basic_authorization(username, password.expose())
        }
        Credential::IdentityToken { username, token } => {
            basic_authorization(username, token.expose())
        }
        Credential::RegistryToken(token) => bearer_authorization(token)?,
    };
    let kind = AuthorizationKind::Fixed;
    Some(Authorization { header, kind })
}

fn bearer(token: &IssuedToken, kind: AuthorizationKind) -> Option<Authorization> {
    let header = bearer_authorization(&token.value)?;
    Some(Authorization { header, kind })
}

fn with_tried(error: RegistryError, tried: &[String]) -> RegistryError {
    match error {
        RegistryError::TokenRefused {
            registry,
            mut refusal,
        } => {
            refusal.credentials_tried = tried.to_vec();
            RegistryError::TokenRefused { registry, refusal }
        }
        other => other,
    }
}
