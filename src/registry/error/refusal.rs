//! An answer that means no: its status, and what the registry has to say about it.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Call, ErrorKind, Untrusted};
use crate::http::retry::{RetryAdvice, advice_after};

/// What a registry, a token server or something between said no with.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What was asked.
    pub call: Call,
    /// The answer's status.
    pub status: StatusCode,
    /// distribution-spec's error code, such as `DENIED`. Empty if the answer has none.
    pub code: String,
    /// The answer's own words. Empty if it has none.
    pub message: String,
    /// `Retry-After`, if given.
    pub retry_after: Option<Duration>,
    /// Which sources of credentials were asked, and what each gave. Empty where access was not the trouble.
    pub credentials_tried: Vec<String>,
}

/// distribution-spec "Error Codes"; token servers use `details` or OAuth2's `error_description` for `message`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    errors: Vec<Entry>,
    error: String,
    error_description: String,
    details: String,
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    code: String,
    message: String,
    detail: serde_json::Value,
}

impl Refusal {
    /// Reads the answer's body, JSON in one of the usual shapes or plain text.
    pub(in crate::registry) fn read(
        call: Call,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let (code, message) = match serde_json::from_slice::<Body>(body) {
            Ok(body) => body.into_code_and_message(),
            Err(_) => (String::new(), plain_text(body)),
        };
        Self {
            call,
            status,
            code: Untrusted(&code).to_string(),
            message: Untrusted(&message).to_string(),
            retry_after,
            credentials_tried: Vec::new(),
        }
    }

    pub(super) fn kind(&self) -> ErrorKind {
        if self.is_about_immutable_tag() {
            return ErrorKind::TagImmutable;
        }
        match self.status {
            StatusCode::UNAUTHORIZED => ErrorKind::Unauthorized,
            StatusCode::FORBIDDEN => ErrorKind::Forbidden,
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::TooManyRequests,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorKind::UnsupportedMediaType,
            StatusCode::PAYLOAD_TOO_LARGE => ErrorKind::ContentTooLarge,
            status if status.is_server_error() => ErrorKind::Server,
            _ => ErrorKind::Refused,
        }
    }

    pub(super) fn retry_advice(&self) -> RetryAdvice {
        advice_after(self.status, self.retry_after)
    }

    /// nginx lets the handshake pass and answers 400 with a page of its own.
    pub(super) fn is_about_client_certificate(&self) -> bool {
        self.status == StatusCode::BAD_REQUEST && self.message.contains("SSL certificate")
    }

    /// Registries say it with different statuses: ECR 400 `ImageTagAlreadyExistsException` or `TAG_INVALID`, Harbor 412,
    /// GAR 400 "tag immutability"; their sentences change, the word does not.
    fn is_about_immutable_tag(&self) -> bool {
        let is_refusal = self.status.is_client_error() && self.status != StatusCode::NOT_FOUND;
        let says_immutable = self.message.to_ascii_lowercase().contains("immutab");
        let has_code =
            ["TAG_INVALID", "ImageTagAlreadyExistsException"].contains(&self.code.as_str());
        is_refusal && (says_immutable || has_code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was answered with {}", self.call, self.status)?;
        if !self.code.is_empty() {
            write!(f, ": {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match self.retry_after {
            Some(wait) => write!(f, " (retry after {} s)", wait.as_secs()),
            None => Ok(()),
        }
    }
}

impl Body {
    fn into_code_and_message(self) -> (String, String) {
        let filled = |texts: [String; 4]| {
            texts
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or_default()
        };
        let Some(first) = self.errors.into_iter().next() else {
            let message = filled([
                self.error_description,
                self.details,
                self.message,
                String::new(),
            ]);
            return (self.error, message);
        };
        let detail = match first.detail {
            serde_json::Value::String(text) => text,
            _ => String::new(),
        };
        (
            first.code,
            filled([first.message, detail, String::new(), String::new()]),
        )
    }
}

/// Of a page of HTML, what its title says: proxies put their reason there.
fn plain_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if !text.trim_start().starts_with('<') {
        return text.into_owned();
    }
    let title = text.split_once("<title>");
    let title = title.and_then(|(_, rest)| rest.split_once("</title>"));
    title
        .map(|(title, _)| title.trim().to_owned())
        .unwrap_or_default()
}
