//! An open regular file: its contents and its attributes, set through the descriptor.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, SeekFrom as Seeking, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::{PathContext, PathError, Timestamp};

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

/// Sets owner and group. The kernel clears setuid bits: set the mode after.
pub(super) fn set_file_owner(
    file: &File,
    uid: u32,
    gid: u32,
    path: &Path,
) -> Result<(), PathError> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::fchown(file.as_fd(), uid, gid).on("change owner of", path)
}

/// Sets the mode bits.
pub(super) fn set_file_mode(file: &File, mode: u32, path: &Path) -> Result<(), PathError> {
    rustix::fs::fchmod(file.as_fd(), Mode::from_raw_mode(mode)).on("change mode of", path)
}

/// Sets the modification time, and the access time to the same.
pub(super) fn set_file_mtime(file: &File, mtime: Timestamp, path: &Path) -> Result<(), PathError> {
    let spec = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: mtime.nanos.into(),
    };
    let times = Timestamps {
        last_access: spec,
        last_modification: spec,
    };
    rustix::fs::futimens(file.as_fd(), &times).on("change time of", path)
}
