//! What can go wrong with a git repository. This module shows no URL that has not been redacted.

use std::io;

use thiserror::Error;

use crate::http::retry::RetryAdvice;

/// Why files of a repository cannot be had.
#[derive(Debug, Error)]
pub enum GitError {
    /// The connection could not be made, or broke.
    #[error("cannot fetch from the git repository `{repository}`")]
    Connection {
        /// Which one.
        repository: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server said no.
    #[error("the git server of `{repository}` says: {message}")]
    Refused {
        /// Which one.
        repository: String,
        /// Its words.
        message: String,
    },
    /// What came makes no sense.
    #[error("unexpected answer from the git server of `{repository}`: {problem}")]
    Protocol {
        /// Which one.
        repository: String,
        /// What is wrong.
        problem: String,
    },
    /// A name that the repository does not have.
    #[error(
        "the git repository `{repository}` has no branch, tag or other reference `{reference}`"
    )]
    NoReference {
        /// Which one.
        repository: String,
        /// The name.
        reference: String,
    },
    /// A repository without any commit.
    #[error("the git repository `{repository}` is empty")]
    Empty {
        /// Which one.
        repository: String,
    },
    /// The commit is not the one that was asked for.
    #[error(
        "`{reference}` of the git repository `{repository}` is commit `{actual}` instead of `{expected}`"
    )]
    Checksum {
        /// Which one.
        repository: String,
        /// What was looked up.
        reference: String,
        /// What it must be, or begin with.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// A directory that the commit does not have.
    #[error("commit `{commit}` of the git repository `{repository}` has no directory `{subdir}`")]
    NoSubdir {
        /// Which one.
        repository: String,
        /// The commit.
        commit: String,
        /// The directory.
        subdir: String,
    },
    /// A name in a commit that must not become a file.
    #[error(
        "commit `{commit}` of the git repository `{repository}` has an entry that is refused: `{path}`: {problem}"
    )]
    HostileEntry {
        /// Which one.
        repository: String,
        /// The commit.
        commit: String,
        /// The entry.
        path: String,
        /// Why.
        problem: &'static str,
    },
    /// A submodule that cannot be fetched.
    #[error("cannot get the submodule `{path}` of the git repository `{repository}`: {problem}")]
    Submodule {
        /// The repository that it is part of.
        repository: String,
        /// Where it is.
        path: String,
        /// Why.
        problem: String,
    },
    /// No program speaks SSH here.
    #[error("cannot fetch from the git repository `{repository}`: there is no program `ssh` here")]
    NoSsh {
        /// Which one.
        repository: String,
    },
}

impl GitError {
    pub(in crate::remote) fn retry_advice(&self) -> RetryAdvice {
        match self {
            Self::Connection { .. } => RetryAdvice::Backoff,
            Self::Refused { .. }
            | Self::Protocol { .. }
            | Self::NoReference { .. }
            | Self::Empty { .. }
            | Self::Checksum { .. }
            | Self::NoSubdir { .. }
            | Self::HostileEntry { .. }
            | Self::Submodule { .. }
            | Self::NoSsh { .. } => RetryAdvice::Never,
        }
    }
}

/// What a server says in place of an answer.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct ServerSays(pub(super) String);

/// Makes the error of bytes that are not what git's formats say.
pub(super) fn malformed(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}
