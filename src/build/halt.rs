//! Asking everything that a build does to end: commands, downloads, layers being written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(super) use crate::fs::Halted;
use crate::fs::Halting;
use crate::sandbox::Stop;

/// A request to end, shared by everybody who may ask and all that must obey. Once made, it stays.
#[derive(Debug, Clone)]
pub struct Halt {
    stop: Stop,
    token: CancellationToken,
}

impl Halt {
    /// Makes a request that nobody has made yet; `stop` ends commands.
    pub fn new(stop: Stop) -> Self {
        Self {
            stop,
            token: CancellationToken::new(),
        }
    }

    /// Makes the request.
    pub fn request(&self) {
        self.token.cancel();
        self.stop.request();
    }

    /// Says whether the request was made.
    pub(super) fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns what downloads and exports listen to.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Returns what commands listen to.
    pub(super) fn of_commands(&self) -> &Stop {
        &self.stop
    }

    /// Waits for `work`, unless the request comes first.
    pub(super) async fn or_halt<T>(&self, work: impl Future<Output = T>) -> Result<T, Halted> {
        tokio::select! {
            done = work => Ok(done),
            () = self.token.cancelled() => Err(Halted),
        }
    }

    /// Makes reading fail once the request is made.
    pub(super) fn reader<R>(&self, inner: R) -> HaltingReader<R> {
        HaltingReader {
            inner,
            halted: Box::pin(self.token.clone().cancelled_owned()),
        }
    }

    /// As [`Self::reader`], for what is read without waiting.
    pub(super) fn file<R>(&self, inner: R) -> Halting<R> {
        Halting::new(inner, &self.token)
    }
}

/// A reader that fails once the build is asked to end.
pub(super) struct HaltingReader<R> {
    inner: R,
    halted: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for HaltingReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.halted.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::other(Halted)));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_request_ends_what_reads_and_what_waits() {
        let halt = Halt::new(Stop::new().unwrap());
        let (_silent, reader) = tokio::io::duplex(1);
        let mut reader = halt.reader(reader);
        let asker = halt.clone();
        tokio::spawn(async move { asker.request() });
        assert!(reader.read_u8().await.is_err());
        assert_eq!(
            halt.or_halt(std::future::pending::<()>()).await,
            Err(Halted)
        );
        assert!(halt.is_requested() && halt.of_commands().is_requested());
    }
}
