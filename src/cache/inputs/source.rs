//! Where the files of a COPY, an ADD or a bind mount come from.

use std::ffi::OsString;

use url::Url;

use super::super::encoding::Encoder;
use super::super::key::CacheKey;
use super::{encode_digest, encode_name};
use crate::image::Digest;

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceInputs {
    /// Files that are there, by what they are: of the context, or of a stage or image once it has been built or fetched.
    Content {
        /// What the copy is called in a directory. Empty for a directory, whose contents are copied.
        name: OsString,
        /// From `context::digest`.
        digest: Digest,
    },
    /// Files of a stage or image that need not be there yet, by how they will come to be.
    Definition {
        /// Key of the stage's last step, or of the image.
        origin: CacheKey,
        /// The source as written, expanded.
        path: String,
        /// `--exclude`, in its order. Empty for none.
        exclude: Vec<String>,
    },
    /// A file whose text is in the Dockerfile.
    Inline {
        /// What the copy is called in a directory.
        name: String,
        /// The text, expanded.
        text: String,
    },
    /// A file or a repository from the network.
    Network {
        /// What the copy is called in a directory. Empty for a repository.
        name: OsString,
        /// What it is at present.
        identity: NetworkIdentity,
    },
}

/// What something in the network is at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkIdentity {
    /// Its bytes are known: by `--checksum`, or because they were fetched.
    Checksum(Digest),
    /// The server says when it changes.
    Validator {
        /// Where it is. User and password do not count.
        url: Url,
        /// `ETag`; empty if the server sends none.
        etag: String,
        /// `Last-Modified`, which becomes the file's time; empty if the server sends none.
        last_modified: String,
    },
    /// A commit of a git repository.
    Commit {
        /// Where it is. User and password do not count.
        url: Url,
        /// The commit's full hash.
        commit: String,
        /// Directory of the repository that is meant. Empty for all of it.
        subdirectory: String,
        /// What a kept `.git` says besides: the reference and the object that it is. `None` where it is not kept.
        git_dir: Option<String>,
        /// Whether submodules are fetched as well.
        submodules: bool,
        /// Whether files have the time of the commit.
        has_commit_times: bool,
    },
}

impl SourceInputs {
    /// Returns how a user calls it; nothing secret.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Content { name, .. } if name.is_empty() => "directory".to_owned(),
            Self::Content { name, .. } => name.to_string_lossy().into_owned(),
            Self::Definition { path, .. } => path.clone(),
            Self::Inline { name, .. } => format!("<<{name}"),
            Self::Network { name, identity } => match identity {
                NetworkIdentity::Checksum(_) => name.to_string_lossy().into_owned(),
                // A query may be a signature.
                NetworkIdentity::Validator { url, .. } | NetworkIdentity::Commit { url, .. } => {
                    without_query(url)
                }
            },
        }
    }

    pub(super) fn encode(&self, value: Encoder) -> Encoder {
        match self {
            Self::Content { name, digest } => {
                encode_digest(encode_name(value.text("content"), name), digest)
            }
            Self::Definition {
                origin,
                path,
                exclude,
            } => value
                .text("definition")
                .text(origin.as_str())
                .text(path)
                .list(exclude.iter(), |value, pattern| value.text(pattern)),
            Self::Inline { name, text } => value.text("inline").text(name).text(text),
            Self::Network { name, identity } => {
                identity.encode(encode_name(value.text("network"), name))
            }
        }
    }
}

impl NetworkIdentity {
    fn encode(&self, value: Encoder) -> Encoder {
        match self {
            Self::Checksum(digest) => encode_digest(value.text("checksum"), digest),
            Self::Validator {
                url,
                etag,
                last_modified,
            } => value
                .text("validator")
                .text(&without_credentials(url))
                .text(etag)
                .text(last_modified),
            Self::Commit {
                url,
                commit,
                subdirectory,
                git_dir,
                submodules,
                has_commit_times,
            } => value
                .text("commit")
                .text(&without_credentials(url))
                .text(commit)
                .text(subdirectory)
                .optional(git_dir.as_deref())
                .flag(*submodules)
                .flag(*has_commit_times),
        }
    }
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    if url.query().is_some() {
        url.set_query(Some(".."));
    }
    without_credentials(&url)
}

/// A token in a URL is another one in every job, and is a secret besides.
fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // These fail for URLs that cannot have a user, and then there is nothing to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
