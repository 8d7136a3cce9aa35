//! What a failure of reading comes down to, and trying again. This module knows errors, not what was read.

use std::io;

use super::super::Fetcher;
use super::super::error::RemoteError;
use super::connection::RequestError;
use super::error::{GitError, ServerSays};
use super::url::RepositoryUrl;
use crate::fs::PathError;
use crate::http::retry::Retries;

impl Fetcher {
    /// Tries again while that may help.
    pub(super) fn retrying<T>(
        &self,
        attempt: impl Fn() -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let mut retries = Retries::new(self.web.options.retry);
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => self.wait(retries.wait_after(error))?,
            }
        }
    }

    pub(super) fn request_broken(
        &self,
        repository: &RepositoryUrl,
        error: RequestError,
    ) -> RemoteError {
        match error {
            RequestError::Io(error) => self.broken(repository, error),
            RequestError::Remote(error) => error,
        }
    }

    /// Says why bytes of a repository could not be read: our files, the connection, or what came.
    pub(super) fn broken(&self, repository: &RepositoryUrl, error: io::Error) -> RemoteError {
        if self.stop.is_cancelled() {
            return RemoteError::Stopped;
        }
        let repository = repository.to_string();
        let error = match error.downcast::<PathError>() {
            Ok(error) => return error.into(),
            Err(error) => error,
        };
        let error = match error.downcast::<ServerSays>() {
            Ok(ServerSays(message)) => {
                return GitError::Refused {
                    repository,
                    message,
                }
                .into();
            }
            Err(error) => error,
        };
        // What zlib says of bytes that are none of its own.
        let is_malformed = matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        );
        match is_malformed {
            true => GitError::Protocol {
                repository,
                problem: error.to_string(),
            }
            .into(),
            false => GitError::Connection {
                repository,
                source: error,
            }
            .into(),
        }
    }
}
