//! `--context` that is no directory, and `--bucket`: from words to meaning.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::build::{BuildOptions, ContextSource, RemoteContext};
use crate::cloud::CloudIdentity;
use crate::http::authority;
use crate::registry::RegistryOptions;
use crate::remote::git::RepositoryUrl;
use crate::remote::{ObjectSource, Opener, RemoteOptions, StoreVariables};

use super::cloud_options;
use super::environment::{self, absolute};
use super::flags::InputFlags;
use super::git_options::{GitOptions, PULL_METHOD, at_commit, kaniko_source, without_commit};
use super::registry_options::remote_options;

/// What kaniko's `git://` begins with.
const KANIKO: &str = "git://";

/// kaniko's form of an archive.
const ARCHIVE: &str = "tar://";

/// kaniko's default of `--context`: then `--bucket` may say what is meant.
const DEFAULT_CONTEXT: &str = "/workspace/";

/// A context that has to be brought here, as it was asked for.
pub(super) struct ContextFlags {
    pub(super) context: ContextSource,
    /// Whether the server's certificate goes unchecked.
    skips_verification: bool,
}

impl ContextFlags {
    /// Returns the host whose certificate goes unchecked.
    fn unverified_host(&self) -> Option<String> {
        match &self.context {
            ContextSource::Repository(source) if self.skips_verification => {
                match &source.repository {
                    RepositoryUrl::Http(url) => Some(authority(url)),
                    RepositoryUrl::Git(_) | RepositoryUrl::Ssh(_) => None,
                }
            }
            ContextSource::Repository(_)
            | ContextSource::File(_)
            | ContextSource::Object(_)
            | ContextSource::Archive(_)
            | ContextSource::StandardInput => None,
        }
    }
}

/// Reads `--context` and `--bucket`; `None` for a directory of this machine.
pub(super) fn fetched_context(
    flags: &InputFlags,
    current_dir: &Path,
) -> Result<Option<ContextFlags>> {
    let options = GitOptions::parse(&flags.git)?;
    let skips_verification = options.skips_verification;
    let text = context_text(flags)?;
    let context = match text.split_at_checked(ARCHIVE.len()) {
        Some((ARCHIVE, path)) => Some(archive(path, flags, current_dir)?),
        Some(_) | None => elsewhere(&text, options)?,
    };
    Ok(context.map(|context| ContextFlags {
        context,
        skips_verification,
    }))
}

/// `--bucket` is the old name of a context in a bucket: of Google's, where it names no other.
pub(super) fn context_text(flags: &InputFlags) -> Result<Cow<'_, str>> {
    let bucket = flags.bucket.as_str();
    if bucket.is_empty() {
        return Ok(Cow::Borrowed(&flags.context));
    }
    ensure!(
        flags.context.is_empty() || flags.context == DEFAULT_CONTEXT,
        "--bucket and --context both say what the build context is"
    );
    Ok(match bucket.contains("://") {
        true => Cow::Borrowed(bucket),
        false => Cow::Owned(format!("gs://{bucket}")),
    })
}

fn archive(path: &str, flags: &InputFlags, current_dir: &Path) -> Result<ContextSource> {
    if path != "stdin" {
        ensure!(!path.is_empty(), "the build context `tar://` has no path");
        return Ok(ContextSource::Archive(absolute(
            Path::new(path),
            current_dir,
        )));
    }
    ensure!(
        flags.dockerfile != "-",
        "standard input can be the build context or the Dockerfile, not both"
    );
    ensure!(
        !std::io::stdin().is_terminal(),
        "standard input is a terminal, and `--context tar://stdin` reads an archive from it: write `tar -cz . | executor --context tar://stdin …`"
    );
    Ok(ContextSource::StandardInput)
}

fn elsewhere(text: &str, options: GitOptions) -> Result<Option<ContextSource>> {
    if let Some(rest) = text.strip_prefix(KANIKO) {
        let method = environment::variable(PULL_METHOD);
        let method = method.as_deref().unwrap_or("https");
        let source = options.apply(kaniko_source(rest, method)?, false)?;
        return Ok(Some(ContextSource::Repository(source)));
    }
    let object = ObjectSource::parse(text, &store_variables());
    if let Some(object) = object.context("cannot use the build context")? {
        return Ok(Some(ContextSource::Object(object)));
    }
    let (text, commit) = without_commit(text);
    Ok(match RemoteContext::parse(text)? {
        Some(RemoteContext::Repository(source)) => {
            let source = at_commit(source, commit).context("cannot use the build context")?;
            Some(ContextSource::Repository(options.apply(source, true)?))
        }
        Some(RemoteContext::File(file)) => Some(ContextSource::File(file)),
        None => None,
    })
}

