//! Asking a cloud's servers for small documents. This module sends requests, and shows nothing secret of them; it must
//! not know what is asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use url::{Url, form_urlencoded};

use crate::http::options::{ProxyOptions, RetryPolicy, Timeouts};
use crate::http::retry::{RetryAdvice, Retryable, advice_after, with_retries};
use crate::http::{Call, HostClients, HostSettings, TlsSetupError, Untrusted};

/// For a whole request to a server in the network.
const TIMEOUT: Duration = Duration::from_secs(30);

/// For a connection to a server of the machine: where there is none, nothing answers at all, and that must be known soon.
const MACHINE_CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// For the answer of such a server. The first token of a workload's identity is made while it is waited for.
const MACHINE_TIMEOUT: Duration = Duration::from_secs(10);

/// Before a server of the machine is asked again, once: one that has only just started says 5xx, or lets go.
const MACHINE_RETRY_DELAY: Duration = Duration::from_millis(200);

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
        /// Whether there was a connection, and it broke.
        is_broken: bool,
    },
    /// There is no way to the server.
    #[error("cannot set up the connection for {call}: {cause}")]
    Setup {
        /// What was to be asked.
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
    #[error("cannot read `{}`: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
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
            Self::Setup { .. } | Self::Answer { .. } | Self::File { .. } | Self::Unusable(_) => {
                RetryAdvice::Never
            }
        }
    }
}

impl CloudError {
    /// Says whether a server is there that may answer in a moment.
    fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Unanswered { is_broken, .. } => *is_broken,
            Self::Setup { .. } | Self::Answer { .. } | Self::File { .. } | Self::Unusable(_) => {
                false
            }
        }
    }
}

/// How clouds are reached.
#[derive(Clone, Debug)]
pub struct CloudHttp {
    /// As all servers are: through the proxy, with the system's certificates and those for that host.
    network: Arc<HostClients>,
    /// Servers of the machine itself, which no proxy reaches.
    machine: Arc<HostClients>,
    /// How long such a server may take.
    patience: Duration,
}

/// One request.
pub struct Question {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: String,
}

impl Question {
    /// Begins with no headers and no body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: String::new(),
        }
    }

    /// A POST of a form.
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut question = Self::new(Method::POST, url).body(form.finish());
        question.headers.insert(CONTENT_TYPE, form_type());
        question
    }

    /// Sets the body, which is not shown.
    pub fn body(mut self, body: String) -> Self {
        self.body = body;
        self
    }

    /// Returns the body, to be signed.
    pub(super) fn body_text(&self) -> &str {
        &self.body
    }

    /// Adds a header, which is not shown. What no header can hold is an error that names it.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, CloudError> {
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

    /// Adds headers.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Returns what may be shown of it.
    pub fn call(&self) -> Box<Call> {
        Box::new(Call::new(&self.method, &self.url))
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({})", self.call())
    }
}

impl CloudHttp {
    /// Takes how servers are spoken to; connects to none.
    pub fn new(settings: HostSettings) -> Self {
        let machine = HostSettings {
            proxy: ProxyOptions::default(),
            timeouts: Timeouts {
                connect: MACHINE_CONNECT_TIMEOUT,
                ..settings.timeouts
            },
            ..settings.clone()
        };
        Self {
            network: Arc::new(HostClients::new(settings)),
            machine: Arc::new(HostClients::new(machine)),
            patience: MACHINE_TIMEOUT,
        }
    }

    /// Waits less long for servers of the machine.
    #[cfg(test)]
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks a server in the network, again if that may help.
    pub async fn ask(&self, question: &Question) -> Result<String, CloudError> {
        with_retries(&RETRIES, || send(&self.network, question, TIMEOUT)).await
    }

    /// Asks a server of the machine, once again if there is one that has trouble.
    pub async fn ask_machine(&self, question: &Question) -> Result<String, CloudError> {
        match send(&self.machine, question, self.patience).await {
            Err(error) if error.is_passing() => {
                tokio::time::sleep(MACHINE_RETRY_DELAY).await;
                send(&self.machine, question, self.patience).await
            }
            answer => answer,
        }
    }

    /// Asks a server in the network for JSON.
    pub async fn ask_json<T: DeserializeOwned>(
        &self,
        question: &Question,
        missing: &'static str,
    ) -> Result<T, CloudError> {
        read_json(&self.ask(question).await?, question, missing)
    }
}

pub(super) fn form_type() -> HeaderValue {
    HeaderValue::from_static("application/x-www-form-urlencoded")
}

/// Makes a URL of names that were checked.
pub fn endpoint(text: &str) -> Result<Url, CloudError> {
    Url::parse(text).map_err(|_| CloudError::Unusable(format!("`{text}` is not a URL")))
}

/// Makes the URL of what is below a server's.
pub fn below(server: &Url, path: &str) -> Result<Url, CloudError> {
    endpoint(&format!("{}{path}", server.as_str().trim_end_matches('/')))
}

/// Reads an answer. The parser's message is left out: it may quote it.
pub fn read_json<T: DeserializeOwned>(
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
pub async fn read_token(path: &Path) -> Result<String, CloudError> {
    let read = tokio::fs::read_to_string(path).await;
    let text = read.map_err(|cause| CloudError::File {
        path: path.to_owned(),
        cause,
    })?;
    Ok(text.trim().to_owned())
}

async fn send(
    clients: &HostClients,
    question: &Question,
    timeout: Duration,
) -> Result<String, CloudError> {
    let unanswered = |cause, is_broken| CloudError::Unanswered {
        call: question.call(),
        cause,
        is_broken,
    };
    let client = clients.client(&question.url);
    let client = client.map_err(|error| CloudError::Setup {
        call: question.call(),
        cause: whole(&error),
    })?;
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
        .map_err(|_| {
            let seconds = timeout.as_secs_f32();
            unanswered(format!("no answer within {seconds:.1} s"), false)
        })?
        .map_err(|error: reqwest::Error| {
            let is_broken = !error.is_connect();
            unanswered(innermost(error), is_broken)
        })?;
    match status.is_success() {
        true => Ok(text),
        false => Err(CloudError::Refused {
            call: question.call(),
            status,
            message: words(&text),
        }),
    }
}

fn whole(error: &TlsSetupError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
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
