//! Decompression on a thread of its own, so that whoever takes the bytes works at the same time.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::{Compression, Decoder, DecompressError};
use crate::image::digest::{DiffId, Digest, DigestHasher};

/// One chunk that crosses to the reading thread, in bytes: large enough that the hand-over costs
/// nothing beside the decompression.
const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that may wait to be read. They are all that a layer ever holds in memory.
const CHUNKS_WAITING: usize = 4;

/// The decompressed bytes of a stream, made on another thread.
///
/// Dropping it ends that thread at its next chunk; a thread that waits for its source ends when the
/// source answers. When the end has been read, the source has been read to its end and dropped.
pub struct Decompressor {
    pieces: Receiver<Piece>,
    spent: Sender<Box<[u8]>>,
    chunk: Box<[u8]>,
    position: usize,
    length: usize,
    progress: Progress,
}

enum Piece {
    Bytes(Box<[u8]>, usize),
    Failed(io::Error),
    End(Option<Digest>),
}

enum Progress {
    Running,
    Failed,
    Ended(Option<Digest>),
}

impl Decompressor {
    /// Starts to decompress `reader` on a thread of its own.
    pub fn spawn<R>(reader: R, compression: Compression) -> Result<Self, DecompressError>
    where
        R: Read + Send + 'static,
    {
        Self::start(reader, compression, None)
    }

    /// Reads to the end and drops what is left: only then is the whole stream known to be sound.
    pub fn finish(mut self) -> Result<(), DecompressError> {
        self.drain().map(drop)
    }

    fn start<R>(
        reader: R,
        compression: Compression,
        hasher: Option<DigestHasher>,
    ) -> Result<Self, DecompressError>
    where
        R: Read + Send + 'static,
    {
        let (filled, pieces) = sync_channel(CHUNKS_WAITING);
        let (spent, recycled) = channel();
        std::thread::Builder::new()
            .name("decompress".to_owned())
            .spawn(move || {
                let end = match decompress(reader, compression, hasher, &filled, &recycled) {
                    Ok(digest) => Piece::End(digest),
                    Err(error) => Piece::Failed(error),
                };
                // Nobody listens any more where the other side was dropped: that is its right.
                let _ = filled.send(end);
            })
            .map_err(|source| DecompressError::Start {
                compression,
                source,
            })?;
        Ok(Self {
            pieces,
            spent,
            chunk: Box::default(),
            position: 0,
            length: 0,
            progress: Progress::Running,
        })
    }

    fn drain(&mut self) -> Result<Option<Digest>, DecompressError> {
        loop {
            let available = match self.fill_buf() {
                Ok(bytes) => bytes.len(),
                Err(error) => return Err(into_ours(error)),
            };
            if available == 0 {
                break;
            }
            self.consume(available);
        }
        match &mut self.progress {
            Progress::Ended(digest) => Ok(digest.take()),
            Progress::Running | Progress::Failed => Err(DecompressError::Stopped),
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        match self.progress {
            Progress::Running => {}
            Progress::Ended(_) => return Ok(()),
            Progress::Failed => return Err(io::Error::other(DecompressError::Stopped)),
        }
        let piece = self.pieces.recv();
        self.position = 0;
        self.length = 0;
        match piece {
            Ok(Piece::Bytes(bytes, length)) => {
                let old = std::mem::replace(&mut self.chunk, bytes);
                self.length = length;
                // The thread may have read everything and be gone.
                let _ = self.spent.send(old);
                Ok(())
            }
            Ok(Piece::End(digest)) => {
                self.progress = Progress::Ended(digest);
                Ok(())
            }
            Ok(Piece::Failed(error)) => {
                self.progress = Progress::Failed;
                Err(error)
            }
            Err(_) => {
                self.progress = Progress::Failed;
                Err(io::Error::other(DecompressError::Stopped))
            }
        }
    }
}

impl BufRead for Decompressor {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.length {
            self.next_chunk()?;
        }
        Ok(&self.chunk[self.position..self.length])
    }

    fn consume(&mut self, amount: usize) {
        self.position = self.length.min(self.position + amount);
    }
}

impl Read for Decompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// The decompressed tar of a layer, made and hashed on another thread.
pub struct LayerDecompressor(Decompressor);

impl LayerDecompressor {
    /// Starts to decompress and hash the layer `reader` on a thread of its own.
    pub fn spawn<R>(reader: R, compression: Compression) -> Result<Self, DecompressError>
    where
        R: Read + Send + 'static,
    {
        let hasher = Some(DigestHasher::default());
        Decompressor::start(reader, compression, hasher).map(Self)
    }

    /// Reads what is left and returns the digest of the whole tar, what follows its end included.
    pub fn finish(mut self) -> Result<DiffId, DecompressError> {
        let digest = self.0.drain()?;
        digest.map(DiffId::new).ok_or(DecompressError::Stopped)
    }
}

impl BufRead for LayerDecompressor {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl Read for LayerDecompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Runs on the decompressing thread. Ends early, without an error, when nobody takes the chunks.
fn decompress(
    reader: impl Read + Send,
    compression: Compression,
    mut hasher: Option<DigestHasher>,
    filled: &SyncSender<Piece>,
    recycled: &Receiver<Box<[u8]>>,
) -> io::Result<Option<Digest>> {
    let buffered = BufReader::with_capacity(CHUNK_BYTES, reader);
    let mut decoder = Decoder::new(buffered, compression).map_err(io::Error::other)?;
    loop {
        let mut chunk = match recycled.try_recv() {
            Ok(chunk) if chunk.len() == CHUNK_BYTES => chunk,
            Ok(_) | Err(_) => vec![0; CHUNK_BYTES].into_boxed_slice(),
        };
        let (length, error) = fill(&mut decoder, &mut chunk);
        if let Some(hasher) = &mut hasher {
            hasher.update(&chunk[..length]);
        }
        if length > 0 && filled.send(Piece::Bytes(chunk, length)).is_err() {
            return Ok(None);
        }
        if let Some(error) = error {
            return Err(error);
        }
        if length < CHUNK_BYTES {
            return Ok(hasher.map(DigestHasher::finish));
        }
    }
}

/// Fills `chunk` as far as the reader goes. Less than all of it means the end or the error.
fn fill(reader: &mut impl Read, chunk: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut length = 0;
    while length < chunk.len() {
        match reader.read(&mut chunk[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Some(error)),
        }
    }
    (length, None)
}

fn into_ours(error: io::Error) -> DecompressError {
    match error.downcast::<DecompressError>() {
        Ok(ours) => ours,
        Err(other) => DecompressError::Read(other),
    }
}