/// Returns how servers are spoken to in a build with that context.
pub(super) fn context_remote_options(
    registry: &RegistryOptions,
    build: &BuildOptions,
    context: Option<&ContextFlags>,
) -> Result<RemoteOptions> {
    let unverified = context.and_then(ContextFlags::unverified_host);
    Ok(RemoteOptions {
        unverified: unverified.into_iter().collect(),
        object_stores: store_variables(),
        cloud: cloud_identity(context).context("cannot use the build context")?,
        ..remote_options(registry, build)
    })
}

/// Collects who the job is at the context's cloud. What is wrong with another's variables is of no concern here.
fn cloud_identity(context: Option<&ContextFlags>) -> Result<CloudIdentity> {
    let none = CloudIdentity::default();
    let Some(ContextSource::Object(object)) = context.map(|flags| &flags.context) else {
        return Ok(none);
    };
    Ok(match object.opener() {
        Opener::Aws => CloudIdentity {
            aws: cloud_options::aws()?,
            ..none
        },
        // Nobody asks for credentials there.
        Opener::Google if environment::variable("STORAGE_EMULATOR_HOST").is_some() => none,
        Opener::Google => CloudIdentity {
            google: cloud_options::google_identity()?,
            ..none
        },
        Opener::AccountKey => none,
    })
}

/// Collects what opens object stores.
fn store_variables() -> StoreVariables {
    let value = |name: &str| Some((name.to_owned(), environment::variable(name)?));
    StoreVariables::new(StoreVariables::NAMES.into_iter().filter_map(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::ExecutorFlags;
    use clap::Parser;

    fn context(arguments: &[&str]) -> Result<Option<ContextFlags>> {
        let words = ["executor"].iter().chain(arguments);
        let flags = ExecutorFlags::try_parse_from(words).unwrap();
        fetched_context(&flags.input, Path::new("/job"))
    }

    #[test]
    fn archives_and_buckets_are_told_from_directories() {
        for (arguments, expected) in [
            (vec!["-c", "tar://a/c.tar"], "tar:///job/a/c.tar"),
            (vec!["-c", "tar:///c.tar"], "tar:///c.tar"),
            (vec!["-b", "x"], "gs://x/context.tar.gz"),
            (vec!["-b", "s3://x/y", "-c", ""], "s3://x/y"),
            (vec!["-c", "gs://x"], "gs://x/context.tar.gz"),
        ] {
            let found = context(&arguments).unwrap().expect("a context to fetch");
            assert_eq!(found.context.shown(), expected);
            assert_eq!(found.unverified_host(), None);
        }
        for directory in [vec![], vec!["-c", "dir:///x"], vec!["-b", "dir:///x"]] {
            assert!(context(&directory).unwrap().is_none(), "{directory:?}");
        }
        for wrong in [
            vec!["-c", "tar://"],
            vec!["-c", "s3://"],
            vec!["-c", "/x", "-b", "y"],
            vec!["-c", "tar://stdin", "-f", "-"],
        ] {
            assert!(context(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_second_fragment_is_a_commit_in_every_url() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let reference = |url: &str| match context(&["-c", url]).unwrap().unwrap().context {
            ContextSource::Repository(source) => source.reference,
            other => panic!("{}", other.shown()),
        };
        assert_eq!(
            reference(&format!("https://h/r.git#refs/heads/x#{hash}")),
            hash
        );
        assert_eq!(reference(&format!("git://h/r#refs/heads/x#{hash}")), hash);
        assert_eq!(reference("https://h/r.git#x#y"), "x#y");
        assert_eq!(reference(&format!("https://h/r.git#{hash}")), hash);
    }

    #[test]
    fn verification_is_skipped_for_the_repositorys_host_alone() {
        let host = |arguments: &[&str]| context(arguments).unwrap().unwrap().unverified_host();
        let unchecked = "--git=insecure-skip-tls=true";
        let found = host(&["-c", "git://h:8443/r", unchecked]);
        assert_eq!(found.as_deref(), Some("h:8443"));
        assert_eq!(host(&["-c", "git://h/r"]), None);
        assert_eq!(host(&["-c", "https://h/c.tar", unchecked]), None);
    }
}
