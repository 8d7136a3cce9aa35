//! The way of the `object_store` crate to its servers: through the clients of this room, so that certificates, proxies and
//! time limits are the user's. It notes how the last request went, because the crate's own errors repeat what servers
//! say. This module must not know what is asked for.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::header::{ETAG, HeaderValue, LAST_MODIFIED};
use reqwest::{Method, StatusCode};
use url::Url;

use super::super::error::RemoteError;
use super::super::web::Web;
use crate::http::{Call, tls_failure};

/// What is read of an answer that says no: enough for the code in it.
const REFUSAL_BYTES: usize = 16 * 1024;

/// How the last request went, and through what the next one goes.
#[derive(Clone)]
pub(super) struct Transport {
    web: Arc<Web>,
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    call: Option<Box<Call>>,
    failure: Option<Failure>,
}

/// What went wrong last.
pub(super) enum Failure {
    /// An answer, which is one of success if it is not to be understood.
    Answer {
        call: Box<Call>,
        status: StatusCode,
        code: String,
    },
    /// No answer.
    Transport(Box<RemoteError>),
}

/// Requests have secrets in their headers.
impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transport(..)")
    }
}

impl Transport {
    pub(super) fn new(web: Arc<Web>) -> Self {
        Self {
            web,
            last: Arc::default(),
        }
    }

    pub(super) fn last_failure(&self) -> Option<Failure> {
        self.lock().failure.take()
    }

    pub(super) fn last_call(&self) -> Option<Box<Call>> {
        self.lock().call.clone()
    }

    /// Says why an object broke off. What a server says of it is not shown.
    pub(super) fn words_of(&self, error: &object_store::Error) -> Words {
        match &self.lock().failure {
            Some(Failure::Answer { call, status, .. }) if !status.is_success() => {
                Words(format!("{call} was answered with {status}"))
            }
            Some(Failure::Transport(error)) => Words(error.to_string()),
            Some(Failure::Answer { .. }) | None => Words::of(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let method = request.method().clone();
        let url = Url::parse(&request.uri().to_string());
        let url = url.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let call = Box::new(Call::new(&method, &url));
        self.lock().call = Some(call.clone());
        let failed = |kind: HttpErrorKind, error: RemoteError| {
            let words = Words(error.to_string());
            self.lock().failure = Some(Failure::Transport(Box::new(error)));
            HttpError::new(kind, words)
        };
        let client = self.web.client(&url);
        let client = client.map_err(|error| failed(HttpErrorKind::Unknown, error))?;
        let after = self.web.options.timeouts.response;
        let sent = tokio::time::timeout(after, HttpService::call(&client, request)).await;
        let answer = match sent {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(failed(error.kind(), failure(call, error))),
            Err(_) => {
                let stalled = RemoteError::Stalled { call, after };
                return Err(failed(HttpErrorKind::Timeout, stalled));
            }
        };
        let status = answer.status();
        let (answer, code) = match status.is_success() {
            true => (with_version(&method, answer), String::new()),
            false => match tokio::time::timeout(after, with_code(answer)).await {
                Ok(answer) => answer,
                Err(_) => {
                    let stalled = RemoteError::Stalled { call, after };
                    return Err(failed(HttpErrorKind::Timeout, stalled));
                }
            },
        };
        self.lock().failure = Some(Failure::Answer { call, status, code });
        Ok(answer)
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// As `async_trait` would write it.
impl HttpService for Transport {
    fn call<'a, 'async_trait>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.send(request))
    }
}

fn failure(call: Box<Call>, error: HttpError) -> RemoteError {
    let is_tls = tls_failure(&error).is_some();
    let kind = error.kind();
    let source = Box::new(error);
    match kind {
        _ if is_tls => RemoteError::Tls { call, source },
        HttpErrorKind::Connect => RemoteError::Unreachable { call, source },
        _ => RemoteError::Interrupted { call, source },
    }
}

/// The crate insists on headers that emulators leave out. A made-up state is like no other, so that nothing of another
/// answer is ever put behind what has come of this one.
fn with_version(method: &Method, mut answer: HttpResponse) -> HttpResponse {
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    if *method == Method::GET {
        let number = ANSWERS.fetch_add(1, Ordering::Relaxed);
        let headers = answer.headers_mut();
        let unknown = HeaderValue::from_str(&format!("\"sawagani-{number}\""));
        if let (false, Ok(unknown)) = (headers.contains_key(ETAG), unknown) {
            headers.insert(ETAG, unknown);
        }
        if !headers.contains_key(LAST_MODIFIED) {
            let epoch = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
            headers.insert(LAST_MODIFIED, epoch);
        }
    }
    answer
}

/// Reads the beginning of a refusal, and the code in it.
async fn with_code(answer: HttpResponse) -> (HttpResponse, String) {
    let (parts, body) = answer.into_parts();
    let mut pieces = body.bytes_stream();
    let mut start = BytesMut::new();
    // What breaks off is no reason to forget the status.
    while let Ok(Some(piece)) = pieces.try_next().await {
        let room = REFUSAL_BYTES.saturating_sub(start.len());
        start.extend_from_slice(&piece[..piece.len().min(room)]);
        if start.len() >= REFUSAL_BYTES {
            break;
        }
    }
    let start: Bytes = start.freeze();
    let code = code_of(&String::from_utf8_lossy(&start));
    (
        HttpResponse::from_parts(parts, HttpResponseBody::from(start)),
        code,
    )
}

/// Returns what stands in `<Code>`, where S3, Azure and Google's XML say what is wrong.
fn code_of(body: &str) -> String {
    let found = body.split_once("<Code>");
    let found = found.and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = found.map_or("", |(code, _)| code);
    let is_word = code.len() < 80 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match is_word {
        true => code.to_owned(),
        false => String::new(),
    }
}

/// An error of the crate, as text that holds no URL's query and nothing that a server said.
#[derive(Debug)]
pub(super) struct Words(String);

impl Words {
    /// Takes the innermost cause: what is around it repeats it, with URLs.
    pub(super) fn of(error: &object_store::Error) -> Self {
        let mut innermost: &(dyn Error + 'static) = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self(innermost.to_string())
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_refusal_is_a_word() {
        let refusal =
            "<?xml?><Error><Code>AccessDenied</Code><StringToSign>x</StringToSign></Error>";
        assert_eq!(code_of(refusal), "AccessDenied");
        assert_eq!(code_of("<Code>a b\u{1b}[2J</Code>"), "");
        assert_eq!(code_of("{\"error\": 1}"), "");
    }
}
