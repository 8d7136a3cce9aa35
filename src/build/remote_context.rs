//! What `--context` and `--build-context` may name in the network: a git repository, or a file (BuildKit, "Remote
//! context"); and a Dockerfile that is fetched alone.

use std::path::Path;

use anyhow::{Context, Result};

use crate::fs::Root;
use crate::remote::{Credentials, Fetcher, GitSource, HttpSource, RemoteError, RemoteOptions};
use crate::sandbox::Sandbox;

use super::archive_time::newest_file;
use super::control_args::{EPOCH, KEEP_GIT_DIR};
use super::halt::Halt;
use super::input::read_text;
use super::remote_source::redacted;
use super::{BuildInput, BuildOptions, DockerfileSource};

/// What a fetched file is called that is no archive (BuildKit frontend, `dockerui`).
pub(super) const FILE: &str = "context";

/// Mode of such a file, as of every one that ADD fetches.
pub(super) const FILE_MODE: u32 = 0o600;

/// As Go reads a boolean that is true (`strconv.ParseBool`).
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];

/// A context that is somewhere in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteContext {
    /// Files of a git repository.
    Repository(GitSource),
    /// A file on an HTTP server.
    File(HttpSource),
}

impl RemoteContext {
    /// Reads a URL; `None` for what is none that is fetched from. `github.com/…` alone is a repository here, and in no
    /// other place.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let with_scheme = match text.starts_with("github.com/") {
            true => format!("https://{}", with_git_suffix(text)),
            false => text.to_owned(),
        };
        let cannot = || format!("cannot use the build context `{}`", redacted(text));
        if let Some(source) = GitSource::parse(&with_scheme).with_context(cannot)? {
            return Ok(Some(Self::Repository(source)));
        }
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Ok(None);
        }
        let url = url::Url::parse(text).with_context(cannot)?;
        Ok(Some(Self::File(HttpSource {
            url,
            checksum: None,
        })))
    }

    /// Returns it without what may be secret, the same from build to build.
    pub fn shown(&self) -> String {
        match self {
            Self::Repository(source) => source.repository.to_string(),
            Self::File(file) => redacted(file.url.as_str()),
        }
    }

    /// Fetches the files into a directory of their own: those of a commit, or the one file, called `context`. Blocks.
    pub fn fetch(
        &self,
        fetcher: &Fetcher,
        keeps_git_dir: bool,
        sandbox: &Sandbox,
    ) -> Result<FetchedContext> {
        let root = sandbox.new_files_dir()?;
        let fetch = || -> Result<Option<i64>, RemoteError> {
            match self {
                Self::Repository(source) => {
                    let keeps_git_dir = source.keep_git_dir.unwrap_or(keeps_git_dir);
                    let commit = fetcher.resolve(source)?;
                    let scratch = sandbox.work_dir();
                    let time =
                        fetcher.checkout(source, &commit, keeps_git_dir, &scratch, root.dir())?;
                    Ok(Some(time))
                }
                Self::File(file) => fetcher
                    .download(file, root.dir(), FILE.as_ref(), FILE_MODE)
                    .map(|downloaded| downloaded.version.time()),
            }
        };
        let cannot = || format!("cannot fetch the build context `{}`", self.shown());
        Ok(FetchedContext {
            told_time: fetch().with_context(cannot)?,
            root,
        })
    }

    /// Lets files of a repository have the time of the commit, unless its URL says another thing.
    pub(super) fn with_commit_times(self) -> Self {
        match self {
            Self::Repository(source) => Self::Repository(GitSource {
                has_commit_times: source.has_commit_times.or(Some(true)),
                ..source
            }),
            Self::File(file) => Self::File(file),
        }
    }
}

/// A context that is here.
pub struct FetchedContext {
    /// Its files.
    pub(super) root: Root,
    /// When it was committed or, as the server says, changed, in seconds since 1970-01-01.
    pub(super) told_time: Option<i64>,
}

