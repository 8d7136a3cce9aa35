//! Changing files whose truth is in a ledger: what is done for real, and what is written down instead.
//!
//! Two things hold of every change. The file's real change time moves, so that a walk that goes by it sees the change.
//! And the file is looked at before that: since Linux 6.13, file systems then give whatever is made next a later time
//! of birth, so that not even a file that gets the same number within one tick of the clock is taken for it.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::inode::Handle;
use super::ledger::{Ledger, Rights};
use super::{FileKind, Metadata, Xattrs};

/// The attribute that holds a program's capabilities. The only one of those that layers keep that an ordinary user
/// cannot set.
pub(super) const CAPABILITY: &str = "security.capability";

/// What the mode of its directories must grant to a user who goes on working in them.
const DIRECTORY_FLOOR: u32 = 0o700;
/// The same for regular files.
const FILE_FLOOR: u32 = 0o600;

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o010;

impl Ledger {
    /// Returns what a file is.
    pub(super) fn metadata(&self, file: Handle<'_>) -> Result<Metadata, Errno> {
        let (inode, real) = file.look()?;
        Ok(self.truth(&inode, real))
    }

    /// Does to an open file, also one opened with `O_PATH`, all that chown(2) does when root calls it: records the
    /// owner, of which `None` leaves the one or the other as it is, clears set-id bits and capabilities, and sets the
    /// change time. For whoever answers that call; the bare error is the answer.
    pub fn chown(&self, file: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        self.change_owner(Handle::Open(file.as_fd()), uid, gid)
    }

    /// Records a change of owner, with all that goes with it. The real owner stays.
    pub(super) fn change_owner(
        &self,
        file: Handle<'_>,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<(), Errno> {
        let (inode, real) = file.look()?;
        file.keep_owner()?;
        self.set_owner(&inode, uid, gid);
        if real.is_dir() {
            return Ok(());
        }
        self.remove_xattr(&inode, OsStr::new(CAPABILITY));
        match self.rights() {
            Rights::OneId => {}
            Rights::PlainUser => {
                let mode = mode_after_change_of_owner(self.truth(&inode, real).mode);
                // No set-id bit is real: the file's own mode stays what it must be.
                self.set_mode(&inode, (mode != real.mode).then_some(mode));
            }
        }
        Ok(())
    }

    /// Sets the mode as far as this process may and can live with it, and records the rest.
    pub(super) fn change_mode(&self, file: Handle<'_>, mode: u32) -> Result<(), Errno> {
        let (inode, real) = file.look()?;
        if real.is_symlink() {
            return Err(Errno::LOOP);
        }
        let possible = self.possible_mode(real.kind, mode);
        file.chmod(possible)?;
        self.set_mode(&inode, (possible != mode).then_some(mode));
        Ok(())
    }

    /// Returns the real mode of a file that is to have `mode`.
    pub(super) fn possible_mode(&self, kind: FileKind, mode: u32) -> u32 {
        let floor = match kind {
            FileKind::Directory => DIRECTORY_FLOOR,
            FileKind::File => FILE_FLOOR,
            FileKind::Symlink
            | FileKind::Fifo
            | FileKind::CharDevice(_)
            | FileKind::BlockDevice(_)
            | FileKind::Socket => 0,
        };
        match self.rights() {
            Rights::OneId => mode,
            // A program of the image that runs as whoever started it must not run as this user.
            Rights::PlainUser => mode & !(SET_UID | SET_GID) | floor,
        }
    }

    /// Records the mode of a file that was created with `real` bits in place of the `wanted` ones. The umask has taken
    /// bits from the first, and so would have from the others.
    pub(super) fn note_creation(
        &self,
        file: Handle<'_>,
        wanted: u32,
        real: u32,
    ) -> Result<(), Errno> {
        if wanted == real {
            return Ok(());
        }
        let (inode, metadata) = file.look()?;
        let mode = metadata.mode & wanted | wanted & !0o777;
        self.set_mode(&inode, (mode != metadata.mode).then_some(mode));
        Ok(())
    }

