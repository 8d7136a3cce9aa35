//! A directory of blobs, and of names that lead to them: base images by their digests, layers by the keys of their steps.
//!
//! ```text
//! oci-layout, index.json   an image layout that lists nothing: what is here is found by the names below
//! blobs/<algorithm>/<hex>  manifests, configs and layers, whole or not at all
//! layers/<key>             descriptor of a cache entry's manifest
//! images/<hex>             descriptor of an image's manifest or index, under its own digest
//! steps/<name>             what a step depended on the last time
//! mounts/<hex>             descriptor of the manifest of a cache mount's archive
//! stamps/<hex>             which file of that digest has been read through and is on the disk
//! trees/<hex>/             unpacked layers of images: see `trees`
//! tmp/                     what is being written
//! lock
//! sha256:<hex>…            images that kaniko's warmer has put here; only ever read
//! ```
//!
//! Any number of processes use a directory at the same time:
//!
//! * Files appear under their names by a rename, complete. What is being written in `tmp` is locked by its writer; what
//!   is there and locked by nobody was left by a process that was killed, and is removed.
//! * Names are read and written under a shared lock of `lock`, and removed under an exclusive one.
//! * Whoever needs a blob holds a shared lock of it ([`HeldBlob`]). A blob is removed only under the exclusive lock of
//!   `lock`, if no name leads to it and nobody holds it, or if it is damaged.
//! * All locks are advisory ones of the kernel: they die with their holders.
//!
//! Nothing is believed for its name: documents are hashed whenever they are read, and layers too unless their stamp shows
//! that this has been done and nobody has written to the file since.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::OFlags;
use thiserror::Error;
use tracing::info;

use crate::fs::{PathContext, PathError};
use crate::image::Digest;

mod blob;
mod entries;
mod images;
mod kaniko;
mod mounts;
mod names;
mod new_blob;
mod new_tree;
mod stamp;
mod steps;
mod temp;
mod trees;
mod upkeep;

pub use blob::{BlobBytes, BlobProblem, HeldBlob};
pub use images::{CachedImage, ImageDocument};
pub use new_blob::NewBlob;
pub use new_tree::NewTree;
pub use steps::LastTime;
pub use trees::{HeldTree, TreeKey};
pub use upkeep::{DiskUse, Listed, ListedKind, Problem, PruneRules, Pruned};

use names::NameKind;

const LOCK_FILE: &str = "lock";

/// Means nothing to a file.
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;

/// The directory, and how it may be used.
#[derive(Debug)]
pub struct LocalCache {
    dir: PathBuf,
    is_writable: bool,
    /// What was made before counts as not there.
    oldest: Timestamp,
}

