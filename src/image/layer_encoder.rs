//! The compressing half of a layer's stream: tar bytes in, a blob file and its digest out.
//! This module knows compressions, not tar.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::digest::{Digest, HashingWriter};
use super::media_type::LayerCompression;
use super::parallel_gzip::ParallelGzip;

/// A zstd frame refers back this far, whatever its level: what level 3 takes by itself, and little enough that any
/// decoder accepts it and that levels above keep within a builder's memory.
const ZSTD_WINDOW_LOG: u32 = 21;

/// Input compressed as one job by zstd's threads. Fixed, because where jobs end is part of the bytes; zstd's own
/// choice would be four windows, 8 MiB, and memory accordingly.
const ZSTD_JOB_BYTES: u32 = 2 * 1024 * 1024;

/// Small pieces are gathered before they are hashed and written to disk.
const OUTPUT_BUFFER_BYTES: usize = 128 * 1024;

/// How a layer's blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all: the digest is the diff ID's.
    None,
    /// One gzip member.
    Gzip {
        /// 0 to 9.
        level: u32,
    },
    /// One zstd frame.
    Zstd {
        /// 1 to 22.
        level: i32,
    },
}

impl Compression {
    /// The gzip level of layers unless another is asked for. Per core of a Zen 4, over 100 MB of Debian's /usr
    /// (benches/layer.rs, `gzip`, has the same levels): level 1 takes 218 MB/s for a ratio of 2.33, level 2 126 for 2.83,
    /// level 3 103 for 2.94, level 4 86 for 2.98, level 6 67 for 3.04. Level 3 is the last whose gain is worth its time
    /// in a build that waits, and beats the ratio of Go's level 1, which kaniko writes.
    pub const GZIP_LEVEL: u32 = 3;

    /// The zstd level of layers unless another is asked for: zstd's own default.
    pub const ZSTD_LEVEL: i32 = 3;

    /// Returns the compression without its level, as media types name it.
    pub fn family(self) -> LayerCompression {
        match self {
            Self::None => LayerCompression::None,
            Self::Gzip { .. } => LayerCompression::Gzip,
            Self::Zstd { .. } => LayerCompression::Zstd,
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip {
            level: Self::GZIP_LEVEL,
        }
    }
}

/// The blob's file. The hasher stands behind the buffer, so that it sees large pieces.
type Blob = BufWriter<HashingWriter<File>>;

/// Compresses onto a file and hashes what lands there.
pub(super) enum LayerEncoder {
    /// Not hashed again: the bytes are those of the diff ID.
    None {
        file: BufWriter<File>,
        size: u64,
    },
    Gzip(ParallelGzip<Blob>),
    Zstd(zstd::Encoder<'static, Blob>),
}

impl LayerEncoder {
    /// Starts a blob in `file`, compressed by `threads` threads.
    pub(super) fn new(file: File, compression: Compression, threads: usize) -> io::Result<Self> {
        match compression {
            Compression::None => Ok(Self::None {
                file: BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, file),
                size: 0,
            }),
            Compression::Gzip { level } => {
                Ok(Self::Gzip(ParallelGzip::new(blob(file), level, threads)))
            }
            Compression::Zstd { level } => zstd_encoder(file, level, threads).map(Self::Zstd),
        }
    }

    /// Ends the blob and returns its digest, `None` where it is that of the input, with its size in bytes.
    pub(super) fn finish(self) -> io::Result<(Option<Digest>, u64)> {
        let blob = match self {
            Self::None { mut file, size } => {
                file.flush()?;
                return Ok((None, size));
            }
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        let hashed = blob.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (_file, digest, size) = hashed.finish();
        Ok((Some(digest), size))
    }
}

fn blob(file: File) -> Blob {
    BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, HashingWriter::new(file))
}

fn zstd_encoder(
    file: File,
    level: i32,
    threads: usize,
) -> io::Result<zstd::Encoder<'static, Blob>> {
    let mut encoder = zstd::Encoder::new(blob(file), level)?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    // Never zero threads: without any, zstd cuts its input elsewhere and the bytes differ.
    encoder.multithread(u32::try_from(threads.max(1)).unwrap_or(u32::MAX))?;
    encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB_BYTES))?;
    Ok(encoder)
}

impl Write for LayerEncoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None { file, size } => {
                let accepted = file.write(bytes)?;
                *size += accepted as u64;
                Ok(accepted)
            }
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None { file, .. } => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

impl std::fmt::Debug for LayerEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None { .. } => "LayerEncoder(none)",
            Self::Gzip(_) => "LayerEncoder(gzip)",
            Self::Zstd(_) => "LayerEncoder(zstd)",
        })
    }
}
