//! Asking a cloud's servers for small documents. This module sends requests, and shows nothing secret of them; it must
//! not know what is asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use url::{Url, form_urlencoded};

use crate::http::options::RetryPolicy;
use crate::http::retry::{RetryAdvice, Retryable, advice_after, with_retries};
use crate::http::{Call, Untrusted};

/// For a whole request to a server in the network.
const TIMEOUT: Duration = Duration::from_secs(30);

/// For a whole request to a server of the machine, which answers at once where there is one, and drops what is sent to it
/// where there is none.
const METADATA_TIMEOUT: Duration = Duration::from_millis(1500);

/// Tokens are a few KiB.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

const RETRIES: RetryPolicy = RetryPolicy {
    retries: 2,
    first_delay: Duration::from_millis(200),
    longest_delay: Duration::from_secs(2),
    longest_retry_after: Duration::from_secs(10),
};

/// Why a cloud gave nothing. No text in here is a secret.
#[derive(Debug, Error)]
pub enum CloudError {
    /// A server said no.
    #[error("{call} was answered with {status}{}", in_brackets(.message))]
    Refused {
        /// What was asked.
        call: Box<Call>,
        /// The answer's status.
        status: StatusCode,
        /// The server's words. Empty if it has none.
        message: String,
    },
    /// No answer.
    #[error("{call} failed: {cause}")]
    Unanswered {
        /// What was asked.
        call: Box<Call>,
        /// Why.
        cause: String,
    },
    /// An answer without what was asked for.
    #[error("the answer to {call} holds no {missing}")]
    Answer {
        /// What was asked.
        call: Box<Call>,
        /// What is missing.
        missing: &'static str,
    },
    /// A file that the environment names.
    #[error("cannot read `{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What the environment says cannot be used.
    #[error("{0}")]
    Unusable(String),
}

fn in_brackets(message: &str) -> String {
    match message.is_empty() {
        true => String::new(),
        false => format!(" ({message})"),
    }
}

impl Retryable for CloudError {
    fn retry_advice(&self) -> RetryAdvice {
        match self {
            Self::Refused { status, .. } => advice_after(*status, None),
            Self::Unanswered { .. } => RetryAdvice::Backoff,
            Self::Answer { .. } | Self::File { .. } | Self::Unusable(_) => RetryAdvice::Never,
        }
    }
}

/// How clouds are reached.
#[derive(Clone, Debug)]
pub(in crate::registry) struct CloudHttp {
    /// As registries are: through the proxy, with the system's certificates.
    pub(in crate::registry) network: reqwest::Client,
    /// Servers of the machine itself, which no proxy reaches.
    pub(in crate::registry) machine: reqwest::Client,
}

/// One request.
pub(super) struct Question {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: String,
}

impl Question {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: String::new(),
        }
    }

    /// A POST of a form.
    pub(super) fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut question = Self::new(Method::POST, url).body(form.finish());
        question.headers.insert(CONTENT_TYPE, kind);
        question
    }

    pub(super) fn body(mut self, body: String) -> Self {
        self.body = body;
        self
    }

    /// Adds a header, which is not shown. What no header can hold is an error that names it.
    pub(super) fn header(mut self, name: &str, value: &str) -> Result<Self, CloudError> {
        let pair = HeaderName::try_from(name)
            .ok()
            .zip(HeaderValue::try_from(value).ok());
        let Some((key, mut value)) = pair else {
            let problem = format!("what is given for header `{name}` is no header");
            return Err(CloudError::Unusable(problem));
        };
        value.set_sensitive(true);
        self.headers.insert(key, value);
        Ok(self)
    }

    pub(super) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(super) fn call(&self) -> Box<Call> {
        Box::new(Call::new(&self.method, &self.url))
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({})", self.call())
    }
}

impl CloudHttp {
    /// Asks a server in the network, again if that may help.
    pub(super) async fn ask(&self, question: &Question) -> Result<String, CloudError> {
        with_retries(&RETRIES, || send(&self.network, question, TIMEOUT)).await
    }

    /// Asks a server of the machine, once.
    pub(super) async fn ask_machine(&self, question: &Question) -> Result<String, CloudError> {
        send(&self.machine, question, METADATA_TIMEOUT).await
    }

    /// Asks a server in the network for JSON.
    pub(super) async fn ask_json<T: DeserializeOwned>(
        &self,
        question: &Question,
        missing: &'static str,
    ) -> Result<T, CloudError> {
        read_json(&self.ask(question).await?, question, missing)
    }
}

/// Reads an answer. The parser's message is left out: it may quote it.
pub(super) fn read_json<T: DeserializeOwned>(
    text: &str,
    question: &Question,
    missing: &'static str,
) -> Result<T, CloudError> {
    serde_json::from_str(text).map_err(|_| CloudError::Answer {
        call: question.call(),
        missing,
    })
}

/// Reads a file with a token that something outside keeps new.
pub(super) async fn read_token(path: &Path) -> Result<String, CloudError> {
    let read = tokio::fs::read_to_string(path).await;
    let text = read.map_err(|source| CloudError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(text.trim().to_owned())
}

async fn send(
    client: &reqwest::Client,
    question: &Question,
    timeout: Duration,
) -> Result<String, CloudError> {
    let unanswered = |cause| CloudError::Unanswered {
        call: question.call(),
        cause,
    };
    let request = client
        .request(question.method.clone(), question.url.clone())
        .headers(question.headers.clone())
        .body(question.body.clone());
    let exchange = async {
        let mut response = request.send().await?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let (status, text) = tokio::time::timeout(timeout, exchange)
        .await
        .map_err(|_| unanswered(format!("no answer within {:.1} s", timeout.as_secs_f32())))?
        .map_err(|error| unanswered(innermost(error)))?;
    match status.is_success() {
        true => Ok(text),
        false => Err(CloudError::Refused {
            call: question.call(),
            status,
            message: words(&text),
        }),
    }
}

fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// What an error says: OAuth2's fields, those of AWS's JSON and XML, Google's object. Nothing else of the answer is shown.
fn words(text: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        let message = element(text, "Message").or_else(|| element(text, "Code"));
        return Untrusted(message.unwrap_or_default()).to_string();
    };
    let fields = [
        &value["error_description"],
        &value["error"]["message"],
        &value["message"],
        &value["Message"],
        &value["error"],
        &value["__type"],
    ];
    let found = fields.into_iter().find_map(Value::as_str);
    Untrusted(found.unwrap_or_default()).to_string()
}

/// Returns the text of the first XML element of that name. For answers whose values need no escapes.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.trim())
}
