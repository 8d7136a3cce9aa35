//! A reference names an image: registry, repository, tag, digest. This module knows the grammar, never the network.
//!
//! The parser is ours because oci-spec's knows no IPv6 hosts and its errors do not say what was wrong with which text.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

use super::digest::{Digest, DigestError};

/// The registry of names without one.
pub const DOCKER_HUB: &str = "docker.io";

/// What Docker Hub calls itself in older files, and what kaniko prints.
const DOCKER_HUB_LEGACY: &str = "index.docker.io";

const DEFAULT_TAG: &str = "latest";

/// distribution-spec: "Many clients impose a limit of 255 characters on the length of the concatenation".
const MAX_REPOSITORY_CHARACTERS: usize = 255;

/// distribution-spec: a tag has at most 128 characters.
const MAX_TAG_CHARACTERS: usize = 128;

/// The full name of an image: the registry is always there, and a tag or a digest, or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that does not name an image.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("invalid image reference `{text}`: {reason}")]
pub struct ReferenceError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: InvalidReference,
}

/// What is wrong with a reference.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidReference {
    /// Nothing there, or nothing left of the tag.
    #[error("the name is empty")]
    Empty,
    /// `https://registry/name`.
    #[error("a reference has no `{0}://`")]
    Scheme(String),
    /// Not a host name, an IPv4 address or an IPv6 address in brackets, with or without a port.
    #[error("`{0}` is not a registry host")]
    Registry(String),
    /// GitHub's and GitLab's variables often hold capitals; registries take none.
    #[error("the repository `{0}` must be lower case")]
    UpperCase(String),
    /// A path component breaks distribution-spec's grammar.
    #[error("`{0}` is not a valid repository")]
    Repository(String),
    /// More than 255 characters.
    #[error("the repository is longer than {MAX_REPOSITORY_CHARACTERS} characters")]
    TooLong,
    /// Breaks distribution-spec's grammar of tags.
    #[error("`{0}` is not a valid tag")]
    Tag(String),
    /// What follows the `@`.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Parses a name as Docker does: `alpine` is `docker.io/library/alpine:latest`; the first component is a registry if
    /// it holds a dot or a colon or is `localhost`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        Self::parse_parts(text).map_err(|reason| ReferenceError {
            text: text.to_owned(),
            reason,
        })
    }

    fn parse_parts(text: &str) -> Result<Self, InvalidReference> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(InvalidReference::Scheme(scheme.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest)?;
        // A colon after the registry can only begin a tag: repositories have none.
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(checked_tag(tag)?)),
            None if digest.is_none() => (rest, Some(DEFAULT_TAG.to_owned())),
            None => (rest, None),
        };
        check_repository(repository)?;
        let repository = match registry == DOCKER_HUB && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository.to_owned(),
        };
        if repository.len() > MAX_REPOSITORY_CHARACTERS {
            return Err(InvalidReference::TooLong);
        }
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }

    /// Returns host and port in lower case; `docker.io` for Docker Hub under any of its names.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the path below the registry, such as `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag. `None` if only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest that pins the image. `None` if only a tag was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns what a registry is asked for: the digest if there is one, the tag otherwise.
    pub fn tag_or_digest(&self) -> &str {
        let digest = self.digest.as_ref().map(Digest::as_str);
        digest.or(self.tag.as_deref()).unwrap_or(DEFAULT_TAG)
    }

    /// Returns registry and repository without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns registry and repository as kaniko prints them in its digest files: Docker Hub is `index.docker.io` there.
    pub fn name_in_digest_files(&self) -> String {
        let registry = match self.registry.as_str() {
            DOCKER_HUB => DOCKER_HUB_LEGACY,
            other => other,
        };
        format!("{registry}/{}", self.repository)
    }

    /// Names the same repository's image by digest only.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Names the same repository's image by another tag only.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        let name = self.name();
        let tag = checked_tag(tag).map_err(|reason| ReferenceError {
            text: format!("{name}:{tag}"),
            reason,
        })?;
        Ok(Self {
            tag: Some(tag),
            digest: None,
            ..self.clone()
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

fn split_registry(text: &str) -> Result<(String, &str), InvalidReference> {
    let is_host =
        |first: &str| first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost");
    match text.split_once('/') {
        Some((first, rest)) if is_host(first) => Ok((checked_registry(first)?, rest)),
        _ => Ok((DOCKER_HUB.to_owned(), text)),
    }
}

fn checked_registry(text: &str) -> Result<String, InvalidReference> {
    let invalid = || InvalidReference::Registry(text.to_owned());
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0)
    };
    if !is_host(host) || !port.is_none_or(is_port) {
        return Err(invalid());
    }
    match text.to_ascii_lowercase() {
        registry if registry == DOCKER_HUB_LEGACY => Ok(DOCKER_HUB.to_owned()),
        registry => Ok(registry),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn check_repository(repository: &str) -> Result<(), InvalidReference> {
    if repository.is_empty() {
        return Err(InvalidReference::Empty);
    }
    if repository.split('/').all(is_path_component) {
        return Ok(());
    }
    if repository
        .to_ascii_lowercase()
        .split('/')
        .all(is_path_component)
    {
        return Err(InvalidReference::UpperCase(repository.to_owned()));
    }
    Err(InvalidReference::Repository(repository.to_owned()))
}

/// distribution-spec: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_path_component(component: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    if !ends
        .iter()
        .all(|end| end.is_some_and(|byte| is_alphanumeric(*byte)))
    {
        return false;
    }
    bytes
        .split(|byte| is_alphanumeric(*byte))
        .filter(|separator| !separator.is_empty())
        .all(|separator| {
            matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
        })
}

/// distribution-spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn checked_tag(tag: &str) -> Result<String, InvalidReference> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = tag.bytes().next().is_some_and(is_word);
    let goes_on_well = tag
        .bytes()
        .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
    if !starts_well || !goes_on_well || tag.len() > MAX_TAG_CHARACTERS {
        return Err(InvalidReference::Tag(tag.to_owned()));
    }
    Ok(tag.to_owned())
}

#[cfg(test)]
mod tests;
