//! Writing a tar of plain files as a stream: what archives of images are made of. This module knows
//! names and bytes, not what they mean.
//!
//! The same files give the same bytes: all belong to root, with mode 0644 and the time 0.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};
use thiserror::Error;

use crate::fs::{PathContext, PathError};

/// Bytes copied at a time: larger gains nothing beside the system calls themselves.
const COPY_BUFFER_BYTES: usize = 256 * 1024;

/// What a header has room for.
const HEADER_NAME_BYTES: usize = 100;

/// Why a tar was not written.
#[derive(Debug, Error)]
pub enum TarStreamError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// The tar could not be written to where it goes.
    #[error("cannot write the image's tar")]
    Write(#[source] io::Error),
    /// A file was cut off while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// A tar that is being written.
pub(super) struct TarStream<W> {
    writer: W,
}

impl<W: Write> TarStream<W> {
    /// Begins a tar.
    pub(super) fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Appends a file whose contents are at hand.
    pub(super) fn append_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), TarStreamError> {
        let size = bytes.len() as u64;
        let mut append = || {
            write_header(&mut self.writer, name, size)?;
            self.writer.write_all(bytes)?;
            write_padding(&mut self.writer, size)
        };
        append().map_err(TarStreamError::Write)
    }

    /// Appends a file from one, which is never held in memory.
    pub(super) fn append_file(&mut self, name: &str, path: &Path) -> Result<(), TarStreamError> {
        let mut file = File::open(path).on("open", path)?;
        let size = file.metadata().on("stat", path)?.len();
        write_header(&mut self.writer, name, size).map_err(TarStreamError::Write)?;
        let copied = copy_at_most(&mut file, &mut self.writer, size, path)?;
        if copied != size {
            let path = path.to_path_buf();
            return Err(TarStreamError::Changed { path });
        }
        write_padding(&mut self.writer, size).map_err(TarStreamError::Write)
    }

    /// Ends the tar.
    pub(super) fn finish(mut self) -> Result<(), TarStreamError> {
        let end = [0; 1024];
        let written = self.writer.write_all(&end);
        let flushed = written.and_then(|()| self.writer.flush());
        flushed.map_err(TarStreamError::Write)
    }
}

/// Copies up to `size` bytes, telling an error of the file from one of the writer.
fn copy_at_most(
    file: &mut File,
    writer: &mut impl Write,
    size: u64,
    path: &Path,
) -> Result<u64, TarStreamError> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut copied = 0;
    while copied < size {
        let left = usize::try_from(size - copied).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = file.read(&mut buffer[..wanted]).on("read", path)?;
        if count == 0 {
            break;
        }
        let written = writer.write_all(&buffer[..count]);
        written.map_err(TarStreamError::Write)?;
        copied += count as u64;
    }
    Ok(copied)
}

/// Writes the header of a file. A name that it has no room for goes before it, in GNU's way.
fn write_header(writer: &mut impl Write, name: &str, size: u64) -> io::Result<()> {
    if name.len() <= HEADER_NAME_BYTES {
        return write_block(writer, EntryType::Regular, name, size);
    }
    let length = name.len() as u64 + 1;
    write_block(writer, EntryType::GNULongName, "././@LongLink", length)?;
    writer.write_all(name.as_bytes())?;
    writer.write_all(&[0])?;
    write_padding(writer, length)?;
    let end = name.floor_char_boundary(HEADER_NAME_BYTES);
    write_block(writer, EntryType::Regular, &name[..end], size)
}

fn write_block(writer: &mut impl Write, kind: EntryType, name: &str, size: u64) -> io::Result<()> {
    // GNU's header holds sizes from 8 GiB up, which those of POSIX do not.
    let mut header = Header::new_gnu();
    if kind != EntryType::Regular {
        header.set_entry_type(kind);
    }
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    writer.write_all(header.as_bytes())
}

fn write_padding(writer: &mut impl Write, size: u64) -> io::Result<()> {
    let zeros = [0; 512];
    let length = size.next_multiple_of(512) - size;
    writer.write_all(&zeros[..length as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_read_back() {
        let mut bytes = Vec::new();
        let mut stream = TarStream::new(&mut bytes);
        let names = [99, 100, 101, 141, 600].map(|length| "n".repeat(length));
        for name in &names {
            stream.append_bytes(name, name.as_bytes()).unwrap();
        }
        stream.finish().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut read = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(text, name);
            read.push(name);
        }
        assert_eq!(read, names);
    }
}
