//! What a server sends, read on a thread that may block. This module knows waiting and stopping, not what is read.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Bytes that arrive. Reading fails if none do for too long, or once somebody asks for an end.
pub(super) struct Stream {
    inner: Pin<Box<dyn AsyncRead + Send>>,
    runtime: Handle,
    stop: CancellationToken,
    idle: Duration,
}

impl Stream {
    pub(super) fn new(
        inner: impl AsyncRead + Send + 'static,
        runtime: Handle,
        stop: CancellationToken,
        idle: Duration,
    ) -> Self {
        Self {
            inner: Box::pin(inner),
            runtime,
            stop,
            idle,
        }
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = &mut self.inner;
        let (idle, stop) = (self.idle, &self.stop);
        self.runtime.block_on(async move {
            tokio::select! {
                read = tokio::time::timeout(idle, inner.read(buffer)) => {
                    read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                }
                () = stop.cancelled() => Err(io::Error::other("stopped")),
            }
        })
    }
}
