//! How a directory looks to who lists it: everything but its name and what is in it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, PathError, Timestamp};

use super::hands::before_change;

/// Owner, mode, modification time and extended attributes of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looks {
    /// Unix mode bits, 0o7777 only.
    mode: u32,
    uid: u32,
    gid: u32,
    /// Modification time: seconds since the epoch, and nanoseconds.
    mtime: (i64, u32),
    /// Extended attributes by name, those that may be set without privileges of the kernel's
    /// security modules.
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Looks {
    /// Reads them.
    pub(super) fn of(dir: &Dir) -> Result<Self, PathError> {
        let metadata = dir.metadata()?;
        let xattrs = dir.own_xattrs()?;
        Ok(Self {
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: (metadata.mtime.seconds, metadata.mtime.nanos),
            xattrs: xattrs
                .into_iter()
                .filter(|(key, _)| is_ours_to_set(key))
                .map(|(key, value)| (key.into_vec(), value))
                .collect(),
        })
    }

    /// Makes `dir` look so. Only what differs is set, the time last, because nothing else changes it.
    pub(super) fn give_to(&self, dir: &Dir) -> Result<(), PathError> {
        let found = Self::of(dir)?;
        let has_new_owner = (found.uid, found.gid) != (self.uid, self.gid);
        if has_new_owner {
            before_change(dir.path())?;
            dir.set_own_owner(self.uid, self.gid)?;
        }
        if has_new_owner || found.mode != self.mode {
            before_change(dir.path())?;
            dir.set_own_mode(self.mode)?;
        }
        for (key, _) in &found.xattrs {
            if !self.xattrs.iter().any(|(own, _)| own == key) {
                before_change(dir.path())?;
                dir.remove_own_xattr(OsStr::from_bytes(key))?;
            }
        }
        for entry @ (key, value) in &self.xattrs {
            if !found.xattrs.contains(entry) {
                before_change(dir.path())?;
                dir.set_own_xattr(OsStr::from_bytes(key), value)?;
            }
        }
        let (seconds, nanos) = self.mtime;
        if found.mtime != self.mtime {
            before_change(dir.path())?;
            dir.set_own_mtime(Timestamp { seconds, nanos })?;
        }
        Ok(())
    }

    /// Says whether they agree in all but the time.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let timeless = |looks: &Self| Self {
            mtime: (0, 0),
            ..looks.clone()
        };
        timeless(self) == timeless(other)
    }
}

/// A directory's access control list is part of what a command finds; labels of security modules and
/// an overlay's own marks belong to the place.
fn is_ours_to_set(key: &OsString) -> bool {
    let key = key.as_bytes();
    let is_user = key.starts_with(b"user.") && !key.starts_with(b"user.overlay.");
    is_user || key.starts_with(b"system.posix_acl_")
}