    /// Records which device an empty regular file stands for.
    pub(super) fn note_device(&self, file: Handle<'_>, kind: FileKind) -> Result<(), Errno> {
        let (inode, _) = file.look()?;
        self.set_device(&inode, kind);
        Ok(())
    }

    /// Sets an extended attribute by `set`, or records it where that would be refused.
    pub(super) fn change_xattr(
        &self,
        file: Handle<'_>,
        (key, value): (&OsStr, &[u8]),
        set: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (inode, real) = file.look()?;
        if key != CAPABILITY {
            return match self.truth(&inode, real).kind {
                // As the kernel answers; the regular file in its place would take it.
                FileKind::CharDevice(_) | FileKind::BlockDevice(_) => Err(Errno::PERM),
                FileKind::File
                | FileKind::Directory
                | FileKind::Symlink
                | FileKind::Fifo
                | FileKind::Socket => set(),
            };
        }
        let is_set = match self.rights() {
            Rights::PlainUser => Err(Errno::PERM),
            Rights::OneId => set(),
        };
        match is_set {
            Ok(()) => {
                self.remove_xattr(&inode, key);
                Ok(())
            }
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                let value = as_kernel_keeps_it(value)?;
                file.keep_owner()?;
                self.set_xattr(&inode, key, &value);
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Takes an extended attribute away, by `remove` where it is real.
    pub(super) fn take_xattr(
        &self,
        file: Handle<'_>,
        key: &OsStr,
        remove: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if !self.has_xattrs() {
            return remove();
        }
        let (inode, _) = file.look()?;
        if !self.remove_xattr(&inode, key) {
            return remove();
        }
        file.keep_owner()
    }

    /// Returns the recorded attributes of a file. Costs nothing as long as no file has any.
    pub(super) fn recorded_xattrs(&self, file: Handle<'_>) -> Result<Xattrs, Errno> {
        if !self.has_xattrs() {
            return Ok(Xattrs::new());
        }
        let (inode, _) = file.look()?;
        Ok(self
            .get(&inode)
            .map_or_else(Xattrs::new, |record| record.xattrs))
    }

    /// Removes one name of a file by `remove`, and forgets the file if that was its last.
    pub(super) fn remove_name(
        &self,
        file: Handle<'_>,
        remove: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let found = file.look();
        remove()?;
        match found {
            Ok((inode, real)) if real.is_dir() || real.nlink <= 1 => self.forget(&inode),
            // What is not there has no record, and what could not be looked at was removed nevertheless.
            Ok(_) | Err(_) => {}
        }
        Ok(())
    }
}

/// chown(2): set-user-id goes, and set-group-id where the group may execute; those of directories stay.
fn mode_after_change_of_owner(mode: u32) -> u32 {
    let set_gid = match mode & GROUP_EXECUTE {
        0 => 0,
        _ => SET_GID,
    };
    mode & !(SET_UID | set_gid)
}

const REVISION_MASK: u32 = 0xff00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
const SIZE_2: usize = 20;
const SIZE_3: usize = 24;

/// Returns a capability in the form in which root would read what it has set (linux/capability.h, "vfs_cap_data"):
/// revision 3 for the namespace's own root is revision 2. What the kernel would not take is refused as it does.
fn as_kernel_keeps_it(value: &[u8]) -> Result<Vec<u8>, Errno> {
    let number = |at: usize| {
        let bytes = value.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let magic = number(0).ok_or(Errno::INVAL)?;
    match (magic & REVISION_MASK, value.len()) {
        (REVISION_2, SIZE_2) => Ok(value.to_vec()),
        (REVISION_3, SIZE_3) if number(SIZE_2) == Some(0) => {
            let mut kept = value[..SIZE_2].to_vec();
            let magic = magic & !REVISION_MASK | REVISION_2;
            kept[..4].copy_from_slice(&magic.to_le_bytes());
            Ok(kept)
        }
        (REVISION_3, SIZE_3) => Ok(value.to_vec()),
        (_, _) => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests;
