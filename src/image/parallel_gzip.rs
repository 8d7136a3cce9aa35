//! A gzip stream compressed by several threads. This module knows bytes, not what they mean.
//!
//! The input is cut into blocks of a fixed size; each is compressed by itself, with the 32 KiB before it as
//! dictionary, and ends on a byte boundary, so that the pieces joined are one ordinary gzip member. The bytes depend
//! on the input and the level only: neither on the number of threads nor on how the input was handed over.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flate2::{Compress, Crc, FlushCompress, Status};

/// Input compressed as one piece. At level 4 over 100 MB of Debian's /usr, pieces of 64 KiB to 1 MiB gave the same size
/// within 0.2 % and larger ones up to 7 % more speed per core, but a layer needs several to occupy all threads, and
/// memory grows with them.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// How far back deflate can refer (RFC 1951, section 2).
const WINDOW_BYTES: usize = 32 * 1024;

/// Blocks handed to each thread ahead of time: one in work, one waiting, one done.
const BLOCKS_PER_THREAD: usize = 3;

/// A writer that compresses what it is given onto another writer.
#[derive(Debug)]
pub struct ParallelGzip<W: Write> {
    output: W,
    level: u32,
    threads: usize,
    /// Empty until the input exceeds one block: most layers of a build are small.
    workers: Vec<Worker>,
    /// What was written since the last whole block.
    block: Vec<u8>,
    /// The end of the block before.
    dictionary: Vec<u8>,
    checksum: Crc,
    blocks_sent: usize,
    blocks_received: usize,
    has_header: bool,
}

impl<W: Write> ParallelGzip<W> {
    /// Starts a gzip member on `output`. `level` is 0 to 9, `threads` at least 1; larger and smaller values are
    /// brought into that range. Threads are started when the input exceeds one block.
    pub fn new(output: W, level: u32, threads: usize) -> Self {
        Self {
            output,
            level: level.min(9),
            threads: threads.max(1),
            workers: Vec::new(),
            block: Vec::new(),
            dictionary: Vec::new(),
            checksum: Crc::new(),
            blocks_sent: 0,
            blocks_received: 0,
            has_header: false,
        }
    }

    /// Compresses what is left, ends the member and gives the output back, unflushed.
    pub fn finish(mut self) -> io::Result<W> {
        while self.blocks_received < self.blocks_sent {
            self.receive()?;
        }
        let last = std::mem::take(&mut self.block);
        self.checksum.update(&last);
        let mut compressed = Vec::new();
        let flush = FlushCompress::Finish;
        compress(&last, &self.dictionary, self.level, flush, &mut compressed)?;
        self.write_header()?;
        self.output.write_all(&compressed)?;
        // RFC 1952, section 2.3.1: CRC32 and the input's size modulo 2^32.
        self.output.write_all(&self.checksum.sum().to_le_bytes())?;
        self.output
            .write_all(&self.checksum.amount().to_le_bytes())?;
        Ok(self.output)
    }

    /// Hands the full block to the next thread. Threads take turns, so that pieces come back in order.
    fn send(&mut self) -> io::Result<()> {
        if self.workers.is_empty() {
            for _ in 0..self.threads {
                self.workers.push(Worker::start(self.level)?);
            }
        }
        if self.blocks_sent - self.blocks_received == self.workers.len() * BLOCKS_PER_THREAD {
            self.receive()?;
        }
        self.checksum.update(&self.block);
        let worker = self.blocks_sent % self.workers.len();
        let spare = self.workers[worker].spare.pop().unwrap_or_default();
        let mut input = std::mem::replace(&mut self.block, spare.input);
        self.block.clear();
        let tail = input[input.len() - WINDOW_BYTES..].to_vec();
        let job = Piece {
            dictionary: std::mem::replace(&mut self.dictionary, tail),
            input: std::mem::take(&mut input),
            compressed: spare.compressed,
        };
        self.workers[worker].send(job)?;
        self.blocks_sent += 1;
        Ok(())
    }

    /// Waits for the oldest piece and writes it.
    fn receive(&mut self) -> io::Result<()> {
        let worker = self.blocks_received % self.workers.len();
        let piece = self.workers[worker].receive()?;
        self.write_header()?;
        match &piece.compressed {
            Compressed::Own(bytes) => self.output.write_all(bytes)?,
            Compressed::Zeros(bytes) => self.output.write_all(bytes)?,
        }
        self.workers[worker].spare.push(piece);
        self.blocks_received += 1;
        Ok(())
    }

