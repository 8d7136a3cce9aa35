//! The lock under which a layout's index is read and written again: two jobs that add an image at the same time would
//! otherwise lose one of them.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::fs::{PathContext, PathError};

/// A lock of the layout, released when dropped. It lies on the file that every layout has, so that no other file is left
/// in it; an advisory one of the kernel, which dies with its holder.
#[derive(Debug)]
pub(super) struct IndexLock {
    _file: File,
}

impl IndexLock {
    /// Waits until nobody else changes the index. Where the file system knows no locks, nothing is locked.
    pub(super) fn take(marker: &Path) -> Result<Self, PathError> {
        loop {
            let file = open(marker).on("open", marker)?;
            match lock(&file) {
                Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS) => {}
                Err(errno) => return Err(PathError::new("lock", marker, errno)),
            }
            // Replaced since it was opened: others lock the new one.
            let locked = file.metadata().on("stat", marker)?.ino();
            let named = std::fs::metadata(marker).on("stat", marker)?.ino();
            if locked == named {
                return Ok(Self { _file: file });
            }
        }
    }
}

/// Network file systems want the file to be writable for a lock that nobody shares.
fn open(marker: &Path) -> std::io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(marker) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(marker),
        other => other,
    }
}

fn lock(file: &File) -> Result<(), Errno> {
    loop {
        match rustix::fs::flock(file.as_fd(), FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
