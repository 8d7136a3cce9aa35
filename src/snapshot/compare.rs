//! Says whether a file is still what it was. This module knows two files, not why there are two.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};

use super::change::DiffError;
use crate::fs::{Dir, FileKind, Metadata, PathContext, Timestamp, Xattrs};

/// Two contents are compared this much at a time.
const COMPARE_BYTES: usize = 128 * 1024;

/// One of the two files: a name in a directory, with what is known of it.
pub(super) struct Side<'a> {
    pub(super) dir: &'a Dir,
    pub(super) metadata: &'a Metadata,
    /// Those that a layer keeps.
    pub(super) xattrs: &'a Xattrs,
}

/// Says whether the layer must have `name` again: its kind, mode, owner, time, attributes, link text, device number or
/// contents differ. Contents are read last and only where everything else is the same, because a program may put the
/// time back after it wrote.
pub(super) fn differ(name: &OsStr, a: &Side<'_>, b: &Side<'_>) -> Result<bool, DiffError> {
    if has_other_metadata(a.metadata, b.metadata) || a.xattrs != b.xattrs {
        return Ok(true);
    }
    match a.metadata.kind {
        FileKind::File => contents_differ(name, a.dir, b.dir),
        FileKind::Symlink => Ok(a.dir.read_link(name)? != b.dir.read_link(name)?),
        FileKind::Directory
        | FileKind::Fifo
        | FileKind::CharDevice(_)
        | FileKind::BlockDevice(_)
        | FileKind::Socket => Ok(false),
    }
}

/// Says whether what `stat` tells of two files differs; device numbers are part of the kind.
pub(super) fn has_other_metadata(a: &Metadata, b: &Metadata) -> bool {
    let has_other_size = a.is_file() && a.size != b.size;
    let identity = |metadata: &Metadata| (metadata.kind, metadata.mode, metadata.uid, metadata.gid);
    identity(a) != identity(b) || has_other_size || !is_same_time(a.mtime, b.mtime)
}

/// Layers keep whole seconds: a file that came from one has no nanoseconds, and those of its copy say nothing.
fn is_same_time(a: Timestamp, b: Timestamp) -> bool {
    a.seconds == b.seconds && (a.nanos == b.nanos || a.nanos == 0 || b.nanos == 0)
}

fn contents_differ(name: &OsStr, a: &Dir, b: &Dir) -> Result<bool, DiffError> {
    let (mut file_a, mut file_b) = (a.open_known_file(name)?, b.open_known_file(name)?);
    let (mut bytes_a, mut bytes_b) = (vec![0; COMPARE_BYTES], vec![0; COMPARE_BYTES]);
    loop {
        let count = fill(&mut file_a, &mut bytes_a).on("read", a.path_of(name))?;
        let other = fill(&mut file_b, &mut bytes_b).on("read", b.path_of(name))?;
        if bytes_a[..count] != bytes_b[..other] {
            return Ok(true);
        }
        if count == 0 {
            return Ok(false);
        }
    }
}

/// Reads until the buffer is full or the file ends, and returns how much that was.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64, nanos: u32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    #[test]
    fn times_are_the_same_when_the_nanoseconds_are_or_one_side_has_none() {
        assert!(is_same_time(time(5, 7), time(5, 7)));
        assert!(is_same_time(time(5, 0), time(5, 7)));
        assert!(is_same_time(time(5, 7), time(5, 0)));
        assert!(!is_same_time(time(5, 6), time(5, 7)));
        assert!(!is_same_time(time(4, 0), time(5, 0)));
    }
}
