//! `--git`, and the URLs of repositories in `--context`: from words to meaning.
//!
//! Two programs have given these words a meaning. `git://` is kaniko's: a repository that is fetched over https, with
//! `#REFERENCE[#COMMIT]` behind it. All others are BuildKit's.

use anyhow::{Context, Result, bail};
use url::Url;

use crate::remote::GitSource;
use crate::remote::git::RepositoryUrl;

use super::environment;
use super::flags::go_bool;

/// Says which protocol kaniko's `git://` means. `git` is ours.
pub(super) const PULL_METHOD: &str = "GIT_PULL_METHOD";

/// `--git`, as kaniko has it: a list of `NAME=VALUE`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GitOptions {
    branch: String,
    recurses: Option<bool>,
    pub(super) skips_verification: bool,
}

impl GitOptions {
    pub(super) fn parse(words: &[String]) -> Result<Self> {
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
    pub(super) fn apply(self, source: GitSource, recurses: bool) -> Result<GitSource> {
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
pub(super) fn kaniko_source(text: &str, method: &str) -> Result<GitSource> {
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

/// Takes off what stands behind a second `#`, where that is the hash of a commit: kaniko's way to say it, which says nothing
/// in BuildKit's URLs. Else the commit is empty.
pub(super) fn without_commit(text: &str) -> (&str, &str) {
    let is_hash =
        |commit: &str| commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.rsplit_once('#') {
        Some((rest, commit)) if rest.contains('#') && is_hash(commit) => (rest, commit),
        Some(_) | None => (text, ""),
    }
}

/// Asks for one commit, which need not be the end of the branch. Empty for what the source says.
pub(super) fn at_commit(source: GitSource, commit: &str) -> Result<GitSource> {
    if commit.is_empty() {
        return Ok(source);
    }
    Ok(GitSource {
        reference: source.clone().demand(commit)?.checksum,
        ..source
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
