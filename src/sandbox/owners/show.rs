//! Answers `stat` and its kin where something is recorded of a file; else the kernel answers.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType};

use crate::fs::{FileKind, Inode, Record};
use crate::sys::{self, Call, KernelStat, Notification, Reply};

use super::set_ids::write;
use super::supervisor::{Supervisor, low};
use super::trouble::{OurTrouble, Trouble};
use super::view::{AT_FDCWD, Place};

/// A call that shows a file, in the form of `statx`.
struct Showing {
    dir: i32,
    /// Address of the path; 0 for none.
    path: u64,
    flags: AtFlags,
    /// Address of the structure to fill in.
    to: u64,
    /// What is asked for by `statx`; `None` for the other calls.
    mask: Option<u32>,
}

impl Supervisor {
    pub(super) fn show(&self, call: &Notification) -> Result<Reply, Trouble> {
        let showing = showing_of(call);
        // Whatever is wrong with the arguments, the kernel says it best.
        let Ok(Some((record, file))) = self.find(call, &showing) else {
            return Ok(Reply::Continue);
        };
        let found = match showing.mask {
            None => KernelStat::stat(file.as_fd()),
            Some(mask) => KernelStat::statx(file.as_fd(), sync_flags(showing.flags), mask),
        };
        let mut found = found.ours("look at a file")?;
        found.set_owner(record.uid, record.gid);
        match record.device {
            Some(FileKind::CharDevice(device)) => {
                found.set_device(FileType::CharacterDevice.as_raw_mode(), device);
            }
            Some(FileKind::BlockDevice(device)) => {
                found.set_device(FileType::BlockDevice.as_raw_mode(), device);
            }
            Some(
                FileKind::File
                | FileKind::Directory
                | FileKind::Symlink
                | FileKind::Fifo
                | FileKind::Socket,
            )
            | None => {}
        }
        self.check(call)?;
        write(call, showing.to, found.bytes())?;
        Ok(Reply::Value(0))
    }

    /// Returns the record of the file in question and a handle on it; `None` where nothing is recorded.
    fn find(
        &self,
        call: &Notification,
        showing: &Showing,
    ) -> Result<Option<(Record, OwnedFd)>, Trouble> {
        if self.ledger.is_empty() {
            return Ok(None);
        }
        let follows = !showing.flags.contains(AtFlags::SYMLINK_NOFOLLOW);
        let place = self.place_to_show(call, showing)?;
        let inode = Inode::from(&place.statx(follows)?);
        let Some(record) = self.ledger.get(&inode) else {
            return Ok(None);
        };
        Ok(Some((record, place.hold(follows)?)))
    }

    fn place_to_show(&self, call: &Notification, showing: &Showing) -> Result<Place<'_>, Trouble> {
        if showing.path == 0 {
            return self.view.descriptor(call.thread, showing.dir);
        }
        let path = sys::read_string(call.thread, showing.path)?;
        if path.is_empty() && showing.flags.contains(AtFlags::EMPTY_PATH) {
            return self.view.descriptor(call.thread, showing.dir);
        }
        self.view.place(call.thread, showing.dir, &path)
    }
}

fn showing_of(call: &Notification) -> Showing {
    let [a, b, c, d, e, _] = call.arguments;
    let plain = |path, flags, to| Showing {
        dir: AT_FDCWD,
        path,
        flags,
        to,
        mask: None,
    };
    match call.call {
        Call::Lstat => plain(a, AtFlags::SYMLINK_NOFOLLOW, b),
        Call::Fstat => Showing {
            dir: low(a) as i32,
            path: 0,
            flags: AtFlags::EMPTY_PATH,
            to: b,
            mask: None,
        },
        Call::Newfstatat => Showing {
            dir: low(a) as i32,
            path: b,
            flags: AtFlags::from_bits_retain(low(d)),
            to: c,
            mask: None,
        },
        Call::Statx => Showing {
            dir: low(a) as i32,
            path: b,
            flags: AtFlags::from_bits_retain(low(c)),
            to: e,
            mask: Some(low(d)),
        },
        _ => plain(a, AtFlags::empty(), b),
    }
}

/// Of the flags of `statx`, those that say how fresh the answer must be.
fn sync_flags(flags: AtFlags) -> u32 {
    (flags & (AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC)).bits()
}