    /// Writes the member's header unless it is there: no name, no time, "unknown" system, so that nothing but the
    /// input is in the bytes; the extra flags are those that zlib and Go set.
    fn write_header(&mut self) -> io::Result<()> {
        if self.has_header {
            return Ok(());
        }
        self.has_header = true;
        let extra_flags = match self.level {
            9 => 2,
            1 => 4,
            _ => 0,
        };
        self.output
            .write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra_flags, 255])
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK_BYTES {
            self.send()?;
        }
        let accepted = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..accepted]);
        Ok(accepted)
    }

    /// Does nothing: where blocks end is part of the bytes, so only `finish` writes the rest out.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One block on its way through a thread; its buffers travel back for the next.
#[derive(Debug, Default)]
struct Piece {
    dictionary: Vec<u8>,
    input: Vec<u8>,
    compressed: Compressed,
}

/// What a block became.
#[derive(Debug)]
enum Compressed {
    Own(Vec<u8>),
    /// A block of zeros after zeros is always the same piece: the holes of a sparse file are compressed once.
    Zeros(Arc<[u8]>),
}

impl Default for Compressed {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

/// A compressing thread. It ends when its sender is dropped.
#[derive(Debug)]
struct Worker {
    jobs: Option<SyncSender<Piece>>,
    done: Receiver<io::Result<Piece>>,
    thread: Option<JoinHandle<()>>,
    spare: Vec<Piece>,
}

impl Worker {
    fn start(level: u32) -> io::Result<Self> {
        let (jobs, inbox) = sync_channel::<Piece>(BLOCKS_PER_THREAD);
        let (outbox, done) = sync_channel(BLOCKS_PER_THREAD);
        let thread = std::thread::Builder::new()
            .name("gzip".to_owned())
            .spawn(move || {
                let mut zeros = None;
                while let Ok(piece) = inbox.recv() {
                    if outbox
                        .send(compress_piece(piece, level, &mut zeros))
                        .is_err()
                    {
                        return;
                    }
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            done,
            thread: Some(thread),
            spare: Vec::new(),
        })
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(piece).map_err(|_| stopped())
    }

    fn receive(&self) -> io::Result<Piece> {
        self.done.recv().map_err(|_| stopped())?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported as a stopped thread where its result was awaited.
            let _ = thread.join();
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("a compressing thread stopped")
}

fn compress_piece(
    mut piece: Piece,
    level: u32,
    zeros: &mut Option<Arc<[u8]>>,
) -> io::Result<Piece> {
    let is_zeros = piece.dictionary.len() == WINDOW_BYTES
        && is_zero(&piece.dictionary)
        && is_zero(&piece.input);
    if is_zeros && let Some(zeros) = zeros {
        piece.compressed = Compressed::Zeros(Arc::clone(zeros));
        return Ok(piece);
    }
    let mut compressed = match std::mem::take(&mut piece.compressed) {
        Compressed::Own(buffer) => buffer,
        Compressed::Zeros(_) => Vec::new(),
    };
    compressed.clear();
    let flush = FlushCompress::Sync;
    compress(
        &piece.input,
        &piece.dictionary,
        level,
        flush,
        &mut compressed,
    )?;
    if is_zeros {
        *zeros = Some(Arc::from(compressed.as_slice()));
    }
    piece.compressed = Compressed::Own(compressed);
    Ok(piece)
}

fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<64>();
    chunks.iter().all(|chunk| *chunk == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}

/// Appends `input` as raw deflate to `output`.
///
/// The compressor is new for each block: one that was reset instead gave different bytes on different runs, though
/// each of them decompressed to the input.
fn compress(
    input: &[u8],
    dictionary: &[u8],
    level: u32,
    flush: FlushCompress,
    output: &mut Vec<u8>,
) -> io::Result<()> {
    let mut stream = Compress::new(flate2::Compression::new(level), false);
    if !dictionary.is_empty() {
        stream
            .set_dictionary(dictionary)
            .map_err(io::Error::other)?;
    }
    loop {
        // Stored blocks, the worst case, are hardly longer than the input; a flush needs a few bytes more.
        output.reserve(input.len() / 2 + 4096);
        let taken = usize::try_from(stream.total_in()).map_err(io::Error::other)?;
        let status = stream
            .compress_vec(&input[taken..], output, flush)
            .map_err(io::Error::other)?;
        let has_room = output.len() < output.capacity();
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // A flush is complete when it leaves room in the output (zlib.h, `deflate`).
            _ => has_room && stream.total_in() == input.len() as u64,
        };
        if is_done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
