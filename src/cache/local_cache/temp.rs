//! Files that are being written: locked by their writers, so that those of dead ones are known.

use std::fs::{File, TryLockError};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tracing::debug;

use crate::fs::{PathContext, PathError};

/// Names that are tried before giving up: each can only fail if somebody takes the new file for a dead one's.
const NAMES_MAX: usize = 16;

/// A file with a lock and a name of its own. Dropping it removes the name.
#[derive(Debug)]
pub(super) struct TempFile {
    file: File,
    /// Empty once the file has another name.
    path: PathBuf,
}

impl TempFile {
    pub(super) fn create(dir: &Path) -> Result<Self, PathError> {
        for _ in 0..NAMES_MAX {
            let made = tempfile::Builder::new()
                // Others may read what is public in an image, as with any file that a program makes.
                .permissions(std::fs::Permissions::from_mode(0o644))
                .tempfile_in(dir)
                .on("create a file in", dir)?;
            let (file, path) = made.into_parts();
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).on("lock", &path),
            }
            if file.metadata().on("stat", &path)?.nlink() > 0 {
                let path = path.keep().map_err(|error| error.error).on("keep", dir)?;
                return Ok(Self { file, path });
            }
        }
        Err(PathError::new("create a file in", dir, Errno::AGAIN))
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, replacing what has it. The lock becomes a shared one: the caller must hold a lock of the
    /// directory, because there is a moment without any.
    pub(super) fn rename(mut self, path: &Path) -> Result<File, PathError> {
        self.file.lock_shared().on("lock", &self.path)?;
        std::fs::rename(&self.path, path).on("create", path)?;
        self.path = PathBuf::new();
        self.file.try_clone().on("open", path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Who comes next removes it otherwise.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Says whether there is no file at all.
pub(super) fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Removes the files in `dir`, which must be locked for this process alone, that nobody writes any more; returns how many bytes they had.
pub(super) fn remove_stale(dir: &Path) -> u64 {
    let mut bytes = 0;
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        match remove_if_stale(&path) {
            Ok(size) => bytes += size,
            Err(error) => debug!("an unfinished file stays: {error}: {}", error.source),
        }
    }
    bytes
}

fn remove_if_stale(path: &Path) -> Result<u64, PathError> {
    let file = match super::open_to_lock(path) {
        Ok(file) => file,
        // Finished meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).on("open", path),
    };
    let metadata = file.metadata().on("stat", path)?;
    if !metadata.is_file() || file.try_lock().is_err() {
        return Ok(0);
    }
    // Renamed since it was opened: the name may be somebody's new file.
    let is_same = std::fs::symlink_metadata(path).is_ok_and(|named| named.ino() == metadata.ino());
    if !is_same {
        return Ok(0);
    }
    std::fs::remove_file(path).on("remove", path)?;
    debug!(
        "removed `{}`, which a killed process has left",
        path.display()
    );
    Ok(metadata.size())
}
