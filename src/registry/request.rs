//! One request, ready to be sent any number of times. This module says what is asked, not how it travels.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::scope::Scope;

/// A request and what it needs.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// What a token must allow.
    pub(super) scopes: Vec<Scope>,
    pub(super) redirects: Redirects,
}

/// What is sent. Each kind can be sent again from the start.
#[derive(Clone)]
pub(super) enum Body {
    /// Nothing, with a `Content-Length` of 0 where the method has a body.
    Empty,
    /// A small document.
    Bytes(Bytes),
    /// A part of a file, which must not change.
    File {
        /// Where it is.
        path: PathBuf,
        /// Where the part begins, in bytes.
        offset: u64,
        /// How long the part is, in bytes.
        length: u64,
    },
}

/// A document may be a form with a token in it.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File {
                path,
                offset,
                length,
            } => {
                write!(f, "File({} {offset}+{length})", path.display())
            }
        }
    }
}

/// Which redirects are followed. `Authorization` never goes to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirects {
    /// None: the redirect itself is the answer.
    None,
    /// All but those from TLS to plain HTTP: nothing else vouches for the content.
    SameSecurity,
    /// All: the content is checked against a digest that is known already.
    All,
}

impl Request {
    /// Makes a request without headers, body or scopes that follows redirects that are no less secure.
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            scopes: Vec::new(),
            redirects: Redirects::SameSecurity,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub(super) fn scopes(mut self, scopes: Vec<Scope>) -> Self {
        self.scopes = scopes;
        self
    }

    pub(super) fn redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = redirects;
        self
    }

    /// Tells whether the request may take long enough for a token to expire meanwhile.
    pub(super) fn is_long(&self) -> bool {
        match &self.body {
            Body::Empty | Body::Bytes(_) => false,
            Body::File { .. } => true,
        }
    }
}
