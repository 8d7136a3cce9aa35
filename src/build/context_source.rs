//! The build context, where it is no directory of this machine: a git repository, an archive, or nothing but a Dockerfile.
//!
//! Ignore files do not count in it (Docker's reference of `.dockerignore`: it is about local contexts). An archive is
//! unpacked while it arrives, and all of it is root's, as in every context.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::fs::Root;
use crate::remote::{
    Fetcher, GitSource, HttpSource, Incoming, ObjectSource, RemoteFile, RemoteOptions,
};
use crate::sandbox::Sandbox;

use super::archive_stream::ArchiveStream;
use super::control_args::EPOCH;
use super::halt::Halt;
use super::remote_context::{
    FILE, FILE_MODE, FetchedContext, fetcher, keeps_git_dir, time_of, wants_time,
};
use super::remote_source::redacted;
use super::{BuildInput, BuildOptions, DockerfileSource, RemoteContext};

/// How long what is being read and unpacked may take to notice that it is to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// What is read of a file that is the Dockerfile, at a time.
const COPY_BYTES: usize = 64 * 1024;

/// A context that has to be brought here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextSource {
    /// Files of a git repository.
    Repository(GitSource),
    /// An archive on an HTTP server, or the Dockerfile alone.
    File(HttpSource),
    /// An archive in an object store.
    Object(ObjectSource),
    /// An archive on this machine. The path is absolute.
    Archive(PathBuf),
    /// An archive that somebody writes into this program.
    StandardInput,
}

impl From<RemoteContext> for ContextSource {
    fn from(context: RemoteContext) -> Self {
        match context {
            RemoteContext::Repository(source) => Self::Repository(source),
            RemoteContext::File(source) => Self::File(source),
        }
    }
}

/// What came of it.
struct Arrived {
    context: FetchedContext,
    /// Whether there is one file, which is the Dockerfile.
    is_dockerfile: bool,
}

impl From<FetchedContext> for Arrived {
    fn from(context: FetchedContext) -> Self {
        Self {
            context,
            is_dockerfile: false,
        }
    }
}

impl ContextSource {
    /// Returns it without what may be secret, the same from build to build.
    pub fn shown(&self) -> String {
        match self {
            Self::Repository(source) => source.repository.to_string(),
            Self::File(file) => redacted(file.url.as_str()),
            Self::Object(source) => source.to_string(),
            Self::Archive(path) => format!("tar://{}", path.display()),
            Self::StandardInput => "tar://stdin".to_owned(),
        }
    }

    /// Blocks.
    fn fetch(
        &self,
        fetcher: &Arc<Fetcher>,
        keeps_git_dir: bool,
        sandbox: &Sandbox,
        halt: &Halt,
    ) -> Result<Arrived> {
        match self {
            Self::Repository(source) => {
                let context = RemoteContext::Repository(source.clone());
                let fetched = context.fetch(fetcher, keeps_git_dir, sandbox)?;
                Ok(fetched.into())
            }
            Self::File(source) => {
                let file = RemoteFile::Http(source.clone());
                fetcher.stream(&file, |incoming| arrived(incoming, sandbox, halt))
            }
            Self::Object(source) => {
                let file = RemoteFile::Object(source.clone());
                fetcher.stream(&file, |incoming| {
                    let stream = ArchiveStream::begin(incoming)?;
                    Ok(stream.unpack(sandbox, halt)?.into())
                })
            }
            Self::Archive(path) => {
                let stream = ArchiveStream::begin(File::open(path)?)?;
                Ok(stream.unpack(sandbox, halt)?.into())
            }
            Self::StandardInput => {
                // The descriptor, not a name of it: a socket cannot be opened again.
                let input = rustix::stdio::stdin().try_clone_to_owned()?;
                let stream = ArchiveStream::begin(File::from(input))?;
                if stream.is_empty() {
                    bail!(
                        "standard input is empty: write a tar archive into it; `docker run` and `kubectl run` pass it on with `--interactive` only"
                    );
                }
                Ok(stream.unpack(sandbox, halt)?.into())
            }
        }
    }