/// Why a directory's content was not changed.
#[derive(Debug, Error)]
pub enum LocalCacheError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// The directory is only read.
    #[error("the cache directory `{}` cannot be written", .0.display())]
    ReadOnly(PathBuf),
    /// A blob is not what it should be.
    #[error("the blob should be `{expected}` but is `{found}`")]
    Mismatch {
        /// The digest asked for.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// A blob that an image needs is not in the directory.
    #[error(transparent)]
    Blob(#[from] BlobProblem),
    /// A document cannot be written.
    #[error("cannot write a document of the cache")]
    Json(#[source] serde_json::Error),
    /// An unpacked layer cannot be walked.
    #[error(transparent)]
    Walk(#[from] crate::snapshot::change::DiffError),
    /// An entry cannot be written.
    #[error(transparent)]
    Entry(#[from] super::entry::EntryError),
}

/// A lock of the whole directory; released when dropped.
#[derive(Debug)]
struct DirLock {
    /// `None` in a directory that nobody can lock: then nothing is ever removed from it by us.
    _file: Option<File>,
}

impl LocalCache {
    /// Opens the directory, which is made where it is missing. Where it cannot be written, it is only read. What was made
    /// before `oldest` is not used.
    ///
    /// Removes what processes that were killed have left half-written.
    pub fn open(dir: &Path, oldest: Timestamp) -> Result<Self, PathError> {
        let dir = std::path::absolute(dir).on("find", dir)?;
        let is_writable = match prepare(&dir) {
            Ok(()) => true,
            Err(error) if dir.is_dir() => {
                info!(
                    "the cache directory is only read: {error}: {}",
                    error.source
                );
                false
            }
            Err(error) => return Err(error),
        };
        let cache = Self {
            dir,
            is_writable,
            oldest,
        };
        if cache.is_writable {
            cache.remove_unfinished()?;
        }
        Ok(cache)
    }

    /// Removes what nobody writes any more; returns how many bytes it had.
    fn remove_unfinished(&self) -> Result<u64, PathError> {
        let temp_dir = self.temp_dir();
        if temp::is_empty(&temp_dir) {
            return Ok(0);
        }
        // There is a moment in which a finished file has no lock, and it comes under a shared lock of the directory.
        let _lock = self.lock_exclusive()?;
        Ok(temp::remove_stale(&temp_dir))
    }

    /// Says whether anything can be stored.
    pub fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn temp_dir(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let algorithm_dir = self.dir.join("blobs").join(digest.algorithm().name());
        algorithm_dir.join(digest.hex())
    }

    fn name_path(&self, kind: NameKind, name: &str) -> PathBuf {
        self.dir.join(kind.dir()).join(name)
    }

    fn check_writable(&self) -> Result<(), LocalCacheError> {
        match self.is_writable {
            true => Ok(()),
            false => Err(LocalCacheError::ReadOnly(self.dir.clone())),
        }
    }

    /// Waits while somebody removes things.
    fn lock_shared(&self) -> Result<DirLock, PathError> {
        let path = self.dir.join(LOCK_FILE);
        // Each lock has a file description of its own: threads would share one.
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(_) if !self.is_writable => return Ok(DirLock { _file: None }),
            Err(error) => return Err(error).on("open", path),
        };
        match file.lock_shared() {
            Ok(()) => Ok(DirLock { _file: Some(file) }),
            Err(_) if !self.is_writable => Ok(DirLock { _file: None }),
            Err(error) => Err(error).on("lock", path),
        }
    }

    /// Waits until nobody reads or writes names.
    fn lock_exclusive(&self) -> Result<DirLock, PathError> {
        let path = self.dir.join(LOCK_FILE);
        let file = open_lock(&path)?;
        file.lock().on("lock", &path)?;
        Ok(DirLock { _file: Some(file) })
    }
}

/// Makes what is missing, and finds out whether the directory can be written and locked.
fn prepare(dir: &Path) -> Result<(), PathError> {
    for name in [
        "blobs/sha256",
        NameKind::Layer.dir(),
        NameKind::Image.dir(),
        NameKind::Step.dir(),
        NameKind::Mount.dir(),
        stamp::DIR,
        "tmp",
    ] {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).on("create directory", &dir)?;
    }
    let lock = dir.join(LOCK_FILE);
    let file = open_lock(&lock)?;
    file.lock_shared().on("lock", &lock)?;
    let documents = [
        ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", r#"{"schemaVersion":2,"manifests":[]}"#),
    ];
    for (name, text) in documents {
        // A file of our own in the directory shows what a mode does not: a read-only mount, a full quota.
        let mut temp = temp::TempFile::create(&dir.join("tmp"))?;
        let path = dir.join(name);
        if !path.exists() {
            let written = temp.file().write_all(text.as_bytes());
            written.on("write", temp.path())?;
            temp.rename(&path)?;
        }
    }
    Ok(())
}

fn open_lock(path: &Path) -> Result<File, PathError> {
    let mut options = OpenOptions::new();
    // Whoever may use the directory may lock it.
    options.read(true).write(true).create(true).mode(0o666);
    options.open(path).on("open", path)
}

/// Opens a file to lock it for this process alone: network file systems want it writable for that.
fn open_to_lock(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    match options.clone().write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => options.open(path),
        other => other,
    }
}

/// Opens a file to read it. What is no file is opened as well and waits for nobody: a pipe would, for who writes to it.
fn open_to_read(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(NONBLOCK);
    options.open(path)
}

#[cfg(test)]
mod tests;
