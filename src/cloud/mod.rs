//! Who a job is at a cloud: keys and tokens, from what its environment has, from the files of the vendors' tools, and from
//! the servers of its machine.
//!
//! Registries and object stores are opened with them; this room must not know what opens what, and reads no environment:
//! options are filled by the caller. Files are read when they are needed, because what runs the job replaces them.

pub mod aws;
pub mod exchange;
pub mod google;
mod program;

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

pub use aws::AwsOptions;
pub use exchange::{CloudError, CloudHttp};
pub use google::GoogleOptions;
pub use program::AskedProgram;

/// What a job's environment has for the clouds whose stores and registries ask for the same.
#[derive(Clone, Debug, Default)]
pub struct CloudIdentity {
    /// Amazon.
    pub aws: AwsOptions,
    /// Google.
    pub google: GoogleOptions,
}

/// Why there are no keys and no token.
#[derive(Debug, Error)]
pub enum Failure {
    /// Nothing is configured. Says what was looked for.
    #[error("{0}")]
    NotConfigured(String),
    /// What is configured does not work.
    #[error(transparent)]
    Failed(#[from] CloudError),
}

/// Returns until when to use what lives so long: what is used last must still be good when it arrives.
pub fn use_until(lifetime: Duration) -> Instant {
    let margin = (lifetime / 10).min(Duration::from_secs(300));
    Instant::now() + (lifetime - margin)
}
