//! From the chunks of an archive to a directory.

use std::io::{self, BufReader, Read};

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::io::SyncIoBridge;

use super::archive::MountArchive;
use super::pack::CHUNK_MAX_BYTES;
use super::place::Chunks;
use super::{CacheMountError, CacheMounts};
use crate::cache::local_cache::{BlobBytes, HeldBlob};
use crate::fs::Root;
use crate::image::digest::HashingReader;
use crate::image::unpack::{Form, UnpackOptions, unpack};
use crate::image::{Descriptor, Digest};
use crate::registry::Repository;

/// Chunks that are fetched at the same time. They are held in memory until it is their turn.
const FETCHING: usize = 3;

/// Bytes between who fetches and who unpacks.
const PIPE_BYTES: usize = 256 * 1024;

impl CacheMounts {
    /// Unpacks an archive into an empty directory.
    pub(super) async fn unpack(
        &self,
        archive: &MountArchive,
        chunks: Chunks,
        directory: Root,
    ) -> Result<(), CacheMountError> {
        let expected = archive.tar.clone();
        match chunks {
            Chunks::Here(chunks) => {
                let unpacking = move || {
                    let chunks = InOrder {
                        chunks: &chunks,
                        open: None,
                    };
                    unpack_tar(chunks, &expected, &directory)
                };
                tokio::task::spawn_blocking(unpacking).await?
            }
            Chunks::Remote(repository) => {
                let (reader, writer) = tokio::io::duplex(PIPE_BYTES);
                let reader = SyncIoBridge::new(reader);
                let unpacking =
                    tokio::task::spawn_blocking(move || unpack_tar(reader, &expected, &directory));
                let fetched = fetch(&repository, &archive.chunks, writer).await;
                let unpacked = unpacking.await?;
                // Who unpacks stops where who fetches has stopped: that is the cause.
                fetched.and(unpacked)
            }
        }
    }
}

/// Reads chunks one after the other.
struct InOrder<'a> {
    /// Those that are not open yet.
    chunks: &'a [HeldBlob],
    open: Option<BlobBytes>,
}

impl Read for InOrder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(open) = &mut self.open {
                match open.read(buffer)? {
                    0 => self.open = None,
                    count => return Ok(count),
                }
            }
            let Some((next, others)) = self.chunks.split_first() else {
                return Ok(0);
            };
            self.open = Some(next.bytes()?);
            self.chunks = others;
        }
    }
}

/// Fetches chunks, and hands them on in order.
async fn fetch(
    repository: &Repository,
    chunks: &[Descriptor],
    mut writer: DuplexStream,
) -> Result<(), CacheMountError> {
    // A chunk that does not get smaller has a frame around it.
    let limit = 2 * CHUNK_MAX_BYTES as u64;
    let fetching = stream::iter(chunks.to_vec()).map(|chunk| {
        let repository = repository.clone();
        async move { repository.fetch_blob(&chunk, limit).await }
    });
    let mut fetching = fetching.buffered(FETCHING);
    while let Some(chunk) = fetching.next().await {
        if writer.write_all(&chunk?).await.is_err() {
            // Who unpacks has stopped, and says why.
            return Ok(());
        }
    }
    Ok(())
}

fn unpack_tar(
    compressed: impl Read,
    expected: &Digest,
    directory: &Root,
) -> Result<(), CacheMountError> {
    // Reads frame after frame.
    let tar = zstd::stream::Decoder::new(compressed).map_err(CacheMountError::Read)?;
    let mut tar = BufReader::new(HashingReader::new(tar));
    let options = UnpackOptions {
        form: Form::Archive,
        owner: None,
    };
    unpack(&mut tar, directory, &options)?;
    io::copy(&mut tar, &mut io::sink()).map_err(CacheMountError::Read)?;
    let (_, found, _) = tar.into_inner().finish();
    match found == *expected {
        true => Ok(()),
        false => Err(CacheMountError::Mismatch {
            expected: expected.clone(),
            found,
        }),
    }
}