/// Returns the time of a context in seconds since 1970-01-01: an archive of which nobody tells it has that of its newest
/// file. Reads it.
pub(super) fn time_of(root: &Root, told: Option<i64>) -> Result<Option<i64>> {
    let file = Path::new(FILE);
    if told.is_some() || root.metadata(file)?.is_none() {
        return Ok(told);
    }
    Ok(newest_file(root.open_file(file)?))
}

/// `github.com/OWNER/REPOSITORY` needs no `.git`.
fn with_git_suffix(text: &str) -> String {
    let end = text.find(['#', '?']).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    let path = path.trim_end_matches('/');
    match path.ends_with(".git") {
        true => text.to_owned(),
        false => format!("{path}.git{rest}"),
    }
}

/// What a fetched Dockerfile is called while it is read.
const DOCKERFILE: &str = "Dockerfile";

impl BuildInput {
    /// Fetches the Dockerfile, if it is on a server: `options` then have its text. Must be called in the runtime.
    pub async fn fetch_dockerfile(
        options: &mut BuildOptions,
        remote: RemoteOptions,
        sandbox: &Sandbox,
        halt: &Halt,
    ) -> Result<()> {
        let DockerfileSource::Url(file) = options.dockerfile.clone() else {
            return Ok(());
        };
        let name = redacted(file.url.as_str());
        let cannot = format!("cannot fetch the Dockerfile `{name}`");
        let fetcher = fetcher(options, remote, halt);
        let root = sandbox.new_files_dir()?;
        let fetch = move || -> Result<Option<String>> {
            fetcher.download(&file, root.dir(), DOCKERFILE.as_ref(), FILE_MODE)?;
            read_text(&root, Path::new(DOCKERFILE))
        };
        let fetched = tokio::task::spawn_blocking(fetch).await;
        let content = fetched.context("fetching stopped")?.context(cannot)?;
        options.dockerfile = DockerfileSource::Text {
            name,
            content: content.unwrap_or_default(),
        };
        Ok(())
    }
}

/// Says whether the time of the context may be asked for.
pub(super) fn wants_time(input: &BuildInput, options: &BuildOptions) -> bool {
    let mut args = input
        .dockerfile
        .meta_args
        .iter()
        .flat_map(|list| &list.args);
    options.build_args.contains_key(EPOCH) || args.any(|arg| arg.name == EPOCH)
}

/// Makes what fetches files for a build, with its secrets.
pub(super) fn fetcher(options: &BuildOptions, remote: RemoteOptions, halt: &Halt) -> Fetcher {
    let secrets = options.secrets.iter();
    let credentials = Credentials::new(secrets.map(|(id, secret)| (id, secret.reveal())));
    Fetcher::new(remote, credentials, halt.token())
}

/// Says whether contexts that are git repositories keep `.git`.
pub(super) fn keeps_git_dir(options: &BuildOptions) -> bool {
    let value = options.build_args.get(KEEP_GIT_DIR);
    value.is_some_and(|value| TRUE.contains(&value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_files_are_told_from_directories() {
        let kind = |text: &str| match RemoteContext::parse(text).unwrap() {
            Some(RemoteContext::Repository(source)) => format!("git {}", source.repository),
            Some(RemoteContext::File(file)) => format!("file {}", file.url),
            None => "none".to_owned(),
        };
        for (text, expected) in [
            ("https://h/r.git#main:sub", "git https://h/r.git"),
            ("https://h/c.tar.gz", "file https://h/c.tar.gz"),
            ("git@h:r", "git ssh://git@h/r"),
            ("github.com/a/b#v1", "git https://github.com/a/b.git"),
            ("github.com/a/b.git", "git https://github.com/a/b.git"),
            ("./github.com/a", "none"),
            ("/workspace", "none"),
            ("s3://bucket/x", "none"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
        assert!(RemoteContext::parse("https://h/r.git?x=1").is_err());
    }
}
