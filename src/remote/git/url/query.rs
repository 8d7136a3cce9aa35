//! What query and fragment of a repository's URL say, and what contradicts itself in them (Dockerfile reference, "ADD").

use super::super::object::ObjectId;
use super::{GitSource, GitUrlError, RepositoryUrl};

/// Shortest beginning of a commit's hash that is taken for one: git's own default abbreviation.
const SHORTEST_HASH: usize = 7;

/// Longest hash: SHA-1 in hexadecimal digits.
const LONGEST_HASH: usize = 40;

/// What the query of a URL says.
#[derive(Default)]
pub(super) struct Query {
    reference: Option<String>,
    tag: Option<String>,
    branch: Option<String>,
    subdir: Option<String>,
    checksum: Option<String>,
    commit: Option<String>,
    keep_git_dir: Option<bool>,
    submodules: Option<bool>,
    has_commit_times: Option<bool>,
    by_commit: Option<bool>,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, GitUrlError> {
        let mut query = Self::default();
        for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let value = value.into_owned();
            let is_second = match key.as_ref() {
                "ref" => query.reference.replace(value).is_some(),
                "tag" => query.tag.replace(value).is_some(),
                "branch" => query.branch.replace(value).is_some(),
                "subdir" => query.subdir.replace(value).is_some(),
                "checksum" => query.checksum.replace(hash("checksum", &value)?).is_some(),
                "commit" => query.commit.replace(hash("commit", &value)?).is_some(),
                "keep-git-dir" => {
                    let value = boolean("keep-git-dir", &value)?;
                    query.keep_git_dir.replace(value).is_some()
                }
                "submodules" => {
                    let value = boolean("submodules", &value)?;
                    query.submodules.replace(value).is_some()
                }
                "fetch-by-commit" => {
                    let value = boolean("fetch-by-commit", &value)?;
                    query.by_commit.replace(value).is_some()
                }
                "mtime" => query.has_commit_times.replace(times(&value)?).is_some(),
                _ => return Err(GitUrlError::UnknownKey(key.into_owned())),
            };
            if is_second {
                return Err(GitUrlError::DuplicateKey(key.into_owned()));
            }
        }
        Ok(query)
    }

    /// `#REFERENCE[:SUBDIR]` says the same as two keys.
    pub(super) fn with_fragment(
        self,
        repository: RepositoryUrl,
        fragment: &str,
    ) -> Result<GitSource, GitUrlError> {
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let references = [
            ("#ref", given(Some(reference.to_owned()))),
            ("ref", given(self.reference)),
            ("tag", given(self.tag).map(|tag| format!("refs/tags/{tag}"))),
            (
                "branch",
                given(self.branch).map(|branch| format!("refs/heads/{branch}")),
            ),
        ];
        let subdirs = [
            ("#:subdir", given(Some(subdir.to_owned()))),
            ("subdir", given(self.subdir)),
        ];
        let checksums = [("checksum", self.checksum), ("commit", self.commit)];
        let source = GitSource {
            repository,
            reference: only(references)?,
            subdir: cleaned(&only(subdirs)?),
            checksum: only(checksums)?,
            keep_git_dir: self.keep_git_dir,
            submodules: self.submodules.unwrap_or(true),
            has_commit_times: self.has_commit_times,
            by_commit: self.by_commit.unwrap_or(false),
        };
        if source.by_commit && ObjectId::from_hex(&source.checksum).is_none() {
            return Err(GitUrlError::NoCommit);
        }
        Ok(source)
    }
}

/// Returns the one that is given; empty if none is.
fn only<const N: usize>(ways: [(&'static str, Option<String>); N]) -> Result<String, GitUrlError> {
    let mut given = ways
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let Some((first, value)) = given.next() else {
        return Ok(String::new());
    };
    match given.next() {
        Some((second, _)) => Err(GitUrlError::Conflict(first, second)),
        None => Ok(value),
    }
}

/// Reads the hash of a commit, or its beginning.
pub(super) fn hash(key: &'static str, value: &str) -> Result<String, GitUrlError> {
    let is_hash = (SHORTEST_HASH..=LONGEST_HASH).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_hash {
        true => Ok(value.to_ascii_lowercase()),
        false => Err(GitUrlError::BadValue {
            key,
            value: value.to_owned(),
            expected: "the hash of a commit, or at least 7 digits of it",
        }),
    }
}

/// A key alone says yes.
fn boolean(key: &'static str, value: &str) -> Result<bool, GitUrlError> {
    match value.to_ascii_lowercase().as_str() {
        "" | "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(GitUrlError::BadValue {
            key,
            value: value.to_owned(),
            expected: "`true` or `false`",
        }),
    }
}

fn times(value: &str) -> Result<bool, GitUrlError> {
    match value {
        "commit" => Ok(true),
        "" | "checkout" => Ok(false),
        _ => Err(GitUrlError::BadValue {
            key: "mtime",
            value: value.to_owned(),
            expected: "`checkout` or `commit`",
        }),
    }
}

/// Returns a path without empty elements, `.` and `..`, which stops at the repository.
fn cleaned(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}
