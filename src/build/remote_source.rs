//! A source of ADD that is somewhere in the network, as the Dockerfile has it. Nothing is asked of anybody here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use anyhow::{Context, Result};

use crate::dockerfile::AddInstruction;
use crate::image::Digest;
use crate::image::digest::DigestAlgorithm;
use crate::remote::{GitSource, HttpSource};

/// A source of ADD that is somewhere in the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RemoteSource {
    /// A file on an HTTP server.
    File(HttpSource),
    /// A git repository, or a directory of one.
    Repository {
        source: GitSource,
        keeps_git_dir: bool,
    },
}

/// Reads the sources of an ADD, and returns those that are in the network, by their words.
pub(super) fn remote_sources(
    add: &AddInstruction,
) -> Result<BTreeMap<String, RemoteSource>, anyhow::Error> {
    let mut found = BTreeMap::new();
    for word in &add.sources.paths {
        let source = RemoteSource::parse(word, add);
        if let Some(source) = source.with_context(|| format!("cannot use `{}`", redacted(word)))? {
            found.insert(word.clone(), source);
        }
    }
    if add.checksum.is_some() {
        let all = add.sources.paths.len() + add.sources.files.len();
        anyhow::ensure!(all == 1, "--checksum can be about one source only");
        anyhow::ensure!(
            !found.is_empty(),
            "--checksum can be about a source from http, https or git only"
        );
    }
    Ok(found)
}

/// Fails if a source of a COPY is somewhere in the network (BuildKit frontend, `convert_copy.go`).
pub(super) fn check_copied(paths: &[String]) -> Result<(), CopiedRemote> {
    match paths
        .iter()
        .find(|word| is_repository(word) || is_url(word))
    {
        None => Ok(()),
        Some(word) if is_repository(word) => Err(CopiedRemote::Repository(redacted(word))),
        Some(word) => Err(CopiedRemote::Url(redacted(word))),
    }
}

/// A source in the network that only ADD fetches. Without user and password.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopiedRemote {
    #[error("source can't be a URL for COPY: `{0}`")]
    Url(String),
    #[error("source can't be a git ref for COPY: `{0}`")]
    Repository(String),
}

/// One that cannot be read is one, too.
fn is_repository(word: &str) -> bool {
    !matches!(GitSource::parse(word), Ok(None))
}

fn is_url(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

impl RemoteSource {
    /// Reads a word of an ADD; `None` for a path of the context.
    fn parse(word: &str, add: &AddInstruction) -> Result<Option<Self>> {
        if let Some(source) = GitSource::parse(word)? {
            let source = match &add.checksum {
                Some(checksum) => source.demand(checksum)?,
                None => source,
            };
            let keeps_git_dir = match (add.keep_git_dir, source.keep_git_dir) {
                (Some(flag), Some(query)) if flag != query => {
                    anyhow::bail!("--keep-git-dir conflicts with `keep-git-dir` in the URL")
                }
                (flag, query) => flag.or(query).unwrap_or(false),
            };
            return Ok(Some(Self::Repository {
                source,
                keeps_git_dir,
            }));
        }
        if !is_url(word) {
            return Ok(None);
        }
        let checksum = add.checksum.as_deref().map(checksum).transpose()?;
        let url = url::Url::parse(word).context("it is no URL")?;
        Ok(Some(Self::File(HttpSource { url, checksum })))
    }

    /// Returns what a copy is called in a directory. Empty for a repository, whose files are copied.
    pub(super) fn name(&self) -> OsString {
        match self {
            Self::File(file) => file.name(),
            Self::Repository { .. } => OsString::new(),
        }
    }

    /// Says which secret would open its server.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::File(file) => {
                let host = file.url.host_str().unwrap_or_default();
                format!("if the file is private, give `--secret id=HTTP_AUTH_TOKEN_{host},env=…`")
            }
            Self::Repository { .. } => {
                "if the repository is private, give `--secret id=GIT_AUTH_TOKEN,env=…`".to_owned()
            }
        }
    }
}

/// Without user, password and query.
impl fmt::Display for RemoteSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => formatter.write_str(&redacted(file.url.as_str())),
            Self::Repository { source, .. } => source.repository.fmt(formatter),
        }
    }
}

