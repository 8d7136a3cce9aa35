//! Writes a layer: tar entries go in one by one, a compressed blob with its digests comes out.
//!
//! tar bytes → diff ID (SHA-256) → compressor → digest (SHA-256) → file, all streamed: memory depends neither on the
//! size of a file nor on that of the layer. This module knows entries, not where changes come from; what order they
//! have and that parents precede children is the caller's part. The same entries give the same bytes on every run.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::digest::{DiffId, Digest, HashingWriter};
use super::layer_encoder::LayerEncoder;
use super::layer_entry::{EntryKind, LayerEntry};
use super::pax;
use crate::fs::{PathContext, PathError, Timestamp, go_on, stored_range};

pub use super::layer_encoder::Compression;

/// Contents are read this much at a time: a system call costs nothing beside hashing what it read.
const READ_BYTES: usize = 128 * 1024;

/// Files below this size are not searched for holes: the question would cost more than the zeros.
const SPARSE_MIN_BYTES: u64 = 1024 * 1024;

/// A layer ends with two zero blocks, and is not padded further.
const END_OF_ARCHIVE: [u8; 2 * pax::BLOCK_BYTES] = [0; 2 * pax::BLOCK_BYTES];

/// How a layer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerOptions {
    /// Compression of the blob.
    pub compression: Compression,
    /// Entries changed after this second of the Unix epoch get it as their time; `None` leaves all as they are.
    pub clamp_mtime: Option<i64>,
    /// Compressing threads beside the caller's own, at least 1. The bytes do not depend on it.
    pub threads: usize,
}

/// Why a layer cannot be written.
#[derive(Debug, Error)]
pub enum LayerError {
    /// An entry's path is not relative, or has `.`, `..`, empty components or a NUL byte.
    #[error("layer entry `{}` is not a plain relative path", path.display())]
    InvalidPath {
        /// The path as given.
        path: PathBuf,
    },
    /// A device number that a tar header has no room for.
    #[error("device number of `{}` does not fit a layer", path.display())]
    DeviceNumber {
        /// The entry's path.
        path: PathBuf,
    },
    /// A file has more or fewer bytes than it had when it was listed.
    #[error(
        "`{}` changed while it was read: {expected} bytes expected, {found}{} found",
        path.display(), if *.is_longer { " or more" } else { "" }
    )]
    SizeChanged {
        /// The entry's path.
        path: PathBuf,
        /// Size in bytes that the entry declares.
        expected: u64,
        /// Bytes that there were.
        found: u64,
        /// Whether reading stopped at more than was expected.
        is_longer: bool,
    },
    /// A file's contents cannot be read; the path is the entry's.
    #[error(transparent)]
    Read(PathError),
    /// The blob cannot be created, written or compressed.
    #[error(transparent)]
    Write(#[from] PathError),
}

/// Where the contents of an entry come from.
pub enum Content<'a> {
    /// There are none: every entry but a regular file, or an empty one.
    Empty,
    /// Bytes, from where the reader stands to its end.
    Reader(&'a mut dyn Read),
    /// An open file, from its start to its end. The holes of a large one are not read.
    File(&'a File),
}

/// A finished layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Size of the uncompressed tar in bytes.
    pub uncompressed_size: u64,
    /// Compression of the blob.
    pub compression: Compression,
    /// Where the blob is.
    pub path: PathBuf,
    /// Number of entries, whiteouts included. 0 for a step that changed nothing.
    pub entries: u64,
}

/// A layer that is being written. Dropped before [`finish`](Self::finish), it removes its file.
#[derive(Debug)]
pub struct LayerWriter {
    stream: HashingWriter<LayerEncoder>,
    blob: UnfinishedBlob,
    options: LayerOptions,
    entries: u64,
    buffer: Vec<u8>,
    halt: CancellationToken,
}

impl LayerWriter {
    /// Starts a layer in the file `path`, which is created or emptied.
    pub fn create(path: &Path, options: LayerOptions) -> Result<Self, LayerError> {
        let file = File::create(path).on("create", path)?;
        let blob = UnfinishedBlob {
            path: path.to_path_buf(),
            is_ours: true,
        };
        Self::start(file, blob, options)
    }

