//! Files from elsewhere: what `ADD` and build contexts fetch from HTTP servers, git repositories and object stores.
//!
//! A [`Fetcher`] first says what something is at present, which costs one request, and then fetches it:
//!
//! ```text
//! HttpSource ──version──▶ Version (ETag, Last-Modified)   ──download──▶ a file, and the digest of its bytes
//! GitSource  ──resolve──▶ Commit                          ──checkout──▶ a directory
//! RemoteFile ──stream───▶ Incoming: the bytes of a file on an HTTP server or in an object store, as they arrive
//! ```
//!
//! What a server sends is hostile: nothing is written outside of the directory that was given, no program of a
//! repository is run, nothing that it configures is heeded, and a secret goes to the host that it is for.
//!
//! This room knows no Dockerfile and no stage; it reads neither environment nor arguments, and prints nothing.

pub mod git;

mod credentials;
mod download;
mod error;
mod incoming;
mod object;
mod options;
mod partial;
mod percent;
mod received;
mod rest;
mod stream;
mod web;

use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::web::Web;
use crate::http::Call;

pub use credentials::Credentials;
pub use download::{Downloaded, HttpSource, Version};
pub use error::RemoteError;
pub use git::{Commit, GitSource, GitUrlError};
pub use incoming::{Incoming, RemoteFile};
pub use object::{ObjectError, ObjectSource, Opener, StoreVariables};
pub use options::RemoteOptions;

/// Fetches files and repositories. Its blocking functions are for threads that may block.
#[derive(Debug)]
pub struct Fetcher {
    web: Arc<Web>,
    credentials: Credentials,
    runtime: Handle,
    stop: CancellationToken,
}

impl Fetcher {
    /// Takes the user's decisions; asks nobody yet. Must be called in the runtime. `stop` ends everything.
    pub fn new(options: RemoteOptions, credentials: Credentials, stop: CancellationToken) -> Self {
        Self {
            web: Arc::new(Web::new(options)),
            credentials,
            runtime: Handle::current(),
            stop,
        }
    }

    /// Waits for an answer on a thread that may block.
    fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                () = self.stop.cancelled() => Err(RemoteError::Stopped),
            }
        })
    }

    /// Says why reading broke off.
    fn interrupted(&self, call: Box<Call>, error: io::Error) -> RemoteError {
        match error.kind() {
            _ if self.stop.is_cancelled() => RemoteError::Stopped,
            io::ErrorKind::TimedOut => RemoteError::Stalled {
                call,
                after: self.web.options.timeouts.idle,
            },
            _ => RemoteError::Interrupted {
                call,
                source: Box::new(error),
            },
        }
    }
}
