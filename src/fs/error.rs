//! The error of one failed file operation: what was tried, on which path, and why it failed.

use std::path::{Path, PathBuf};

/// A file operation that failed, with the path it was tried on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct PathError {
    /// What was tried, as a verb phrase that reads after "cannot": "read", "create directory".
    pub action: &'static str,
    /// The path as the user knows it.
    pub path: PathBuf,
    /// The system's answer.
    #[source]
    pub source: std::io::Error,
}

impl PathError {
    /// Makes the error of `action` on `path`.
    pub fn new(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self {
            action,
            path: path.into(),
            source: source.into(),
        }
    }

    /// Returns the kind of the system's answer.
    pub fn kind(&self) -> std::io::ErrorKind {
        self.source.kind()
    }
}

/// Adds the action and the path to a bare system error.
pub trait PathContext<T> {
    /// Turns an error into a [`PathError`] of `action` on `path`.
    fn on(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, PathError>;
}

impl<T, E: Into<std::io::Error>> PathContext<T> for Result<T, E> {
    fn on(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, PathError> {
        self.map_err(|source| PathError::new(action, path.as_ref(), source))
    }
}