    /// Starts a layer in a file that the caller has opened, or a pipe, and looks after. `path` is for messages.
    pub fn onto(file: File, path: &Path, options: LayerOptions) -> Result<Self, LayerError> {
        let blob = UnfinishedBlob {
            path: path.to_path_buf(),
            is_ours: false,
        };
        Self::start(file, blob, options)
    }

    fn start(file: File, blob: UnfinishedBlob, options: LayerOptions) -> Result<Self, LayerError> {
        let path = blob.path();
        let encoder = LayerEncoder::new(file, options.compression, options.threads)
            .on("start compressing", path)?;
        Ok(Self {
            stream: HashingWriter::new(encoder),
            blob,
            options,
            entries: 0,
            buffer: Vec::new(),
            halt: CancellationToken::new(),
        })
    }

    /// Makes writing fail once the wish was made that it end.
    pub fn halted_by(mut self, halt: &CancellationToken) -> Self {
        self.halt = halt.clone();
        self
    }

    /// Appends an entry with its contents, which must be as long as the entry says.
    pub fn append(&mut self, entry: &LayerEntry, content: Content<'_>) -> Result<(), LayerError> {
        check_path(&entry.path)?;
        if let EntryKind::HardLink { target } = &entry.kind {
            check_path(target)?;
        }
        self.warn_of_unwritable_xattrs(entry);
        let header = match self.clamped(entry) {
            Some(clamped) => pax::encode(&clamped),
            None => pax::encode(entry),
        };
        let Some(header) = header else {
            let path = entry.path.clone();
            return Err(LayerError::DeviceNumber { path });
        };
        self.write(&header)?;
        let written = match content {
            Content::Empty => 0,
            Content::Reader(reader) => self.copy(entry, reader)?,
            Content::File(file) if entry.size() < SPARSE_MIN_BYTES => {
                self.copy(entry, &mut &*file)?
            }
            Content::File(file) => self.copy_sparse(entry, file)?,
        };
        if written != entry.size() {
            return Err(size_changed(entry, written));
        }
        self.pad(written)?;
        self.entries += 1;
        Ok(())
    }

    /// Appends the whiteout that deletes `path` from the layers below.
    pub fn append_whiteout(&mut self, path: &Path) -> Result<(), LayerError> {
        check_path(path)?;
        let Some(entry) = LayerEntry::whiteout(path) else {
            let path = path.to_path_buf();
            return Err(LayerError::InvalidPath { path });
        };
        self.append(&entry, Content::Empty)
    }

    /// Ends the layer. Without entries it is an empty tar: valid, and the same every time.
    pub fn finish(mut self) -> Result<Layer, LayerError> {
        self.write(&END_OF_ARCHIVE)?;
        let path = self.blob.path().to_path_buf();
        let (encoder, diff_id, uncompressed_size) = self.stream.finish();
        let (digest, size) = encoder.finish().on("write", &path)?;
        self.blob.keep();
        Ok(Layer {
            digest: digest.unwrap_or_else(|| diff_id.clone()),
            diff_id: DiffId::new(diff_id),
            size,
            uncompressed_size,
            compression: self.options.compression,
            path,
            entries: self.entries,
        })
    }

    /// Returns the entry with its time moved back to the limit; `None` where it needs no moving.
    fn clamped(&self, entry: &LayerEntry) -> Option<LayerEntry> {
        let limit = self.options.clamp_mtime?;
        (entry.mtime > Timestamp::from_seconds(limit)).then(|| LayerEntry {
            mtime: Timestamp::from_seconds(limit),
            ..entry.clone()
        })
    }

    fn warn_of_unwritable_xattrs(&self, entry: &LayerEntry) {
        for key in entry.xattrs.keys() {
            if !pax::is_writable_xattr(key.as_bytes()) {
                tracing::warn!(
                    path = %entry.path.display(), key = %key.display(),
                    "an extended attribute whose name has `=` cannot be kept in a layer"
                );
            }
        }
    }

