//! What a directory and the names right inside it are: reading it, and changing it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::dir::proc_path;
use super::inode::Handle;
use super::{Dir, Metadata, PathContext, PathError, Timestamp};

impl Dir {
    /// Returns the metadata of the directory itself.
    pub fn metadata(&self) -> Result<Metadata, PathError> {
        self.look_at(self.as_fd()).on("stat", self.path())
    }

    /// Returns the metadata of `name`, or `None` where nothing has that name.
    pub fn metadata_of(&self, name: &OsStr) -> Result<Option<Metadata>, PathError> {
        self.check("stat", name)?;
        let found = match self.ledger() {
            Some(ledger) => ledger.metadata(self.handle(name)),
            None => rustix::fs::statat(self.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)
                .map(Metadata::from),
        };
        match found {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("stat", name, errno)),
        }
    }

    /// Sets owner and group of `name` itself. The kernel clears setuid bits: set the mode after.
    pub fn set_owner(&self, name: &OsStr, uid: u32, gid: u32) -> Result<(), PathError> {
        self.check("change owner of", name)?;
        let result = match self.ledger() {
            Some(ledger) => ledger.change_owner(self.handle(name), Some(uid), Some(gid)),
            None => {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::chownat(self.as_fd(), name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        };
        result.map_err(|errno| self.error("change owner of", name, errno))
    }

    /// Sets the mode bits of `name`, which must not be a symbolic link.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> Result<(), PathError> {
        self.check("change mode of", name)?;
        // fchmodat follows links and its flag to forbid that is new (Linux 6.6): hold the file itself.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let change = || -> Result<(), Errno> {
            let handle = rustix::fs::openat(self.as_fd(), name, flags, Mode::empty())?;
            if let Some(ledger) = self.ledger() {
                return ledger.change_mode(Handle::Open(handle.as_fd()), mode);
            }
            if FileType::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode).is_symlink() {
                return Err(Errno::LOOP);
            }
            rustix::fs::chmod(proc_path(handle.as_fd()), Mode::from_raw_mode(mode))
        };
        change().map_err(|errno| self.error("change mode of", name, errno))
    }

    /// Sets the modification time of `name` itself; the access time is set to the same.
    pub fn set_mtime(&self, name: &OsStr, mtime: Timestamp) -> Result<(), PathError> {
        self.check("change time of", name)?;
        rustix::fs::utimensat(self.as_fd(), name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.error("change time of", name, errno))
    }

    /// Sets the owner of the directory itself.
    pub fn set_own_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        let result = match self.ledger() {
            Some(ledger) => ledger.change_owner(self.own_handle(), Some(uid), Some(gid)),
            None => {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::fchown(self.as_fd(), uid, gid)
            }
        };
        result.on("change owner of", self.path())
    }

    /// Sets the mode bits of the directory itself.
    pub fn set_own_mode(&self, mode: u32) -> Result<(), PathError> {
        let result = match self.ledger() {
            Some(ledger) => ledger.change_mode(self.own_handle(), mode),
            None => rustix::fs::fchmod(self.as_fd(), Mode::from_raw_mode(mode)),
        };
        result.on("change mode of", self.path())
    }

    /// Sets the modification time of the directory itself.
    pub fn set_own_mtime(&self, mtime: Timestamp) -> Result<(), PathError> {
        rustix::fs::futimens(self.as_fd(), &times(mtime)).on("change time of", self.path())
    }

    /// Returns the metadata of an open file of this tree.
    pub(super) fn look_at(&self, file: BorrowedFd<'_>) -> Result<Metadata, Errno> {
        match self.ledger() {
            Some(ledger) => ledger.metadata(Handle::Open(file)),
            None => rustix::fs::fstat(file).map(Metadata::from),
        }
    }
}

/// Returns the times to set for a modification time.
pub(super) fn times(mtime: Timestamp) -> Timestamps {
    let spec = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: mtime.nanos.into(),
    };
    Timestamps {
        last_access: spec,
        last_modification: spec,
    }
}
