//! One request and its response over HTTP, redirects included. This module knows time limits and hosts,
//! not what the request is for, nor where its authorization comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use url::Url;

use super::error::{Call, RegistryError};
use super::options::Timeouts;
use super::request::{Body, Redirects, Request};
use super::response::Response;

/// As many as reqwest and Go follow.
const MAX_REDIRECTS: usize = 10;

/// One read from a blob's file; also what is held in memory per upload.
const UPLOAD_READ_BYTES: usize = 256 * 1024;

/// Sends requests.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    http: reqwest::Client,
    timeouts: Timeouts,
}

/// What goes with a request to its own origin, and to no other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown<'a> {
    pub(super) authorization: Option<&'a HeaderValue>,
    /// What the user wants the registry to see.
    pub(super) headers: Option<&'a HeaderMap>,
}

impl Exchange {
    /// Takes a client that follows no redirects by itself.
    pub(super) fn new(http: reqwest::Client, timeouts: Timeouts) -> Self {
        Self { http, timeouts }
    }

    /// Sends a request and follows redirects as it says. What is shown goes to the request's own origin only.
    /// The response may have any status.
    pub(super) async fn send(
        &self,
        request: &Request,
        shown: Shown<'_>,
    ) -> Result<Response, RegistryError> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let is_own_origin = has_same_origin(&url, &request.url);
            let shown = match is_own_origin {
                true => shown,
                false => Shown::default(),
            };
            let response = self.send_once(request, &url, shown).await?;
            match redirect_target(request, &url, &response)? {
                Some(target) => url = target,
                None => return Ok(response.redirected(!is_own_origin)),
            }
        }
        Err(RegistryError::Protocol {
            call: Box::new(Call::new(&request.method, &request.url)),
            problem: format!("more than {MAX_REDIRECTS} redirects"),
        })
    }

    async fn send_once(
        &self,
        request: &Request,
        url: &Url,
        shown: Shown<'_>,
    ) -> Result<Response, RegistryError> {
        let call = Box::new(Call::new(&request.method, url));
        let mut builder = self.http.request(request.method.clone(), url.clone());
        builder = builder.headers(request.headers.clone());
        if let Some(headers) = shown.headers {
            builder = builder.headers(headers.clone());
        }
        if let Some(authorization) = shown.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        let sent = match &request.body {
            Body::Empty => {
                if [Method::POST, Method::PUT, Method::PATCH].contains(&request.method) {
                    builder = builder.header(CONTENT_LENGTH, 0);
                }
                self.within_response_time(builder, &call).await?
            }
            Body::Bytes(bytes) => {
                self.within_response_time(builder.body(bytes.clone()), &call)
                    .await?
            }
            Body::File { length, .. } => {
                let progress = Arc::new(Progress::default());
                let body = file_body(&request.body, Arc::clone(&progress)).await?;
                let builder = builder.header(CONTENT_LENGTH, *length).body(body);
                self.while_moving(builder, &call, &progress, *length)
                    .await?
            }
        };
        let inner = sent.map_err(|error| RegistryError::from_exchange(call.clone(), error))?;
        Ok(Response::new(call, inner, self.timeouts.idle))
    }

    async fn within_response_time(
        &self,
        builder: reqwest::RequestBuilder,
        call: &Call,
    ) -> Result<reqwest::Result<reqwest::Response>, RegistryError> {
        let after = self.timeouts.response;
        let sent = tokio::time::timeout(after, builder.send()).await;
        sent.map_err(|_| stalled(call, after))
    }

    /// Waits as long as bytes leave, and after the last one as long as the registry may take to store the blob.
    async fn while_moving(
        &self,
        builder: reqwest::RequestBuilder,
        call: &Call,
        progress: &Progress,
        length: u64,
    ) -> Result<reqwest::Result<reqwest::Response>, RegistryError> {
        let sending = builder.send();
        tokio::pin!(sending);
        let mut patience = self.timeouts.idle;
        let mut seen = 0;
        loop {
            if let Ok(sent) = tokio::time::timeout(patience, &mut sending).await {
                return Ok(sent);
            }
            let now = progress.bytes.load(Ordering::Relaxed);
            let is_complete = now == length;
            let is_waiting_for_commit = patience == self.timeouts.commit;
            if is_complete && !is_waiting_for_commit {
                patience = self.timeouts.commit;
            } else if now == seen {
                return Err(stalled(call, patience));
            }
            seen = now;
        }
    }
}

/// How much of a body has been handed to the connection.
#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
}

fn stalled(call: &Call, after: Duration) -> RegistryError {
    RegistryError::Stalled {
        call: Box::new(call.clone()),
        after,
    }
}

async fn file_body(body: &Body, progress: Arc<Progress>) -> Result<reqwest::Body, RegistryError> {
    let Body::File {
        path,
        offset,
        length,
    } = body
    else {
        return Ok(reqwest::Body::default());
    };
    let unreadable = |source| RegistryError::Source {
        path: path.clone(),
        source,
    };
    let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let actual = file.metadata().await.map_err(unreadable)?.len();
    if actual < offset + length {
        return Err(RegistryError::SourceSize {
            path: path.clone(),
            expected: offset + length,
            actual,
        });
    }
    file.seek(std::io::SeekFrom::Start(*offset))
        .await
        .map_err(unreadable)?;
    let stream = ReaderStream::with_capacity(file.take(*length), UPLOAD_READ_BYTES);
    let counted = stream.inspect_ok(move |chunk| {
        progress
            .bytes
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
    });
    Ok(reqwest::Body::wrap_stream(counted))
}

/// Tells whether two URLs are answered by the same server: what one may know, the other may.
pub(super) fn has_same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

fn redirect_target(
    request: &Request,
    url: &Url,
    response: &Response,
) -> Result<Option<Url>, RegistryError> {
    let is_read = [Method::GET, Method::HEAD].contains(&request.method);
    let is_redirect = match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        // For other methods these would have to become a GET, which nobody asked for.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => is_read,
        _ => false,
    };
    if !is_redirect || request.redirects == Redirects::None {
        return Ok(None);
    }
    let location = response.header(&LOCATION).unwrap_or_default();
    let target = url
        .join(location)
        .ok()
        .filter(|target| matches!(target.scheme(), "http" | "https"));
    let Some(target) = target.filter(|_| !location.is_empty()) else {
        return Err(response.protocol_error("it redirects to nowhere"));
    };
    let is_downgrade = url.scheme() == "https" && target.scheme() == "http";
    match request.redirects {
        Redirects::SameSecurity if is_downgrade => {
            Err(response.protocol_error("it redirects to plain http"))
        }
        Redirects::SameSecurity | Redirects::All => Ok(Some(target)),
        Redirects::None => Ok(None),
    }
}
