//! What files are that the kernel does not let this process make: owners, modes, devices and file capabilities, kept
//! by the file's identity.
//!
//! For a tree that this process alone controls. [`Dir::with_ledger`](super::Dir::with_ledger) and
//! [`Root::with_ledger`](super::Root::with_ledger) read and write through it; whoever else finds out what a file of the
//! tree should be writes here by [`Inode`]. This module knows no files: what is done to those for real is said in
//! [`recorded`](super::recorded).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{FileKind, Inode, Metadata, Xattrs};

/// Threads that read do not wait for each other; those that write seldom do.
const SHARDS: usize = 16;

/// What this process may do to the files of its tree, and so which of it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Those of an ordinary user. Owners, devices, capabilities and set-id bits are recorded, and so are modes under
    /// which the user could not go on: its directories are really at least 0700, its files at least 0600.
    PlainUser,
    /// Those of root in a user namespace that has one user and one group: owners and devices are recorded, and
    /// capabilities where the file system takes none. Modes are real.
    OneId,
}

/// The truth about files that really are something else. Where there is no record of a file, it belongs to root and is
/// otherwise what the kernel says: real owners never show.
///
/// Takes about 90 to 190 bytes per file with a record, and more only for one with a capability. A record goes by
/// itself when it says nothing any more, and when the file is removed through a [`Dir`](super::Dir) with this ledger;
/// that of a file which was removed otherwise stays, as memory only: see [`Inode::born`].
#[derive(Debug)]
pub struct Ledger {
    rights: Rights,
    shards: [RwLock<HashMap<Inode, Record>>; SHARDS],
    /// Whether any file ever had a recorded attribute: until then none is looked for.
    has_xattrs: AtomicBool,
}

/// What one file is. The default says: of root, and else what the kernel says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Mode bits, 0o7777 only. `None` where those of the file are the truth.
    pub mode: Option<u32>,
    /// The device that this is; the file itself is regular and empty. `None` for what is no device.
    pub device: Option<FileKind>,
    /// Extended attributes that the file does not have for real.
    pub xattrs: Xattrs,
}

const _: () = assert!(size_of::<(Inode, Record)>() == 80);

impl Ledger {
    /// Makes an empty ledger: all files are root's.
    pub fn new(rights: Rights) -> Self {
        Self {
            rights,
            shards: std::array::from_fn(|_| RwLock::default()),
            has_xattrs: AtomicBool::new(false),
        }
    }

    /// Returns what this process may do for real.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// Returns what is recorded of a file; `None` where nothing is.
    pub fn get(&self, file: &Inode) -> Option<Record> {
        self.read(file).get(file).cloned()
    }

    /// Returns user and group of a file.
    pub fn owner(&self, file: &Inode) -> (u32, u32) {
        let shard = self.read(file);
        shard
            .get(file)
            .map_or((0, 0), |record| (record.uid, record.gid))
    }

    /// Returns what a file is, of which the kernel says `real`.
    pub fn truth(&self, file: &Inode, real: Metadata) -> Metadata {
        let shard = self.read(file);
        let Some(record) = shard.get(file) else {
            return Metadata {
                uid: 0,
                gid: 0,
                ..real
            };
        };
        Metadata {
            kind: record.device.unwrap_or(real.kind),
            mode: record.mode.unwrap_or(real.mode),
            uid: record.uid,
            gid: record.gid,
            ..real
        }
    }

    /// Records owner and group, and nothing of what else a change of owner does: see [`Ledger::chown`]. `None` leaves
    /// the one or the other as it is.
    pub fn set_owner(&self, file: &Inode, uid: Option<u32>, gid: Option<u32>) {
        self.update(file, |record| {
            record.uid = uid.unwrap_or(record.uid);
            record.gid = gid.unwrap_or(record.gid);
        });
    }

    /// Records the mode bits, 0o7777 only; `None` says that those of the file are the truth.
    pub fn set_mode(&self, file: &Inode, mode: Option<u32>) {
        self.update(file, |record| record.mode = mode);
    }

    /// Records that an empty regular file stands for a device. Any other kind says that it does not.
    pub fn set_device(&self, file: &Inode, kind: FileKind) {
        let device = match kind {
            FileKind::CharDevice(_) | FileKind::BlockDevice(_) => Some(kind),
            FileKind::File
            | FileKind::Directory
            | FileKind::Symlink
            | FileKind::Fifo
            | FileKind::Socket => None,
        };
        self.update(file, |record| record.device = device);
    }

    /// Records an extended attribute.
    pub fn set_xattr(&self, file: &Inode, key: &OsStr, value: &[u8]) {
        self.has_xattrs.store(true, Ordering::Release);
        self.update(file, |record| {
            record.xattrs.insert(key.to_os_string(), value.to_vec())
        });
    }

