//! What the sources of ADD in the network are at present, and their files. Each is asked for and
//! fetched once in a build, whichever stages want it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::cache::inputs::{NetworkIdentity, SourceInputs};
use crate::dockerfile::Span;
use crate::fs::Root;
use crate::image::Digest;
use crate::remote::{
    Commit, Downloaded, Fetcher, GitSource, HttpSource, RemoteError, RemoteOptions, Version,
};
use crate::sandbox::Sandbox;

use super::action::{Action, Transfer};
use super::archive_time::newest_file;
use super::evaluated::EvaluatedStage;
use super::halt::Halt;
use super::once::Once;
use super::remote_context::fetcher;
use super::remote_source::RemoteSource;
use super::{BuildOptions, DockerfileText, LocatedError};

/// Servers that are asked at the same time: each may send a whole file where it says nothing of it.
const ASKED_AT_ONCE: usize = 16;

/// Mode of a file from an HTTP server (Dockerfile reference, "ADD").
const FILE_MODE: u32 = 0o600;

/// What a source is at present.
#[derive(Clone, Debug)]
enum Present {
    /// The Dockerfile says what it is.
    Pinned(Digest),
    /// The server says when it changes, if it says anything.
    Version(Version),
    Commit(Commit),
}

/// The files of a source.
pub(super) struct Fetched {
    pub(super) root: Root,
    /// Where in `root` they are: a file, or all of it.
    pub(super) path: PathBuf,
    /// `None` for a repository.
    file: Option<Downloaded>,
    /// What its server says of its time, in seconds since 1970-01-01.
    time: Option<i64>,
}

/// All such sources of a build.
pub(super) struct Remotes {
    fetcher: Arc<Fetcher>,
    sandbox: Sandbox,
    present: Once<RemoteSource, Present>,
    fetched: Once<RemoteSource, Arc<Fetched>>,
}

impl Remotes {
    /// Must be called in the build's runtime.
    pub(super) fn new(
        options: RemoteOptions,
        build: &BuildOptions,
        sandbox: Sandbox,
        halt: &Halt,
    ) -> Self {
        Self {
            fetcher: Arc::new(fetcher(build, options, halt)),
            sandbox,
            present: Once::default(),
            fetched: Once::default(),
        }
    }

    /// Finds out what all sources of the stages are at present, at once.
    pub(super) async fn find_all(
        &self,
        stages: &BTreeMap<usize, EvaluatedStage>,
        text: &DockerfileText,
    ) -> Result<()> {
        let steps = stages.values().flat_map(|stage| &stage.steps);
        let sources = steps.flat_map(|step| {
            let transfer = step.work.as_ref().and_then(|work| match &work.action {
                Action::Transfer(transfer) => Some(transfer),
                Action::Run(_) | Action::Workdir => None,
            });
            let remotes = transfer.into_iter().flat_map(|it| it.remotes.values());
            remotes.map(|source| (source, step.span))
        });
        let find = |(source, span): (&RemoteSource, Span)| {
            let source = source.clone();
            async move {
                let found = self.identity(&source).await.map(drop);
                found.map_err(|error| cannot_fetch(text, span, &source, error))
            }
        };
        let asked = stream::iter(sources.map(find)).buffer_unordered(ASKED_AT_ONCE);
        Ok(asked.try_collect().await?)
    }

    /// Returns what a source is, by what its server says of it, without fetching it where that is enough.
    pub(super) async fn by_definition(&self, source: &RemoteSource) -> Result<SourceInputs> {
        Ok(SourceInputs::Network {
            name: source.name(),
            identity: self.identity(source).await?,
        })
    }

    /// Returns what a source is, by its bytes.
    pub(super) async fn by_content(&self, source: &RemoteSource) -> Result<SourceInputs> {
        let identity = match source {
            RemoteSource::File(_) => NetworkIdentity::Checksum(self.digest(source).await?),
            // The hash of a commit is over all bytes.
            RemoteSource::Repository { .. } => self.identity(source).await?,
        };
        Ok(SourceInputs::Network {
            name: source.name(),
            identity,
        })
    }

