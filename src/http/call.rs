//! A request, as it may be shown: method and URL, without anything that opens a door.

use std::fmt;

use reqwest::Method;
use url::Url;

/// Query parameters that say what was asked for. All others may be signatures or upload states.
const PLAIN_PARAMETERS: &[&str] = &["digest", "from", "mount", "n", "last", "scope", "service"];

/// Method and redacted URL of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    method: Method,
    url: String,
    /// Host and port as in the URL.
    authority: String,
}

impl Call {
    /// Takes what may be shown of a request.
    pub fn new(method: &Method, url: &Url) -> Self {
        Self {
            method: method.clone(),
            url: redacted(url),
            authority: url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
        }
    }

    /// Returns the host, with its port where the URL has one.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

fn redacted(url: &Url) -> String {
    let mut text = url[..url::Position::BeforeUsername].to_owned();
    text.push_str(&url[url::Position::BeforeHost..url::Position::AfterPath]);
    let pieces = url.query().unwrap_or_default().split('&');
    let shown: Vec<String> = pieces
        .filter(|piece| !piece.is_empty())
        .map(shown)
        .collect();
    if !shown.is_empty() {
        text.push('?');
        text.push_str(&shown.join("&"));
    }
    text
}

/// Shows a parameter decoded, for people. One with control characters stays encoded: a server chose where it redirects to.
fn shown(piece: &str) -> String {
    let (raw_name, raw_value) = piece.split_once('=').unwrap_or((piece, ""));
    let mut decoded = url::form_urlencoded::parse(piece.as_bytes());
    let (name, value) = decoded.next().unwrap_or_default();
    let plain = |decoded: &str, raw: &str| match decoded.contains(char::is_control) {
        true => raw.to_owned(),
        false => decoded.to_owned(),
    };
    let value = match PLAIN_PARAMETERS.contains(&name.as_ref()) {
        true => plain(&value, raw_value),
        false => "..".to_owned(),
    };
    format!("{}={value}", plain(&name, raw_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        Call::new(&Method::GET, &Url::parse(url).unwrap()).to_string()
    }

    #[test]
    fn users_passwords_and_signatures_are_not_shown() {
        assert_eq!(
            shown(
                "https://u:p@reg.example:5000/v2/a/blobs/uploads/1?_state=abc&digest=sha256:1&X-Amz-Signature=f#x"
            ),
            "GET https://reg.example:5000/v2/a/blobs/uploads/1?_state=..&digest=sha256:1&X-Amz-Signature=.."
        );
        assert_eq!(
            shown("http://h/?%1b[2J=x&scope=a%3Ab&from=%1b[2J&&last"),
            "GET http://h/?%1b[2J=..&scope=a:b&from=%1b[2J&last="
        );
        assert_eq!(shown("http://[::1]:5000/v2/"), "GET http://[::1]:5000/v2/");
    }
}