    /// Lets files of a repository have the time of the commit, unless its URL says another thing.
    fn with_commit_times(self) -> Self {
        match self {
            Self::Repository(source) => {
                RemoteContext::Repository(source).with_commit_times().into()
            }
            Self::File(_) | Self::Object(_) | Self::Archive(_) | Self::StandardInput => self,
        }
    }
}

/// Takes a file of an HTTP server: an archive, else the Dockerfile itself.
fn arrived(incoming: Incoming, sandbox: &Sandbox, halt: &Halt) -> Result<Arrived> {
    let version = incoming.version().clone();
    let stream = ArchiveStream::begin(incoming)?;
    if stream.is_archive() {
        let unpacked = stream.unpack(sandbox, halt)?;
        return Ok(Arrived::from(FetchedContext {
            // What the server says comes before what the files say.
            told_time: version.time().or(unpacked.told_time),
            ..unpacked
        }));
    }
    let root = sandbox.new_files_dir()?;
    let mut file = root.dir().create_new_file(FILE.as_ref(), 0o600)?;
    let mut reader = stream.into_reader();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match std::io::Read::read(&mut reader, &mut buffer)? {
            0 => break,
            read => file.write_all(&buffer[..read])?,
        }
    }
    file.set_mode(FILE_MODE)?;
    file.set_mtime(version.mtime())?;
    drop(file);
    Ok(Arrived {
        context: FetchedContext {
            root,
            told_time: version.time(),
        },
        is_dockerfile: true,
    })
}

impl BuildInput {
    /// Fetches a context, then reads as [`Self::read`] does. `options` then say where the context is; `sub_path` is the
    /// directory of it that is meant. Must be called in the runtime.
    pub async fn fetch(
        context: ContextSource,
        sub_path: &Path,
        options: &mut BuildOptions,
        remote: RemoteOptions,
        sandbox: &Sandbox,
        halt: &Halt,
    ) -> Result<Self> {
        // Whoever gives the build a time wants to have the same files again (BuildKit, `dockerui`).
        let gives_time = options.build_args.get(EPOCH);
        let context = match gives_time.is_some_and(|value| !value.is_empty()) {
            true => context.with_commit_times(),
            false => context,
        };
        let arrived = fetched(context, options, remote, sandbox, halt).await?;
        let root = &arrived.context.root;
        if arrived.is_dockerfile {
            options.dockerfile = DockerfileSource::Path(PathBuf::from(FILE));
        }
        let sub_path = root.resolve(sub_path)?;
        let is_dir = root
            .metadata(&sub_path)?
            .is_some_and(|found| found.is_dir());
        if !is_dir {
            bail!(
                "the build context has no directory `{}`",
                sub_path.display()
            );
        }
        options.context = root.outside_path(&sub_path);
        // A Dockerfile is looked for in the context; an absolute path may lead to one that is here.
        options.current_dir.clone_from(&options.context);
        options.context_is_fetched = true;
        let input = Self::read(options)?;
        let context_time = match wants_time(&input, options) {
            true => time_of(root, arrived.context.told_time)?,
            false => None,
        };
        let root = Root::from_dir(root.open_dir(&sub_path)?);
        Ok(Self {
            context: input.context.in_root(root),
            context_time,
            ..input
        })
    }
}

async fn fetched(
    context: ContextSource,
    options: &BuildOptions,
    remote: RemoteOptions,
    sandbox: &Sandbox,
    halt: &Halt,
) -> Result<Arrived> {
    let fetcher = Arc::new(fetcher(options, remote, halt));
    let keeps_git_dir = keeps_git_dir(options);
    let failed = format!("cannot fetch the build context `{}`", context.shown());
    let (own_sandbox, own_halt) = (sandbox.clone(), halt.clone());
    let mut work = tokio::task::spawn_blocking(move || {
        context.fetch(&fetcher, keeps_git_dir, &own_sandbox, &own_halt)
    });
    // A read from standard input may never end.
    let done = tokio::select! {
        done = &mut work => done,
        () = halt.token().cancelled_owned() => match tokio::time::timeout(STOP_PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => bail!("fetching the build context was stopped"),
        },
    };
    done.context("fetching the build context stopped")?
        .context(failed)
}