/// Returns a source as the history has it: as it was written, without a user or a password. A token is often the user.
pub(super) fn without_user(word: &str) -> String {
    if !is_url(word) {
        return word.to_owned();
    }
    let (start, end) = user_info(word);
    format!("{}{}", &word[..start], &word[end..])
}

/// Takes away what may be secret of a word that may be a URL, also of one that cannot be read.
pub(super) fn redacted(word: &str) -> String {
    if !word.contains("://") {
        return word.to_owned();
    }
    let (start, end) = user_info(word);
    let (front, rest) = (&word[..start], &word[end..]);
    let fragment = rest.find('#').unwrap_or(rest.len());
    let (rest, fragment) = rest.split_at(fragment);
    match rest.split_once('?') {
        Some((rest, _)) => format!("{front}{rest}?..{fragment}"),
        None => format!("{front}{rest}{fragment}"),
    }
}

/// Returns where `user:password@` begins and ends. It is empty where there is none.
fn user_info(url: &str) -> (usize, usize) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let authority = url[start..].find(['/', '?', '#']);
    let end = authority.map_or(url.len(), |length| start + length);
    let at = url[start..end].rfind('@');
    (start, at.map_or(start, |at| start + at + 1))
}

fn checksum(text: &str) -> Result<Digest> {
    let digest = Digest::parse(text).with_context(|| format!("--checksum is `{text}`"))?;
    match digest.algorithm() {
        DigestAlgorithm::Sha256 => Ok(digest),
        other => anyhow::bail!("not supported: {} in --checksum of a file", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::{self, Instruction};

    fn sources(line: &str) -> Result<BTreeMap<String, RemoteSource>> {
        let text = format!("FROM scratch\n{line}\n");
        let dockerfile = dockerfile::parse(&text).unwrap();
        let Instruction::Add(add) = &dockerfile.stages[0].statements[0].instruction else {
            panic!("no ADD");
        };
        remote_sources(add)
    }

    #[test]
    fn urls_and_repositories_are_told_from_paths() {
        let found =
            sources("ADD https://h/f HTTP://h/g.git git@h:r https-is-a-name a/b.git /x/").unwrap();
        let kinds: Vec<_> = found
            .values()
            .map(|source| match source {
                RemoteSource::File(_) => "file",
                RemoteSource::Repository { .. } => "repository",
            })
            .collect();
        assert_eq!(kinds, ["repository", "repository", "file"]);
    }

    #[test]
    fn a_checksum_is_about_one_source_of_the_network() {
        let sum = format!("sha256:{}", "0".repeat(64));
        assert!(sources(&format!("ADD --checksum={sum} https://h/f /x/")).is_ok());
        assert!(sources("ADD --checksum=1234567 https://h/f.git /x/").is_ok());
        for wrong in [
            format!("ADD --checksum={sum} https://h/f https://h/g /x/"),
            format!("ADD --checksum={sum} f /x/"),
            "ADD --checksum=1234567 https://h/f /x/".to_owned(),
            format!("ADD --checksum={sum} https://h/f.git /x/"),
            format!("ADD --checksum=sha512:{} https://h/f /x/", "0".repeat(128)),
            "ADD --checksum=7654321 https://h/r.git?commit=1234567 /x/".to_owned(),
            "ADD --keep-git-dir=false https://h/r.git?keep-git-dir=1 /x/".to_owned(),
        ] {
            assert!(sources(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_hold_no_secrets() {
        let found = sources("ADD https://u:p@h/f?token=t#x /x/").unwrap();
        let shown: Vec<_> = found.values().map(ToString::to_string).collect();
        assert_eq!(shown, ["https://h/f?..#x"]);
        // A port that is none: nobody can read this.
        let error = sources("ADD https://u:secret@h:99999/f?sig=secret /x/").unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("https://h:99999/f?.."), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn the_history_has_neither_user_nor_password() {
        for (word, expected) in [
            ("https://token@h/r.git#v1", "https://h/r.git#v1"),
            ("https://u:p@h:1/f?a=b@c", "https://h:1/f?a=b@c"),
            ("HTTP://h/u@x", "HTTP://h/u@x"),
            ("ssh://git@h/r", "ssh://git@h/r"),
            ("git@h:r", "git@h:r"),
            ("a/b@c", "a/b@c"),
        ] {
            assert_eq!(without_user(word), expected);
        }
    }
}