    /// Removes a recorded extended attribute, and returns whether there was one.
    pub fn remove_xattr(&self, file: &Inode, key: &OsStr) -> bool {
        self.has_xattrs() && self.update(file, |record| record.xattrs.remove(key).is_some())
    }

    /// Forgets a file: one that is gone, or one that is new and may have the number of one that is gone.
    pub fn forget(&self, file: &Inode) {
        if self.read(file).contains_key(file) {
            self.write(file).remove(file);
        }
    }

    /// Returns how many files have a record.
    pub fn len(&self) -> usize {
        let shards = self.shards.iter();
        let counts = shards.map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len());
        counts.sum()
    }

    /// Says whether no file has a record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says whether a file may have recorded attributes.
    pub(super) fn has_xattrs(&self) -> bool {
        self.has_xattrs.load(Ordering::Acquire)
    }

    /// Changes what is recorded of a file, and keeps nothing that says nothing.
    fn update<T>(&self, file: &Inode, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut shard = self.write(file);
        let mut record = shard.remove(file).unwrap_or_default();
        let result = change(&mut record);
        if record != Record::default() {
            shard.insert(*file, record);
        }
        result
    }

    fn read(&self, file: &Inode) -> RwLockReadGuard<'_, HashMap<Inode, Record>> {
        let shard = self.shards[shard_of(file)].read();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, file: &Inode) -> RwLockWriteGuard<'_, HashMap<Inode, Record>> {
        let shard = self.shards[shard_of(file)].write();
        shard.unwrap_or_else(PoisonError::into_inner)
    }
}

/// File systems number inodes one after the other.
fn shard_of(file: &Inode) -> usize {
    file.ino as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Timestamp;

    const FILE: Inode = Inode {
        dev: 1,
        ino: 2,
        born: 3,
    };

    fn real() -> Metadata {
        Metadata {
            kind: FileKind::File,
            mode: 0o644,
            uid: 1000,
            gid: 1001,
            size: 0,
            mtime: Timestamp::EPOCH,
            ctime: Timestamp::EPOCH,
            dev: FILE.dev,
            ino: FILE.ino,
            nlink: 1,
        }
    }

    #[test]
    fn a_file_without_a_record_is_of_root_and_else_what_the_kernel_says() {
        let ledger = Ledger::new(Rights::PlainUser);
        let truth = ledger.truth(&FILE, real());
        let expected = Metadata {
            uid: 0,
            gid: 0,
            ..real()
        };
        assert_eq!(truth, expected);
        assert_eq!(ledger.owner(&FILE), (0, 0));
        assert_eq!(ledger.get(&FILE), None);
    }

    #[test]
    fn what_is_recorded_is_what_the_file_is() {
        let ledger = Ledger::new(Rights::PlainUser);
        let device = FileKind::CharDevice(0x103);
        ledger.set_owner(&FILE, Some(7), None);
        ledger.set_owner(&FILE, None, Some(8));
        ledger.set_mode(&FILE, Some(0o4000));
        ledger.set_device(&FILE, device);
        let truth = ledger.truth(&FILE, real());
        let found = (truth.kind, truth.mode, truth.uid, truth.gid);
        assert_eq!(found, (device, 0o4000, 7, 8));
        assert_eq!(ledger.owner(&FILE), (7, 8));
    }

    #[test]
    fn a_record_that_says_nothing_any_more_is_gone() {
        let ledger = Ledger::new(Rights::OneId);
        ledger.set_owner(&FILE, Some(7), Some(8));
        ledger.set_mode(&FILE, Some(0o600));
        ledger.set_device(&FILE, FileKind::BlockDevice(0));
        let key = OsStr::new("user.x");
        ledger.set_xattr(&FILE, key, b"");
        assert_eq!(ledger.len(), 1);
        ledger.set_owner(&FILE, Some(0), Some(0));
        ledger.set_mode(&FILE, None);
        ledger.set_device(&FILE, FileKind::File);
        assert!(ledger.remove_xattr(&FILE, key));
        assert!(!ledger.remove_xattr(&FILE, key));
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_file_born_later_with_the_same_number_is_another() {
        let ledger = Ledger::new(Rights::OneId);
        ledger.set_owner(&FILE, Some(7), Some(8));
        let later = Inode { born: 4, ..FILE };
        assert_eq!(ledger.get(&later), None);
        ledger.forget(&later);
        assert_eq!(ledger.owner(&FILE), (7, 8));
        ledger.forget(&FILE);
        assert_eq!(ledger.get(&FILE), None);
    }
}
