//! Reading tar archives as a stream: what each entry is and the bytes it holds.
//!
//! This module knows headers, not files: nothing is created here and no name is judged. It reads what
//! Go's `archive/tar` reads, and disagrees with it nowhere that matters, because the other tools that
//! will read the same layers are written in Go: two readings of one archive are how a layer hides a
//! file. The `tar` crate's own reader is not used: it splits extended headers at line feeds that
//! binary attribute values may contain, reads them without a limit, and knows no PAX sparse files.
//! Only its header layout is.

use std::io::{self, BufRead};

use tar::Header;

use crate::fs::Timestamp;

mod entry;
mod error;
mod header;
mod number;
mod pax;
mod sparse;
#[cfg(test)]
pub(crate) mod test_archive;

pub use entry::{Entry, EntryKind};
pub use error::ArchiveError;
pub(in crate::image) use error::display;
pub use header::is_header;
use header::{TYPE_OFFSET, device_fields, field, has_valid_checksum, invalid_field, is_zero};
use header::{size_field, until_nul};
use pax::PaxRecords;
pub use sparse::Segment;
use sparse::SparseMap;

/// The unit of the format, in bytes.
pub const BLOCK_BYTES: usize = 512;

/// Largest extended header that is read, in bytes: as Go's `archive/tar` (`maxSpecialFileSize`).
const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;

/// Reads entry after entry.
pub struct ArchiveReader<R> {
    reader: R,
    /// Bytes taken from the reader so far.
    position: u64,
    /// Bytes of the current entry's contents that are still in the stream.
    remaining: u64,
    /// Zeros that follow the current entry's contents up to the next block, in bytes.
    padding: u64,
    has_ended: bool,
}

