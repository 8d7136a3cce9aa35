//! A build context that is an archive, unpacked while it is read: from a file, standard input or the network.
//!
//! What is read is hostile: `image::unpack` keeps every entry inside, and nothing but the disk bounds what it holds. How
//! far it came is told, so that an archive that fills a disk is seen to be one.

use std::cell::Cell;
use std::io::{self, BufRead, Cursor, Read};

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::fs::{PathError, Root, remove_tree};
use crate::image::decompress::{Compression, Decompressor};
use crate::image::unpack::{Form, UnpackOptions, unpack};
use crate::sandbox::Sandbox;

use super::add::begins_with_header;
use super::halt::Halt;
use super::remote_context::FetchedContext;

/// What is looked at to tell an archive from all else: more than the largest block of bzip2, which gives nothing before
/// it is whole.
const HEAD_BYTES: u64 = 1024 * 1024;

/// A stream whose beginning has been read.
pub(super) struct ArchiveStream<R> {
    head: Vec<u8>,
    rest: R,
}

impl<R: Read + Send + 'static> ArchiveStream<R> {
    /// Reads the beginning.
    pub(super) fn begin(mut rest: R) -> Result<Self> {
        let mut head = Vec::new();
        let mut start = rest.by_ref().take(HEAD_BYTES);
        start
            .read_to_end(&mut head)
            .context("cannot read the archive")?;
        Ok(Self { head, rest })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// Says whether it is a tar archive, whatever it is compressed with and called.
    pub(super) fn is_archive(&self) -> bool {
        begins_with_header(Cursor::new(&self.head))
    }

    /// Returns all of it, from the beginning.
    pub(super) fn into_reader(self) -> impl Read + Send + 'static {
        Cursor::new(self.head).chain(self.rest)
    }

    /// Unpacks it into a directory of its own. Its time is that of its newest file.
    pub(super) fn unpack(self, sandbox: &Sandbox, halt: &Halt) -> Result<FetchedContext> {
        if !self.is_archive() {
            bail!(
                "it is no tar archive, neither plain nor compressed with gzip, bzip2, xz or zstd"
            );
        }
        let target = sandbox.new_files_dir()?;
        let unpacked = unpack_all(self.into_reader(), &target, halt.token());
        if unpacked.is_err() {
            // It may have filled the disk, and may be tried again. What is left goes with the build's other files.
            let _ = empty(&target);
        }
        Ok(FetchedContext {
            told_time: unpacked?,
            root: target,
        })
    }
}

fn unpack_all(
    reader: impl Read + Send + 'static,
    target: &Root,
    stop: CancellationToken,
) -> Result<Option<i64>> {
    let (compression, reader) = Compression::detect(reader)?;
    let decompressor = Decompressor::spawn(reader, compression)?;
    let bytes = Cell::new(0);
    let mut tar = Counted {
        inner: decompressor,
        bytes: &bytes,
        stop,
    };
    let options = UnpackOptions {
        form: Form::Archive,
        owner: Some((0, 0)),
    };
    let failed = || {
        let (name, bytes) = (compression.name(), bytes.get());
        format!("cannot unpack the archive ({name}), after {bytes} bytes of tar")
    };
    let unpacked = unpack(&mut tar, target, &options).with_context(failed)?;
    tar.inner.finish().with_context(failed)?;
    info!(
        entries = unpacked.entries,
        bytes = unpacked.bytes,
        "unpacked the build context"
    );
    Ok(unpacked.newest_file)
}

fn empty(root: &Root) -> Result<(), PathError> {
    for name in root.dir().names()? {
        remove_tree(root.dir(), &name)?;
    }
    Ok(())
}

/// Counts what is taken, and ends when it is asked to.
struct Counted<'a, R> {
    inner: R,
    bytes: &'a Cell<u64>,
    stop: CancellationToken,
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.set(self.bytes.get() + amount as u64);
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
