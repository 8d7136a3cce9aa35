//! One operation that was probed and did not work, in words that a user can search for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sys::{self, Errno};

/// What was tried and how the kernel, or a program, answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The operation: "unshare(CLONE_NEWUSER)", "newuidmap".
    pub operation: String,
    /// The error number; 0 where a program failed and not a call.
    errno: i32,
    /// What a program said, on one line; empty for none.
    detail: String,
}

impl Failure {
    pub(super) fn new(operation: impl Into<String>, errno: Errno) -> Self {
        Self {
            operation: operation.into(),
            errno: errno.raw_os_error(),
            detail: String::new(),
        }
    }

    pub(super) fn from_io(operation: impl Into<String>, error: &std::io::Error) -> Self {
        Self {
            operation: operation.into(),
            errno: error.raw_os_error().unwrap_or(0),
            detail: match error.raw_os_error() {
                Some(_) => String::new(),
                None => error.to_string(),
            },
        }
    }

    pub(super) fn with_detail(operation: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            errno: 0,
            detail: detail.into(),
        }
    }

    /// Returns the error number, where a call failed.
    pub fn errno(&self) -> Option<Errno> {
        sys::errno_from(self.errno)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.operation)?;
        if let Some(errno) = self.errno() {
            write!(formatter, ": {}", sys::errno_name(errno))?;
        }
        if !self.detail.is_empty() {
            write!(formatter, ": {}", self.detail)?;
        }
        Ok(())
    }
}
