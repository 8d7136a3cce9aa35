//! Where a repository is, and what of it is meant, as a user writes it. Pure text.

use std::fmt;

use thiserror::Error;
use url::Url;

use crate::http::Untrusted;

mod query;

use query::{Query, hash};

/// A repository, and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitSource {
    /// Where the repository is.
    pub repository: RepositoryUrl,
    /// Branch, tag, other reference or full hash. Empty for the server's default branch.
    pub reference: String,
    /// Directory of the repository, without `..`. Empty for all of it.
    pub subdir: String,
    /// Full hash of the commit, or its beginning, in lower case. Empty for any.
    pub checksum: String,
    /// Whether `.git` stays; `None` where the URL does not say.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched as well.
    pub submodules: bool,
    /// Whether files have the time of the commit, and not that of the checkout. `None` where the URL says nothing of it.
    pub has_commit_times: Option<bool>,
    /// Whether the commit is asked for by its hash, whatever branches and tags there are.
    pub by_commit: bool,
}

/// Where a repository is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepositoryUrl {
    /// `http`, `https`
    Http(Url),
    /// `git`
    Git(ServerPath),
    /// `ssh`, or `user@host:path`
    Ssh(ServerPath),
}

/// A path on a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerPath {
    /// Who to log in as. Empty for the default.
    pub user: String,
    /// The server.
    pub host: String,
    /// `None` for the usual one.
    pub port: Option<u16>,
    /// As the server is told.
    pub path: String,
}

/// A text that looks like the URL of a repository and is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GitUrlError {
    /// Not a URL at all.
    #[error("cannot read the URL: {0}")]
    Url(#[from] url::ParseError),
    /// A host or path that a program could take for an option.
    #[error("the {0} of the URL is missing or begins with `-`")]
    Dangerous(&'static str),
    /// Characters that programs and protocols could take for their own.
    #[error("the {0} of the URL has characters that are refused")]
    Forbidden(&'static str),
    /// A key that means nothing.
    #[error("unexpected query `{}` in the URL of a git repository", Untrusted(.0))]
    UnknownKey(String),
    /// A key that is there twice.
    #[error("the query `{}` is given more than once in the URL of a git repository", Untrusted(.0))]
    DuplicateKey(String),
    /// Two ways to say one thing.
    #[error("`{0}` conflicts with `{1}` in the URL of a git repository")]
    Conflict(&'static str, &'static str),
    /// A value that means nothing.
    #[error("`{key}={}` in the URL of a git repository: expected {expected}", Untrusted(.value))]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A commit is asked for, and not which.
    #[error("`fetch-by-commit` needs the commit's full hash as `commit` or `checksum`")]
    NoCommit,
}

impl GitSource {
    /// Reads a source of `ADD`; `None` where it is no repository. `http` and `https` are one only if the path ends in
    /// `.git` (Dockerfile reference, "ADD", "Adding files from a Git repository").
    pub fn parse(text: &str) -> Result<Option<Self>, GitUrlError> {
        let Some((repository, query, fragment)) = split(text)? else {
            return Ok(None);
        };
        let query = Query::parse(&query)?;
        Ok(Some(query.with_fragment(repository, &fragment)?))
    }

    /// Demands a commit, by its hash or the beginning of it, as `--checksum` does.
    pub fn demand(self, commit: &str) -> Result<Self, GitUrlError> {
        let checksum = hash("--checksum", commit)?;
        if !self.checksum.is_empty() && self.checksum != checksum {
            return Err(GitUrlError::Conflict("--checksum", "checksum"));
        }
        Ok(Self { checksum, ..self })
    }

    /// Returns the reference as messages name it.
    pub(super) fn shown_reference(&self) -> &str {
        match self.reference.as_str() {
            "" => "HEAD",
            reference => reference,
        }
    }
}

/// Returns repository, query and fragment; the last two are empty where there are none.
fn split(text: &str) -> Result<Option<(RepositoryUrl, String, String)>, GitUrlError> {
    if !text.contains("://") {
        return Ok(split_scp(text));
    }
    let scheme = text.split("://").next().unwrap_or_default();
    let scheme = scheme.to_ascii_lowercase();
    if !["http", "https", "git", "ssh"].contains(&scheme.as_str()) {
        return Ok(None);
    }
    let is_web = scheme.starts_with("http");
    let mut url = match Url::parse(text) {
        Ok(url) => url,
        Err(_) if is_web => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let text_of = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let (query, fragment) = (text_of(url.query()), text_of(url.fragment()));
    url.set_query(None);
    url.set_fragment(None);
    let fragment = String::from_utf8_lossy(&super::super::percent::decoded(&fragment)).into_owned();
    let repository = match scheme.as_str() {
        "git" => RepositoryUrl::Git(ServerPath::of_url(&url)?),
        "ssh" => RepositoryUrl::Ssh(ServerPath::of_url(&url)?.for_ssh()?),
        _ if url.path().ends_with(".git") => RepositoryUrl::Http(url),
        _ => return Ok(None),
    };
    Ok(Some((repository, query, fragment)))
}

/// Reads `user@host:path`.
fn split_scp(text: &str) -> Option<(RepositoryUrl, String, String)> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, path) = rest.split_once(':')?;
    let (user, host) = login.split_once('@')?;
    if !is_name(user) || !is_name(host) || path.is_empty() || path.starts_with('-') {
        return None;
    }
    if path.contains(char::is_control) {
        return None;
    }
    let server = ServerPath {
        user: user.to_owned(),
        host: host.to_owned(),
        port: None,
        path: path.to_owned(),
    };
    Some((
        RepositoryUrl::Ssh(server),
        query.to_owned(),
        fragment.to_owned(),
    ))
}

/// What `ssh` may be given as user or host.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(allowed)
}