    /// Copies all of `reader`, and stops with an error when it exceeds the entry's size.
    fn copy(&mut self, entry: &LayerEntry, reader: &mut dyn Read) -> Result<u64, LayerError> {
        let mut written = 0;
        loop {
            self.buffer.resize(READ_BYTES, 0);
            let count = match reader.read(&mut self.buffer) {
                Ok(0) => return Ok(written),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read_error(entry, error)),
            };
            written += count as u64;
            if written > entry.size() {
                return Err(size_changed(entry, written));
            }
            self.write_buffer(count)?;
        }
    }

    /// Copies what `file` stores and writes zeros for its holes without reading them.
    fn copy_sparse(&mut self, entry: &LayerEntry, file: &File) -> Result<u64, LayerError> {
        let size = entry.size();
        let found = file
            .metadata()
            .map_err(|error| read_error(entry, error))?
            .len();
        if found != size {
            return Err(size_changed(entry, found));
        }
        let mut position = 0;
        while position < size {
            let data = stored_range(file, position, &entry.path).map_err(LayerError::Read)?;
            let (start, end) = data.map_or((size, size), |(start, end)| (start, end.min(size)));
            self.write_zeros(start.min(size) - position)?;
            position = self.copy_range(entry, file, start.min(size), end)?;
        }
        // Whatever was appended meanwhile lies past the last range.
        let mut past = [0];
        let count = file.read_at(&mut past, size);
        Ok(size + count.map_err(|error| read_error(entry, error))? as u64)
    }

    /// Copies the bytes from `position` to `end` and returns `end`.
    fn copy_range(
        &mut self,
        entry: &LayerEntry,
        file: &File,
        mut position: u64,
        end: u64,
    ) -> Result<u64, LayerError> {
        while position < end {
            self.buffer.resize(READ_BYTES, 0);
            let wanted =
                usize::try_from(end - position).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            match file.read_at(&mut self.buffer[..wanted], position) {
                Ok(0) => return Err(size_changed(entry, position)),
                Ok(count) => {
                    self.write_buffer(count)?;
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(entry, error)),
            }
        }
        Ok(position)
    }

    fn write_buffer(&mut self, count: usize) -> Result<(), LayerError> {
        let stream = &mut self.stream;
        let written = go_on(&self.halt).and_then(|()| stream.write_all(&self.buffer[..count]));
        Ok(written.on("write", self.blob.path())?)
    }

    fn write_zeros(&mut self, count: u64) -> Result<(), LayerError> {
        let mut zeros = io::repeat(0).take(count);
        self.buffer.clear();
        self.buffer.resize(READ_BYTES, 0);
        while zeros.limit() > 0 {
            let piece =
                usize::try_from(zeros.limit()).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            self.write_buffer(piece)?;
            zeros.set_limit(zeros.limit() - piece as u64);
        }
        Ok(())
    }

    /// Fills the last block of contents with zeros.
    fn pad(&mut self, written: u64) -> Result<(), LayerError> {
        let block = pax::BLOCK_BYTES as u64;
        let missing = written.next_multiple_of(block) - written;
        if missing == 0 {
            return Ok(());
        }
        self.write_zeros(missing)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        Ok(self.stream.write_all(bytes).on("write", self.blob.path())?)
    }
}

/// The blob's file, removed when dropped if it is ours, unless it is kept.
#[derive(Debug)]
struct UnfinishedBlob {
    path: PathBuf,
    is_ours: bool,
}

impl UnfinishedBlob {
    fn path(&self) -> &Path {
        &self.path
    }

    fn keep(&mut self) {
        self.is_ours = false;
    }
}

impl Drop for UnfinishedBlob {
    fn drop(&mut self) {
        if self.is_ours {
            // Already failing, or abandoned: a file that stays is removed with the work directory.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Checks what a reader of the layer will rely on.
fn check_path(path: &Path) -> Result<(), LayerError> {
    let bytes = path.as_os_str().as_bytes();
    let mut components = path.components();
    let is_plain = !bytes.is_empty()
        && !bytes.contains(&0)
        && !bytes.ends_with(b"/")
        && components.all(|component| matches!(component, Component::Normal(_)));
    if is_plain {
        return Ok(());
    }
    let path = path.to_path_buf();
    Err(LayerError::InvalidPath { path })
}

fn read_error(entry: &LayerEntry, source: io::Error) -> LayerError {
    LayerError::Read(PathError::new("read", &entry.path, source))
}

fn size_changed(entry: &LayerEntry, found: u64) -> LayerError {
    LayerError::SizeChanged {
        path: entry.path.clone(),
        expected: entry.size(),
        found,
        is_longer: found > entry.size(),
    }
}

#[cfg(test)]
mod tests;