impl<R: BufRead> ArchiveReader<R> {
    /// Starts at the beginning of an archive. No bytes at all are an empty archive.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            position: 0,
            remaining: 0,
            padding: 0,
            has_ended: false,
        }
    }

    /// Gives back the stream, which stands where reading stopped.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// Goes to the next entry, past what is unread of the current one. `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extensions = Extensions::default();
        while let Some(block) = self.next_header()? {
            let header = Header::from_byte_slice(&block);
            let name = extensions.name(header);
            let stored = size_field(header, &name)?;
            match header.as_bytes()[TYPE_OFFSET] {
                b'x' => {
                    let bytes = self.read_extension(stored, &name)?;
                    extensions.pax = PaxRecords::parse(&bytes, &name)?;
                }
                // Image-spec has no use for global headers, and neither have the other builders:
                // what `git archive` writes there is a comment.
                b'g' => self.set_contents(stored, &name)?,
                b'L' => {
                    let bytes = self.read_extension(stored, &name)?;
                    extensions.long_name = Some(until_nul(&bytes).to_vec());
                }
                b'K' => {
                    let bytes = self.read_extension(stored, &name)?;
                    extensions.long_link = Some(until_nul(&bytes).to_vec());
                }
                _ => return self.entry(header, extensions, stored).map(Some),
            }
        }
        if extensions.is_empty() {
            Ok(None)
        } else {
            Err(ArchiveError::Truncated)
        }
    }

    /// Returns the next bytes of the current entry's contents, as many as are at hand; empty at their
    /// end. For a sparse file these are the segments' bytes, one after the other.
    pub fn contents(&mut self) -> Result<&[u8], ArchiveError> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        let available = fill(&mut self.reader)?;
        if available.is_empty() {
            return Err(ArchiveError::Truncated);
        }
        let count = available.len().min(clamp(self.remaining));
        Ok(&available[..count])
    }

    /// Marks the first `count` bytes that [`contents`](Self::contents) returned as read.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(clamp(self.remaining));
        self.reader.consume(count);
        self.remaining -= count as u64;
        self.position += count as u64;
    }

    fn entry(
        &mut self,
        header: &Header,
        extensions: Extensions,
        stored: u64,
    ) -> Result<Entry, ArchiveError> {
        let mut name = extensions.name(header);
        let link = extensions.link(header);
        let pax = extensions.pax;
        let mut type_byte = header.as_bytes()[TYPE_OFFSET];
        // Before POSIX there was no type for directories: as Go's reader.
        if type_byte == 0 && name.ends_with(b"/") {
            type_byte = b'5';
        }
        let kind = match type_byte {
            0 | b'0' | b'7' | b'S' => {
                let stored = pax.size.unwrap_or(stored);
                self.set_contents(stored, &name)?;
                if let Some(real_name) = &pax.sparse.name {
                    name.clone_from(real_name);
                }
                self.file(header, &pax, &name)?
            }
            // The rest has no contents whatever the size field says: as Go's reader (`isHeaderOnly`).
            b'1' => EntryKind::HardLink { target: link },
            b'2' => EntryKind::Symlink { target: link },
            b'3' => {
                let (major, minor) = device_fields(header, &name)?;
                EntryKind::CharDevice { major, minor }
            }
            b'4' => {
                let (major, minor) = device_fields(header, &name)?;
                EntryKind::BlockDevice { major, minor }
            }
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            type_byte => {
                let entry = display(&name);
                return Err(ArchiveError::UnsupportedType { entry, type_byte });
            }
        };
        let old = header.as_old();
        let mode = field(&old.mode, "mode", &name)?;
        let seconds = field(&old.mtime, "modification time", &name)?;
        Ok(Entry {
            kind,
            mode: (mode & 0o7777) as u32,
            uid: pax
                .uid
                .map_or_else(|| field(&old.uid, "owner", &name), Ok)?,
            gid: pax
                .gid
                .map_or_else(|| field(&old.gid, "group", &name), Ok)?,
            mtime: pax.mtime.unwrap_or(Timestamp::from_seconds(seconds)),
            xattrs: pax.xattrs,
            name,
        })
    }

    fn file(
        &mut self,
        header: &Header,
        pax: &PaxRecords,
        name: &[u8],
    ) -> Result<EntryKind, ArchiveError> {
        let stored = self.remaining;
        let map = if header.as_bytes()[TYPE_OFFSET] == b'S' {
            Some(SparseMap::from_gnu_header(self, header, name)?)
        } else {
            SparseMap::from_pax(self, &pax.sparse, name)?
        };
        let Some(map) = map else {
            return Ok(EntryKind::File {
                size: stored,
                segments: None,
            });
        };
        map.check(self.remaining, name)?;
        Ok(EntryKind::File {
            size: map.size,
            segments: Some(map.segments),
        })
    }

    /// Reads the next header. `None` at the end of the archive.
    fn next_header(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, ArchiveError> {
        self.skip_contents()?;
        if self.has_ended {
            return Ok(None);
        }
        let position = self.position;
        let Some(block) = self.read_block()? else {
            self.has_ended = true;
            return Ok(None);
        };
        if is_zero(&block) {
            self.has_ended = true;
            // Two blocks of zeros end an archive. The second may be missing, but nothing else may
            // stand there: as Go's reader, which would go on and see other files than we do.
            return match self.read_block()? {
                Some(second) if !is_zero(&second) => Err(ArchiveError::NotAHeader { position }),
                Some(_) | None => Ok(None),
            };
        }
        if !has_valid_checksum(&block) {
            return Err(ArchiveError::NotAHeader { position });
        }
        Ok(Some(block))
    }

    /// Reads one block. `None` where the stream ends before it.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, ArchiveError> {
        let mut block = [0; BLOCK_BYTES];
        let mut length = 0;
        while length < BLOCK_BYTES {
            let available = fill(&mut self.reader)?;
            if available.is_empty() {
                break;
            }
            let count = available.len().min(BLOCK_BYTES - length);
            block[length..length + count].copy_from_slice(&available[..count]);
            self.reader.consume(count);
            length += count;
        }
        self.position += length as u64;
        match length {
            0 => Ok(None),
            BLOCK_BYTES => Ok(Some(block)),
            _ => Err(ArchiveError::Truncated),
        }
    }

    fn set_contents(&mut self, size: u64, name: &[u8]) -> Result<(), ArchiveError> {
        // Larger than any file can be: sums of such sizes must not overflow.
        if size > i64::MAX as u64 - BLOCK_BYTES as u64 {
            return Err(invalid_field(name, "size"));
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK_BYTES as u64) - size;
        Ok(())
    }

    fn skip_contents(&mut self) -> Result<(), ArchiveError> {
        while self.remaining > 0 {
            let count = self.contents()?.len();
            self.consume(count);
        }
        self.remaining = self.padding;
        self.padding = 0;
        while self.remaining > 0 {
            let count = self.contents()?.len();
            self.consume(count);
        }
        Ok(())
    }

    fn read_extension(&mut self, size: u64, name: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        if size > EXTENSION_BYTES_MAX {
            let entry = display(name);
            return Err(ArchiveError::ExtensionTooLarge { entry, size });
        }
        self.set_contents(size, name)?;
        let mut bytes = Vec::new();
        loop {
            let contents = self.contents()?;
            if contents.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(contents);
            let count = contents.len();
            self.consume(count);
        }
    }
}

/// What the headers before an entry say of it.
#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: PaxRecords,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.long_name.is_none() && self.long_link.is_none() && self.pax == PaxRecords::default()
    }

    /// Where both name the entry, GNU's header wins over the PAX record: as Go's reader.
    fn name(&self, header: &Header) -> Vec<u8> {
        let longer = self.long_name.as_ref().or(self.pax.path.as_ref());
        longer.map_or_else(|| header.path_bytes().into_owned(), Clone::clone)
    }

    fn link(&self, header: &Header) -> Vec<u8> {
        let longer = self.long_link.as_ref().or(self.pax.link_path.as_ref());
        longer.map_or_else(
            || until_nul(&header.as_old().linkname).to_vec(),
            Clone::clone,
        )
    }
}

fn fill(reader: &mut impl BufRead) -> Result<&[u8], ArchiveError> {
    // Asked twice because the borrow of a first answer would last through the loop.
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(ArchiveError::Read(error));
        }
    }
    reader.fill_buf().map_err(ArchiveError::Read)
}

fn clamp(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
