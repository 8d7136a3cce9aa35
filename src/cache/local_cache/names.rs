//! Names: small files, each of which leads to a manifest or index among the blobs.
//!
//! A name's modification time says when it was stored, its access time when it was last of use.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::debug;

use super::temp::TempFile;
use super::{LocalCache, LocalCacheError, NONBLOCK, open_to_read, trees};
use crate::fs::{PathContext, PathError};

/// What a name is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameKind {
    Layer,
    Image,
    Step,
    Mount,
    /// A directory instead of a file.
    Tree,
}

impl NameKind {
    /// Those whose names are files.
    pub(super) const FILES: [Self; 4] = [Self::Layer, Self::Image, Self::Step, Self::Mount];

    /// Returns the directory of such names.
    pub(super) fn dir(self) -> &'static str {
        match self {
            Self::Layer => "layers",
            Self::Image => "images",
            Self::Step => "steps",
            Self::Mount => "mounts",
            Self::Tree => trees::DIR,
        }
    }
}

/// What a name file is like, apart from what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameTimes {
    pub(super) stored: Timestamp,
    /// Not before `stored`.
    pub(super) used: Timestamp,
}

/// The largest name file that is read, in bytes: a step's fingerprint with thousands of variables is smaller.
const NAME_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads a name file. `None` if there is none, or if what is there cannot be understood: it is replaced some day.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<(T, NameTimes)>, PathError> {
    let Some(file) = open_unnoticed(path)? else {
        return Ok(None);
    };
    let times = times_of(&file, path)?;
    let mut text = Vec::new();
    let mut limited = file.take(NAME_BYTES_MAX);
    limited.read_to_end(&mut text).on("read", path)?;
    match serde_json::from_slice(&text) {
        Ok(content) => Ok(Some((content, times))),
        Err(error) => {
            debug!("`{}` is not understood: {error}", path.display());
            Ok(None)
        }
    }
}

/// Opens a file so that its access time stays what it is, where that is allowed.
fn open_unnoticed(path: &Path) -> Result<Option<File>, PathError> {
    let mut unnoticed = OpenOptions::new();
    unnoticed.read(true);
    unnoticed.custom_flags(OFlags::NOATIME.bits() as i32 | NONBLOCK);
    // Only a file's owner may ask for that.
    match unnoticed.open(path).or_else(|_| open_to_read(path)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).on("open", path),
    }
}

pub(super) fn times(path: &Path) -> Result<Option<NameTimes>, PathError> {
    match open_unnoticed(path)? {
        Some(file) => times_of(&file, path).map(Some),
        None => Ok(None),
    }
}

fn times_of(file: &File, path: &Path) -> Result<NameTimes, PathError> {
    let found = file.metadata().on("stat", path)?;
    let time = |seconds: i64, nanos: i64| {
        let nanos = i32::try_from(nanos).unwrap_or(0);
        Timestamp::new(seconds, nanos).unwrap_or(Timestamp::UNIX_EPOCH)
    };
    let stored = time(found.mtime(), found.mtime_nsec());
    let used = time(found.atime(), found.atime_nsec()).max(stored);
    Ok(NameTimes { stored, used })
}

impl LocalCache {
    /// Writes a name file; the directory must be locked, and what it leads to held.
    pub(super) fn write_name(
        &self,
        kind: NameKind,
        name: &str,
        content: &impl Serialize,
    ) -> Result<(), LocalCacheError> {
        let path = self.name_path(kind, name);
        let text = serde_json::to_vec(content).map_err(LocalCacheError::Json)?;
        let mut temp = TempFile::create(&self.temp_dir())?;
        let unfinished = temp.path().to_path_buf();
        temp.file().write_all(&text).on("write", unfinished)?;
        temp.rename(&path)?;
        Ok(())
    }

    /// Notes that a name was of use.
    pub(super) fn touch(&self, path: &Path) {
        if !self.is_writable {
            return;
        }
        let omitted = |nanos| Timespec {
            tv_sec: 0,
            tv_nsec: nanos,
        };
        let times = Timestamps {
            last_access: omitted(UTIME_NOW),
            last_modification: omitted(UTIME_OMIT),
        };
        let touched = rustix::fs::utimensat(
            rustix::fs::CWD,
            path,
            &times,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        );
        if let Err(errno) = touched {
            // It is the first to go when room is needed, and nothing else.
            debug!("cannot change the time of `{}`: {errno}", path.display());
        }
    }
}