    /// Says whether the files of a transfer are still what they were when the build began. They are here.
    pub(super) async fn are_as_found(&self, transfer: &Transfer) -> Result<bool> {
        for source in transfer.remotes.values() {
            let Present::Version(version) = self.present(source).await? else {
                continue;
            };
            let fetched = self.fetch(source).await?;
            let now = fetched.file.as_ref().map(|file| &file.version);
            if version.is_known() && now != Some(&version) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the files of a source.
    pub(super) async fn fetch(&self, source: &RemoteSource) -> Result<Arc<Fetched>> {
        let fetch = || async {
            // A file needs not be asked for before it is fetched.
            let commit = match source {
                RemoteSource::File(_) => None,
                RemoteSource::Repository { .. } => match self.present(source).await? {
                    Present::Commit(commit) => Some(commit),
                    Present::Pinned(_) | Present::Version(_) => None,
                },
            };
            let (fetcher, sandbox) = (Arc::clone(&self.fetcher), self.sandbox.clone());
            let source = source.clone();
            let task = move || fetch(&fetcher, &sandbox, &source, commit.as_ref());
            let fetched = tokio::task::spawn_blocking(task).await;
            Ok(Arc::new(fetched.context("fetching stopped")??))
        };
        self.fetched.get(source.clone(), fetch).await
    }

    /// Returns the time of a source in seconds since 1970-01-01: of a commit, of `Last-Modified`, or of the newest file in
    /// an archive.
    pub(super) async fn time(&self, source: &RemoteSource) -> Result<Option<i64>> {
        if let (RemoteSource::File(_), Present::Version(version)) =
            (source, self.present(source).await?)
            && let Some(told) = version.time()
        {
            return Ok(Some(told));
        }
        let fetched = self.fetch(source).await?;
        match (fetched.time, source) {
            (None, RemoteSource::File(_)) => {
                let file = fetched.root.open_file(&fetched.path)?;
                let read = tokio::task::spawn_blocking(move || newest_file(file));
                Ok(read.await.context("reading the archive stopped")?)
            }
            (time, _) => Ok(time),
        }
    }

    async fn identity(&self, source: &RemoteSource) -> Result<NetworkIdentity> {
        match (self.present(source).await?, source) {
            (Present::Pinned(digest), _) => Ok(NetworkIdentity::Checksum(digest)),
            (Present::Version(version), RemoteSource::File(file)) if version.is_known() => {
                Ok(NetworkIdentity::Validator {
                    url: file.url.clone(),
                    etag: version.etag,
                    last_modified: version.last_modified,
                })
            }
            (
                Present::Commit(commit),
                RemoteSource::Repository {
                    source,
                    keeps_git_dir,
                },
            ) => commit_identity(source, &commit, *keeps_git_dir),
            // Nothing but its bytes says what it is.
            (Present::Version(_) | Present::Commit(_), _) => {
                Ok(NetworkIdentity::Checksum(self.digest(source).await?))
            }
        }
    }

    async fn digest(&self, source: &RemoteSource) -> Result<Digest> {
        let fetched = self.fetch(source).await?;
        let file = fetched
            .file
            .as_ref()
            .context("a repository has no digest")?;
        Ok(file.digest.clone())
    }

    async fn present(&self, source: &RemoteSource) -> Result<Present> {
        let find = || async {
            Ok(match source {
                RemoteSource::File(HttpSource {
                    checksum: Some(digest),
                    ..
                }) => Present::Pinned(digest.clone()),
                RemoteSource::File(file) => Present::Version(self.fetcher.version(file).await?),
                RemoteSource::Repository { source, .. } => {
                    let (fetcher, source) = (Arc::clone(&self.fetcher), source.clone());
                    let task = tokio::task::spawn_blocking(move || fetcher.resolve(&source));
                    Present::Commit(task.await.context("asking the git server stopped")??)
                }
            })
        };
        self.present.get(source.clone(), find).await
    }
}

fn commit_identity(
    source: &GitSource,
    commit: &Commit,
    keeps_git_dir: bool,
) -> Result<NetworkIdentity> {
    let url = source.repository.identity();
    Ok(NetworkIdentity::Commit {
        url: url.context("the repository's URL cannot be written down")?,
        commit: commit.hash(),
        subdirectory: source.subdir.clone(),
        git_dir: keeps_git_dir.then(|| commit.name()),
        submodules: source.submodules,
        has_commit_times: source.has_commit_times.unwrap_or(false),
    })
}

/// Fetches a source into a directory of its own. Blocks.
fn fetch(
    fetcher: &Fetcher,
    sandbox: &Sandbox,
    source: &RemoteSource,
    commit: Option<&Commit>,
) -> Result<Fetched> {
    let root = sandbox.new_files_dir()?;
    match (source, commit) {
        (RemoteSource::File(file), _) => {
            let name = file.name();
            let downloaded = fetcher.download(file, root.dir(), &name, FILE_MODE)?;
            Ok(Fetched {
                root,
                path: PathBuf::from(name),
                time: downloaded.version.time(),
                file: Some(downloaded),
            })
        }
        (
            RemoteSource::Repository {
                source,
                keeps_git_dir,
            },
            commit,
        ) => {
            let commit = commit.context("the commit is not known")?;
            let scratch = sandbox.work_dir();
            let time = fetcher.checkout(source, commit, *keeps_git_dir, &scratch, root.dir())?;
            Ok(Fetched {
                root,
                path: PathBuf::new(),
                file: None,
                time: Some(time),
            })
        }
    }
}

/// Says at which line which source cannot be had.
pub(super) fn cannot_fetch(
    text: &DockerfileText,
    span: Span,
    source: &RemoteSource,
    error: anyhow::Error,
) -> LocatedError {
    let asks_for_credentials = error
        .downcast_ref::<RemoteError>()
        .is_some_and(RemoteError::asks_for_credentials);
    let located = text.error_at(span, format!("cannot fetch `{source}`"));
    let located = located.because(error);
    match asks_for_credentials {
        true => located.hint(source.hint()),
        false => located,
    }
}
