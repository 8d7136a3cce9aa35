//! `--context` that is no directory, `--bucket` and `--git`: from words to meaning.
//!
//! Two programs have given these words a meaning. `git://` is kaniko's: a repository that is fetched over https, with
//! `#REFERENCE[#COMMIT]` behind it. All others are BuildKit's.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use url::Url;

use crate::build::{FetchedContext, RemoteContext};
use crate::remote::git::RepositoryUrl;
use crate::remote::{GitSource, ObjectSource, StoreVariables, authority};

use super::environment::{self, absolute};
use super::flags::{InputFlags, go_bool};

/// What kaniko's `git://` begins with.
const KANIKO: &str = "git://";

/// Says which protocol kaniko's `git://` means. `git` is ours.
const PULL_METHOD: &str = "GIT_PULL_METHOD";

/// kaniko's form of an archive.
const ARCHIVE: &str = "tar://";

/// kaniko's default of `--context`: then `--bucket` may say what is meant.
const DEFAULT_CONTEXT: &str = "/workspace/";

/// A context that has to be brought here, as it was asked for.
pub(super) struct ContextFlags {
    pub(super) context: FetchedContext,
    /// Whether the server's certificate goes unchecked.
    skips_verification: bool,
}

impl ContextFlags {
    /// Returns the host whose certificate goes unchecked.
    pub(super) fn unverified_host(&self) -> Option<String> {
        match &self.context {
            FetchedContext::Repository(source) if self.skips_verification => {
                match &source.repository {
                    RepositoryUrl::Http(url) => Some(authority(url)),
                    RepositoryUrl::Git(_) | RepositoryUrl::Ssh(_) => None,
                }
            }
            FetchedContext::Repository(_)
            | FetchedContext::File(_)
            | FetchedContext::Object(_)
            | FetchedContext::Archive(_)
            | FetchedContext::StandardInput => None,
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

fn archive(path: &str, flags: &InputFlags, current_dir: &Path) -> Result<FetchedContext> {
    if path != "stdin" {
        ensure!(!path.is_empty(), "the build context `tar://` has no path");
        return Ok(FetchedContext::Archive(absolute(
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
    Ok(FetchedContext::StandardInput)
}

fn elsewhere(text: &str, options: GitOptions) -> Result<Option<FetchedContext>> {
    if let Some(rest) = text.strip_prefix(KANIKO) {
        let method = environment::variable(PULL_METHOD);
        let method = method.as_deref().unwrap_or("https");
        let source = options.apply(kaniko_source(rest, method)?, false)?;
        return Ok(Some(FetchedContext::Repository(source)));
    }
    let object = ObjectSource::parse(text, &store_variables());
    if let Some(object) = object.context("cannot use the build context")? {
        return Ok(Some(FetchedContext::Object(object)));
    }
    let (text, commit) = without_commit(text);
    Ok(match RemoteContext::parse(text)? {
        Some(RemoteContext::Repository(source)) => {
            let source = at_commit(source, commit).context("cannot use the build context")?;
            Some(FetchedContext::Repository(options.apply(source, true)?))
        }
        Some(RemoteContext::File(file)) => Some(FetchedContext::File(file)),
        None => None,
    })
}

/// Takes off what stands behind a second `#`, where that is the hash of a commit: kaniko's way to say it, which says nothing
/// in BuildKit's URLs. Else the commit is empty.
fn without_commit(text: &str) -> (&str, &str) {
    let is_hash =
        |commit: &str| commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.rsplit_once('#') {
        Some((rest, commit)) if rest.contains('#') && is_hash(commit) => (rest, commit),
        Some(_) | None => (text, ""),
    }
}

/// Asks for one commit, which need not be the end of the branch. Empty for what the source says.
fn at_commit(source: GitSource, commit: &str) -> Result<GitSource> {
    if commit.is_empty() {
        return Ok(source);
    }
    Ok(GitSource {
        reference: source.clone().demand(commit)?.checksum,
        ..source
    })
}

/// Collects what opens object stores.
pub(super) fn store_variables() -> StoreVariables {
    let value = |name: &str| Some((name.to_owned(), environment::variable(name)?));
    StoreVariables::new(StoreVariables::NAMES.into_iter().filter_map(value))
}

/// `--git`, as kaniko has it: a list of `NAME=VALUE`.
#[derive(Debug, Default, PartialEq, Eq)]
struct GitOptions {
    branch: String,
    recurses: Option<bool>,
    skips_verification: bool,
}

impl GitOptions {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let pairs = words.iter().flat_map(|word| word.split(','));
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let split = pair.split_once('=');
            let (name, value) =
                split.with_context(|| format!("--git is `{pair}`, expected NAME=VALUE"))?;
            let boolean = || {
                let read = go_bool(value);
                read.map_err(|message| anyhow::anyhow!("--git is `{pair}`: {message}"))
            };
            match name {
                "branch" => value.clone_into(&mut options.branch),
                "recurse-submodules" => options.recurses = Some(boolean()?),
                // Nothing but the one commit is ever fetched.
                "single-branch" => drop(boolean()?),
                "depth" => drop(
                    value
                        .parse::<u32>()
                        .with_context(|| format!("--git is `{pair}`, expected a number"))?,
                ),
                "insecure-skip-tls" => options.skips_verification = boolean()?,
                _ => bail!("unknown option `{name}` in --git"),
            }
        }
        Ok(options)
    }

    /// Adds to a source what it does not say itself, and what opens the server.
    fn apply(self, source: GitSource, recurses: bool) -> Result<GitSource> {
        // A branch, or a tag, as kaniko takes it.
        let reference = match source.reference.is_empty() {
            true => self.branch,
            false => source.reference.clone(),
        };
        let submodules = source.submodules && self.recurses.unwrap_or(recurses);
        let source = GitSource {
            reference,
            submodules,
            ..source
        };
        with_login(source)
    }
}

/// Reads what stands behind `git://`. As in kaniko, a repository needs no `.git` at its end.
fn kaniko_source(text: &str, method: &str) -> Result<GitSource> {
    let cannot = || "cannot use the build context `git://…`".to_owned();
    let (address, rest) = text.split_once('#').unwrap_or((text, ""));
    let (reference, commit) = rest.split_once('#').unwrap_or((rest, ""));
    let (address, query) = address.split_once('?').unwrap_or((address, ""));
    // What comes after `#` and `?` means the same for every protocol.
    let mut meaning = format!("git://{address}?{query}");
    if !reference.is_empty() {
        meaning = format!("{meaning}#{reference}");
    }
    let source = GitSource::parse(&meaning).with_context(cannot)?;
    let source = source.with_context(cannot)?;
    let source = at_commit(source, commit).with_context(cannot)?;
    let repository = match method {
        "https" | "http" => {
            let url = Url::parse(&format!("{method}://{address}")).with_context(cannot)?;
            RepositoryUrl::Http(url)
        }
        "git" => source.repository.clone(),
        other => bail!("{PULL_METHOD} is `{other}`, expected `https`, `http` or `git`"),
    };
    Ok(GitSource {
        repository,
        ..source
    })
}

/// Adds user and password of the environment, as kaniko does: a token is a user without a password.
fn with_login(source: GitSource) -> Result<GitSource> {
    let token = environment::variable("GIT_TOKEN");
    let (user, password) = match token {
        Some(token) => (token, String::new()),
        None => (
            environment::variable("GIT_USERNAME").unwrap_or_default(),
            environment::variable("GIT_PASSWORD").unwrap_or_default(),
        ),
    };
    let repository = match source.repository {
        RepositoryUrl::Http(mut url)
            if url.username().is_empty() && !(user.is_empty() && password.is_empty()) =>
        {
            let set = url.set_username(&user);
            let set = set.and_then(|()| url.set_password(Some(&password)));
            set.ok().context("the repository's URL takes no user")?;
            RepositoryUrl::Http(url)
        }
        other => other,
    };
    Ok(GitSource {
        repository,
        ..source
    })
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
            FetchedContext::Repository(source) => source.reference,
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

    #[test]
    fn kanikos_form_is_fetched_over_https_and_may_name_a_commit() {
        let source = kaniko_source("h/a/b#refs/heads/x#1234567890", "https").unwrap();
        assert_eq!(source.repository.to_string(), "https://h/a/b");
        assert_eq!(source.reference, "1234567890");
        let source = kaniko_source("h/a/b.git#x", "http").unwrap();
        assert_eq!(source.repository.to_string(), "http://h/a/b.git");
        assert_eq!(
            (source.reference.as_str(), source.checksum.as_str()),
            ("x", "")
        );
        let source = kaniko_source("h:9/r?subdir=s", "git").unwrap();
        assert_eq!(
            (
                source.repository.to_string().as_str(),
                source.subdir.as_str()
            ),
            ("git://h:9/r", "s")
        );
        assert!(kaniko_source("h/r##main", "https").is_err());
        assert!(kaniko_source("h/r", "ftp").is_err());
    }

    #[test]
    fn options_are_kanikos() {
        let parse = |text: &str| GitOptions::parse(&[text.to_owned()]);
        let options = parse("branch=b,single-branch=true,recurse-submodules=true,depth=3").unwrap();
        assert_eq!(
            (options.branch.as_str(), options.recurses),
            ("b", Some(true))
        );
        for wrong in [
            "depth=some",
            "branch",
            "recurse-submodules=maybe",
            "unknown=1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
