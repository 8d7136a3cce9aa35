//! Asking steps to stop, from another thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

/// How long a step may take to end after SIGTERM. Kubernetes and GitLab kill the builder itself 30
/// seconds after asking it to stop: this leaves time to clean up.
const GRACE: Duration = Duration::from_secs(10);

/// A request to stop, shared by everybody who may ask and every step that must obey. Once made, it
/// stays: a step that starts later stops at once.
#[derive(Debug, Clone)]
pub struct Stop {
    event: Arc<OwnedFd>,
    grace: Duration,
}

/// The kernel has no descriptor left to wait with.
#[derive(Debug, thiserror::Error)]
#[error("cannot create an event descriptor")]
pub struct StopError(#[source] std::io::Error);

impl Stop {
    /// Makes a request that nobody has made yet.
    pub fn new() -> Result<Self, StopError> {
        Self::with_grace(GRACE)
    }

    /// As [`Self::new`], with the time a step has between SIGTERM and SIGKILL.
    pub fn with_grace(grace: Duration) -> Result<Self, StopError> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let event = rustix::event::eventfd(0, flags).map_err(|errno| StopError(errno.into()))?;
        Ok(Self {
            event: Arc::new(event),
            grace,
        })
    }

    /// Makes the request: every step that runs is sent SIGTERM, and SIGKILL after the grace.
    pub fn request(&self) {
        // The only way to fail is a counter near 2^64, which is a request as well.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// Says whether the request was made.
    pub fn is_requested(&self) -> bool {
        let mut fds = [PollFd::new(&self.event, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        matches!(rustix::event::poll(&mut fds, Some(&at_once)), Ok(1..))
    }

    /// Becomes readable, and stays so, when the request is made.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    pub(super) fn grace(&self) -> Duration {
        self.grace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_stays_and_is_seen_by_every_copy() {
        let stop = Stop::new().unwrap();
        let copy = stop.clone();
        assert!(!copy.is_requested());
        stop.request();
        stop.request();
        assert!(copy.is_requested() && stop.is_requested());
    }
}
