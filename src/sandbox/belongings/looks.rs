//! What a file or directory looks like from outside, and how it gets that again.

use std::ffi::OsStr;

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, Metadata, PathError, Timestamp};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looks {
    /// Unix mode bits, 0o7777 only.
    mode: u32,
    uid: u32,
    gid: u32,
    /// Seconds since the epoch, and nanoseconds.
    mtime: (i64, u32),
}

impl From<&Metadata> for Looks {
    fn from(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: (metadata.mtime.seconds, metadata.mtime.nanos),
        }
    }
}

impl Looks {
    /// Says who may do what with the file `name`, where that is something else than it was.
    pub(super) fn give_access(&self, dir: &Dir, name: &OsStr) -> Result<(), PathError> {
        let Some(found) = dir.metadata_of(name)? else {
            return Ok(());
        };
        let has_new_owner = (found.uid, found.gid) != (self.uid, self.gid);
        if has_new_owner {
            dir.set_owner(name, self.uid, self.gid)?;
        }
        // A change of the owner takes bits away.
        if has_new_owner || found.mode != self.mode {
            dir.set_mode(name, self.mode)?;
        }
        Ok(())
    }

    /// Sets the time of the file `name`, after everything else.
    pub(super) fn give_time(&self, dir: &Dir, name: &OsStr) -> Result<(), PathError> {
        let (seconds, nanos) = self.mtime;
        let before = Timestamp { seconds, nanos };
        match dir.metadata_of(name)? {
            Some(found) if found.mtime != before => dir.set_mtime(name, before),
            Some(_) | None => Ok(()),
        }
    }
}
