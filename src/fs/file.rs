//! The contents of an open regular file: what is stored, and what is a hole.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::SeekFrom as Seeking;
use rustix::io::Errno;

use super::{PathContext, PathError};

/// Files below this size are not searched for holes: one more system call would cost more than the
/// zeros that it saves.
const SPARSE_MIN_BYTES: u64 = 1024 * 1024;

/// Copies the contents of `from` to the empty file `to`, keeping the holes of a sparse file.
pub(super) fn copy_contents(mut from: &File, mut to: &File, size: u64) -> io::Result<()> {
    if size < SPARSE_MIN_BYTES {
        io::copy(&mut from, &mut to)?;
        return Ok(());
    }
    let mut position = 0;
    while let Some((start, end)) = next_data(from, position)? {
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        let copied = io::copy(&mut io::Read::take(from, end - start), &mut to)?;
        if copied == 0 {
            break;
        }
        position = start + copied;
    }
    let length = rustix::fs::fstat(from)?.st_size;
    to.set_len(length.unsigned_abs())
}

/// Returns the next range of bytes of the file at or after `position` that is stored rather than a hole; `None` past
/// the last. The file's own position moves: read with `read_at`. `path` is for messages.
pub fn stored_range(
    file: &File,
    position: u64,
    path: &Path,
) -> Result<Option<(u64, u64)>, PathError> {
    next_data(file, position).on("find the holes of", path)
}

/// Returns the next range of bytes at or after `position` that is stored; `None` past the last.
fn next_data(file: &File, position: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(file, Seeking::Data(position)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let end = rustix::fs::seek(file, Seeking::Hole(start))?;
    Ok(Some((start, end)))
}
