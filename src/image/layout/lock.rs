//! The lock under which a layout's index is read and written again: two jobs that add an image at the same time would
//! otherwise lose one of them.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use crate::fs::{PathContext, PathError, go_on};

/// Between two tries. Others hold the lock for as long as a small file takes to be read and written.
const PAUSE: Duration = Duration::from_millis(20);

/// A lock of the layout, released when dropped. It lies on the file that every layout has, so that no other file is left
/// in it; an advisory one of the kernel, which dies with its holder.
#[derive(Debug)]
pub(super) struct IndexLock {
    _file: File,
}

impl IndexLock {
    /// Waits until nobody else changes the index, or until `halt`. Where the file system knows no locks, nothing is locked.
    pub(super) fn take(marker: &Path, halt: &CancellationToken) -> Result<Self, PathError> {
        let mut is_waiting = false;
        loop {
            let file = open(marker).on("open", marker)?;
            match lock(&file) {
                // NFS has no such lock of a file that may only be read: EBADF (flock(2)).
                Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => {}
                Err(Errno::WOULDBLOCK) => {
                    if !is_waiting {
                        tracing::info!(file = %marker.display(), "waiting for another job that holds the lock of the layout");
                        is_waiting = true;
                    }
                    go_on(halt).on("lock", marker)?;
                    sleep(PAUSE);
                    continue;
                }
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
        match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
