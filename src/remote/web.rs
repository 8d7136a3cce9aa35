//! Requests to servers of files and repositories: one client for each host, redirects followed with care. This module
//! must not know what is fetched.

use std::time::SystemTime;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use url::Url;

use super::error::RemoteError;
use super::options::RemoteOptions;
use crate::cloud::CloudHttp;
use crate::http::options::USER_AGENT;
use crate::http::retry::read_retry_after;
use crate::http::{Call, HostClients, HostSettings, authority};

/// As many as reqwest and Go follow.
const MAX_REDIRECTS: usize = 10;

/// Connections to a host that are kept for the next request.
const IDLE_CONNECTIONS: usize = 4;

/// The way to all servers.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) options: RemoteOptions,
    clients: HostClients,
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
            clients: HostClients::new(host_settings(&options, IDLE_CONNECTIONS)),
            options,
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

    /// Returns the client of a URL's host.
    pub(super) fn client(&self, url: &Url) -> Result<reqwest::Client, RemoteError> {
        let client = self.clients.client(url);
        client.map_err(|source| RemoteError::Setup {
            host: authority(url),
            source,
        })
    }

    /// Returns how clouds are asked for credentials.
    pub(super) fn cloud(&self) -> CloudHttp {
        CloudHttp::new(host_settings(&self.options, 1))
    }
}

fn host_settings(options: &RemoteOptions, idle_connections: usize) -> HostSettings {
    HostSettings {
        certificates: options.certificates.clone(),
        client_certificates: options.client_certificates.clone(),
        unverified: options.unverified.clone(),
        system_roots: options.system_roots.clone(),
        proxy: options.proxy.clone(),
        timeouts: options.timeouts,
        user_agent: USER_AGENT.to_owned(),
        idle_connections,
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

/// Returns the URL without user and password.
pub(super) fn without_user(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail for URLs that cannot have a user, and then there is nothing to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
