//! Reading one blob as a stream that is checked on the way and taken up again where a connection broke.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use tokio::io::AsyncRead;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::io::StreamReader;
use tracing::debug;

use super::client::Registry;
use super::error::{Call, RegistryError};
use super::request::Request;
use super::response::Response;
use crate::http::retry::{Retries, with_retries};
use crate::image::Descriptor;
use crate::image::digest::DigestHasher;

/// After so much progress, in bytes, earlier failures are forgotten. Less would let a hostile registry feed us for ever, byte by byte.
const PROGRESS_THAT_COUNTS: u64 = 1024 * 1024;

/// A blob on its way.
///
/// What it gives out is not verified until its end: the last read fails if the blob is too short or has another digest than its
/// descriptor says, and a read fails at once if the blob is too long. Whoever acts on the content before the end must be able to
/// take that back. A reader occupies one of the registry's connections until it is dropped: opening more readers than there are
/// connections, and reading none of them, waits for ever.
#[derive(Debug)]
pub struct BlobReader {
    registry: Registry,
    request: Request,
    descriptor: Descriptor,
    hasher: Option<DigestHasher>,
    bytes_read: u64,
    bytes_at_last_failure: u64,
    retries: Retries,
    /// `None` between a broken connection and the next one.
    response: Option<Response>,
    _connection: Option<OwnedSemaphorePermit>,
}

impl BlobReader {
    pub(super) async fn open(
        registry: Registry,
        request: Request,
        descriptor: Descriptor,
    ) -> Result<Self, RegistryError> {
        let connection = registry.transport.connection().await;
        let policy = registry.transport.retry_policy();
        let response = with_retries(&policy, || async {
            registry
                .transport
                .send(&request)
                .await?
                .accept(&[StatusCode::OK])
                .await
        })
        .await?;
        Ok(Self {
            hasher: Some(DigestHasher::new(descriptor.digest.algorithm())),
            bytes_read: 0,
            bytes_at_last_failure: 0,
            retries: Retries::new(policy),
            response: Some(response),
            _connection: connection,
            registry,
            request,
            descriptor,
        })
    }

    /// Returns what is being read.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns the next piece. `None` at the end, which is reached only if size and digest are right.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let read = match &mut self.response {
                Some(response) => response.next_chunk().await,
                None => match self.reopen().await {
                    Ok(response) => {
                        self.response = Some(response);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match read {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => return self.take(chunk).map(Some),
                Ok(None) if self.bytes_read >= self.descriptor.size => return self.finish(),
                Ok(None) => self.recover(self.ended_early()).await?,
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// Returns the blob as a byte stream. Errors come out as [`io::Error`]s that hold the [`RegistryError`].
    pub fn into_async_read(self) -> impl AsyncRead + Send + Unpin {
        let chunks = stream::try_unfold(self, |mut reader| async {
            let chunk = reader.next_chunk().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, reader)))
        });
        StreamReader::new(Box::pin(chunks))
    }

    fn take(&mut self, chunk: Bytes) -> Result<Bytes, RegistryError> {
        self.bytes_read += chunk.len() as u64;
        if self.bytes_read > self.descriptor.size {
            return Err(self.size_mismatch());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        Ok(chunk)
    }

    fn finish(&mut self) -> Result<Option<Bytes>, RegistryError> {
        // Asked again after its end, the reader says again that it has ended.
        let Some(hasher) = self.hasher.take() else {
            return Ok(None);
        };
        let actual = hasher.finish();
        match actual == self.descriptor.digest {
            true => Ok(None),
            false => Err(RegistryError::DigestMismatch {
                call: self.call(),
                expected: self.descriptor.digest.clone(),
                actual,
            }),
        }
    }

    async fn recover(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.response = None;
        if self.bytes_read >= self.bytes_at_last_failure + PROGRESS_THAT_COUNTS {
            self.retries.reset();
            self.bytes_at_last_failure = self.bytes_read;
        }
        debug!(bytes_read = self.bytes_read, "download broken off");
        self.retries.wait_after(error).await
    }

    /// Asks for the rest. A server that sends all of it again is let, and what we have is thrown away.
    async fn reopen(&self) -> Result<Response, RegistryError> {
        let from = self.bytes_read;
        let mut request = self.request.clone();
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            request = request.header(RANGE, range);
        }
        let answer = self.registry.transport.send(&request).await?;
        let mut answer = answer
            .accept(&[StatusCode::OK, StatusCode::PARTIAL_CONTENT])
            .await?;
        if answer.status() == StatusCode::OK {
            skip(&mut answer, from).await?;
            return Ok(answer);
        }
        let range = answer.header(&CONTENT_RANGE).unwrap_or_default();
        match range
            .strip_prefix("bytes ")
            .is_some_and(|range| range.starts_with(&format!("{from}-")))
        {
            true => Ok(answer),
            false => Err(answer.protocol_error("it is another part of the blob than asked for")),
        }
    }

    fn ended_early(&self) -> RegistryError {
        RegistryError::Interrupted {
            call: self.call(),
            source: Box::new(self.size_mismatch()),
        }
    }

    fn size_mismatch(&self) -> RegistryError {
        RegistryError::SizeMismatch {
            call: self.call(),
            expected: self.descriptor.size,
            actual: self.bytes_read,
        }
    }

    fn call(&self) -> Box<Call> {
        Box::new(Call::new(&self.request.method, &self.request.url))
    }
}

/// Reads and drops the first `count` bytes. The piece in which they end is cut, so nothing behind them is lost.
async fn skip(response: &mut Response, count: u64) -> Result<(), RegistryError> {
    let mut left = count;
    while left > 0 {
        let Some(chunk) = response.next_chunk().await? else {
            return Err(response.protocol_error("the blob has become shorter"));
        };
        let length = chunk.len() as u64;
        if length > left {
            response.put_back(chunk.slice(left as usize..));
        }
        left = left.saturating_sub(length);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
