//! Decompression of layers and archives as a stream. This module knows compressed bytes, not what is
//! in them and not where they come from.

use std::io::{self, BufRead, Read};

use thiserror::Error;

use super::media_type::LayerCompression;

mod threaded;

pub use threaded::{Decompressor, LayerDecompressor};

/// How many bytes of a stream tell how it is compressed.
pub const HEAD_BYTES: usize = 6;

/// Memory that an xz stream may ask for, in bytes: `xz -9` needs 65 MiB, and what asks for more than
/// four times that was made to hurt.
const XZ_MEMORY_MAX: u64 = 256 * 1024 * 1024;

/// Window that a zstd stream may ask for, as a power of two: 128 MiB, the largest that the `zstd`
/// program makes without being asked for `--long`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
    /// One or more bzip2 streams.
    Bzip2,
    /// One or more xz streams.
    Xz,
}

impl Compression {
    /// Tells the compression from the first [`HEAD_BYTES`] of a stream, never from a name. What has
    /// none of the known marks, a shorter stream too, counts as not compressed.
    pub fn of_head(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // RFC 8878, 3.1.2: a stream may begin with a skippable frame.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Self::Xz,
            _ => Self::None,
        }
    }

    /// Reads the first bytes of `reader` and tells the compression of the whole, which is returned
    /// with nothing taken away.
    pub fn detect<R: Read>(
        mut reader: R,
    ) -> Result<(Self, impl BufRead + use<R>), DecompressError> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let mut start = reader.by_ref().take(HEAD_BYTES as u64);
        start
            .read_to_end(&mut head)
            .map_err(DecompressError::Read)?;
        let compression = Self::of_head(&head);
        let whole = io::Cursor::new(head).chain(reader);
        Ok((compression, io::BufReader::new(whole)))
    }

    /// Returns the name as people write it; "plain" for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

impl From<LayerCompression> for Compression {
    fn from(declared: LayerCompression) -> Self {
        match declared {
            LayerCompression::None => Self::None,
            LayerCompression::Gzip => Self::Gzip,
            LayerCompression::Zstd => Self::Zstd,
        }
    }
}

/// Why a stream could not be decompressed. `Read` implementations of this module carry it inside
/// their [`io::Error`].
#[derive(Debug, Error)]
pub enum DecompressError {
    /// The compressed bytes could not be had.
    #[error("cannot read the compressed data")]
    Read(#[source] io::Error),
    /// The bytes are not what their compression says, or end too early.
    #[error("the {} data is damaged", compression.name())]
    Damaged {
        /// What the stream was read as.
        compression: Compression,
        /// What the decoder says.
        #[source]
        source: io::Error,
    },
    /// The decoder could not be set up.
    #[error("cannot start to decompress {}", compression.name())]
    Start {
        /// What the stream was to be read as.
        compression: Compression,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The thread that decompresses has ended without a word.
    #[error("the decompression stopped unexpectedly")]
    Stopped,
}

/// Decompresses while it is read. What is read is held in memory by the decoder's window only.
pub struct Decoder<'a> {
    inner: Box<dyn Read + Send + 'a>,
    compression: Compression,
}

impl<'a> Decoder<'a> {
    /// Decompresses `reader`, all members, frames or streams of it up to its end.
    pub fn new(
        reader: impl BufRead + Send + 'a,
        compression: Compression,
    ) -> Result<Self, DecompressError> {
        let source = Source(reader);
        let start = |source| DecompressError::Start {
            compression,
            source,
        };
        let inner: Box<dyn Read + Send + 'a> = match compression {
            Compression::None => Box::new(source),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(source).map_err(start)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(start)?;
                Box::new(decoder)
            }
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
            Compression::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, flags)
                    .map_err(|error| start(error.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
        };
        Ok(Self { inner, compression })
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let error = match self.inner.read(buffer) {
            Ok(count) => return Ok(count),
            Err(error) => error,
        };
        let is_ours = error.get_ref().is_some_and(|e| e.is::<DecompressError>());
        if is_ours || error.kind() == io::ErrorKind::Interrupted {
            return Err(error);
        }
        let compression = self.compression;
        Err(io::Error::new(
            error.kind(),
            DecompressError::Damaged {
                compression,
                source: error,
            },
        ))
    }
}

/// Marks the errors of the underlying reader, so that they are told from damaged data.
struct Source<R>(R);

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(mark)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf().map_err(mark)
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

fn mark(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    io::Error::new(error.kind(), DecompressError::Read(error))
}

#[cfg(test)]
mod tests;