/// An IPv6 address in brackets.
fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

impl ServerPath {
    fn of_url(url: &Url) -> Result<Self, GitUrlError> {
        let decoded = |text: &str| {
            let bytes = super::super::percent::decoded(text);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let host = decoded(url.host_str().unwrap_or_default());
        let user = decoded(url.username());
        let path = decoded(url.path());
        // As git refuses them: `ssh` and the program on the server would read an option.
        for (name, text) in [("host", &host), ("path", &path)] {
            if text.is_empty() || text.starts_with('-') {
                return Err(GitUrlError::Dangerous(name));
            }
        }
        if user.starts_with('-') {
            return Err(GitUrlError::Dangerous("user"));
        }
        // The protocol's own borders are such: a path with a NUL could say another host, one with a line feed more.
        for (name, text) in [("host", &host), ("path", &path), ("user", &user)] {
            if text.contains(char::is_control) {
                return Err(GitUrlError::Forbidden(name));
            }
        }
        // `ssh://host/~user/path` is what the server's shell calls `~user/path`.
        let path = match path.strip_prefix("/~") {
            Some(rest) => format!("~{rest}"),
            None => path,
        };
        Ok(Self {
            user,
            host,
            port: url.port(),
            path,
        })
    }

    /// `ssh` has a notation of its own for users and hosts, and hands both to programs of its configuration.
    fn for_ssh(self) -> Result<Self, GitUrlError> {
        if !is_name(&self.host) && !is_address(&self.host) {
            return Err(GitUrlError::Forbidden("host"));
        }
        if !self.user.is_empty() && !is_name(&self.user) {
            return Err(GitUrlError::Forbidden("user"));
        }
        Ok(self)
    }
}

impl RepositoryUrl {
    /// Returns it as a URL without a password, for cache keys. The hash of a commit says the rest.
    pub fn identity(&self) -> Option<Url> {
        Url::parse(&self.to_string()).ok()
    }
}

/// Without user and password, but for the user that SSH logs in as.
/// As it is shown: a password may be in it.
impl fmt::Debug for RepositoryUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, server) = match self {
            Self::Http(url) => {
                return write!(formatter, "{}", super::super::web::without_user(url));
            }
            Self::Git(server) => ("git", server),
            Self::Ssh(server) => ("ssh", server),
        };
        write!(formatter, "{scheme}://")?;
        if !server.user.is_empty() {
            write!(formatter, "{}@", server.user)?;
        }
        formatter.write_str(&server.host)?;
        if let Some(port) = server.port {
            write!(formatter, ":{port}")?;
        }
        let slash = if server.path.starts_with('/') {
            ""
        } else {
            "/"
        };
        write!(formatter, "{slash}{}", server.path)
    }
}

#[cfg(test)]
mod tests;
