//! Requests to servers of files and repositories: one client for each host, redirects followed with care. This module
//! must not know what is fetched.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use rustls::RootCertStore;
use url::Url;

use super::error::RemoteError;
use super::options::RemoteOptions;
use crate::http::options::USER_AGENT;
use crate::http::retry::read_retry_after;
use crate::http::{Call, ClientSettings, TlsSettings, http_client, system_roots};

/// As many as reqwest and Go follow.
const MAX_REDIRECTS: usize = 10;

/// Connections to a host that are kept for the next request.
const IDLE_CONNECTIONS: usize = 4;

/// The way to all servers.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) options: RemoteOptions,
    system_roots: OnceLock<RootCertStore>,
    clients: Mutex<BTreeMap<String, reqwest::Client>>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct WebRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// For the origin of `url`, and for no other.
    pub(super) authorization: Option<HeaderValue>,
    /// Redirects from TLS to plain HTTP are followed: the content is checked against a digest that is known already.
    pub(super) may_downgrade: bool,
}

/// What came back; its body has not been read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) call: Box<Call>,
    /// Where it came from in the end.
    pub(super) url: Url,
    pub(super) inner: reqwest::Response,
    /// The request before redirects. `None` without.
    asked: Option<Box<Call>>,
}

impl Web {
    /// Takes the user's decisions; reads no file yet.
    pub(super) fn new(options: RemoteOptions) -> Self {
        Self {
            options,
            system_roots: OnceLock::new(),
            clients: Mutex::default(),
        }
    }

    /// Sends a request once and follows redirects. The answer may have any status that is no redirect.
    pub(super) async fn send(&self, request: &WebRequest) -> Result<Answer, RemoteError> {
        let first = Box::new(Call::new(&request.method, &request.url));
        let mut url = request.url.clone();
        for redirects in 0..=MAX_REDIRECTS {
            let answer = self.send_to(request, &url).await?;
            match redirect_target(request, &answer)? {
                Some(target) => url = target,
                None => {
                    return Ok(Answer {
                        asked: (redirects > 0).then_some(first),
                        ..answer
                    });
                }
            }
        }
        Err(RemoteError::Protocol {
            call: first,
            problem: format!("more than {MAX_REDIRECTS} redirects"),
        })
    }

    async fn send_to(&self, request: &WebRequest, url: &Url) -> Result<Answer, RemoteError> {
        let call = Box::new(Call::new(&request.method, url));
        // User and password go into the header only, and to their own origin only.
        let bare = without_user(url);
        let client = self.client(url)?;
        let mut builder = client.request(request.method.clone(), bare.clone());
        builder = builder.headers(request.headers.clone());
        if let Some(authorization) = &request.authorization
            && url.origin() == request.url.origin()
        {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        if request.method == Method::POST {
            builder = builder.body(request.body.clone());
        }
        let after = self.options.timeouts.response;
        let sent = tokio::time::timeout(after, builder.send()).await;
        let sent = sent.map_err(|_| RemoteError::Stalled {
            call: call.clone(),
            after,
        })?;
        let inner = sent.map_err(|error| RemoteError::from_exchange(call.clone(), error))?;
        Ok(Answer {
            call,
            url: bare,
            inner,
            asked: None,
        })
    }

    /// Returns the client of a host: certificates are for one host only.
    pub(super) fn client(&self, url: &Url) -> Result<reqwest::Client, RemoteError> {
        let name = authority(url);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&name) {
            return Ok(client.clone());
        }
        let options = &self.options;
        let roots = self
            .system_roots
            .get_or_init(|| system_roots(&options.system_roots));
        let certificates = of_host(&options.certificates, url);
        let settings = ClientSettings {
            tls: TlsSettings {
                certificates: certificates.map_or(&[], Vec::as_slice),
                client: of_host(&options.client_certificates, url),
                skips_verification: options.unverified.contains(&name),
            },
            proxy: &options.proxy,
            timeouts: options.timeouts,
            user_agent: USER_AGENT,
            idle_connections: IDLE_CONNECTIONS,
        };
        let client = http_client(roots, &settings).map_err(|source| RemoteError::Setup {
            host: name.clone(),
            source,
        })?;
        clients.insert(name, client.clone());
        Ok(client)
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// Returns a header's text. Empty if it is missing, or not ASCII.
    pub(super) fn header(&self, name: &HeaderName) -> &str {
        let value = self.inner.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Gives the answer back if its status is one of success.
    pub(super) fn accept(self) -> Result<Self, RemoteError> {
        if self.status().is_success() {
            return Ok(self);
        }
        let wait = self.header(&RETRY_AFTER);
        Err(RemoteError::Refused {
            retry_after: read_retry_after(wait, SystemTime::now()),
            status: self.status(),
            call: self.call,
            asked: self.asked,
        })
    }

    fn protocol_error(&self, problem: &str) -> RemoteError {
        RemoteError::Protocol {
            call: self.call.clone(),
            problem: problem.to_owned(),
        }
    }
}

fn redirect_target(request: &WebRequest, answer: &Answer) -> Result<Option<Url>, RemoteError> {
    let is_read = [Method::GET, Method::HEAD].contains(&request.method);
    let is_redirect = match answer.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        // For other methods these would have to become a GET, which nobody asked for.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => is_read,
        _ => false,
    };
    if !is_redirect {
        return Ok(None);
    }
    let location = answer.header(&LOCATION);
    let target = answer.url.join(location).ok();
    let target = target.filter(|target| matches!(target.scheme(), "http" | "https"));
    let Some(target) = target.filter(|_| !location.is_empty()) else {
        return Err(answer.protocol_error("it redirects to nowhere"));
    };
    // Whoever stands in the middle of plain HTTP could put anything in place of the file.
    let is_downgrade = answer.url.scheme() == "https" && target.scheme() == "http";
    if is_downgrade && !request.may_downgrade {
        return Err(answer.protocol_error("it redirects to plain http"));
    }
    Ok(Some(target))
}

/// Returns host and port, the usual one left out.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Returns the URL without user and password.
pub(super) fn without_user(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail for URLs that cannot have a user, and then there is nothing to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// `host:443` is `host`, as for registries.
fn of_host<'a, T>(by_host: &'a BTreeMap<String, T>, url: &Url) -> Option<&'a T> {
    let own = authority(url);
    let name = |text: &str| {
        let lower = text.to_ascii_lowercase();
        lower.strip_suffix(":443").unwrap_or(&lower).to_owned()
    };
    let mut entries = by_host.iter();
    entries
        .find(|(host, _)| name(host) == own)
        .map(|(_, value)| value)
}
