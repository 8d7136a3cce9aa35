//! Answers `stat` and its kin where something is recorded of a file; else the kernel answers.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType};

use crate::fs::{FileKind, Inode, Record};
use crate::sys::{KernelStat, Notification, Reply};

use super::decide::At;
use super::set_ids::write;
use super::supervisor::Supervisor;
use super::trouble::{OurTrouble, Trouble};

const LOOK: &str = "look at a file";

impl Supervisor {
    /// Answers with a `struct stat` at the address `to`.
    pub(super) fn show(&self, call: &Notification, at: At, to: u64) -> Result<Reply, Trouble> {
        // Whatever is wrong with the arguments, the kernel says it best.
        let Ok(Some((record, file))) = self.find(call, at) else {
            return Ok(Reply::Continue);
        };
        let found = KernelStat::stat(file.as_fd()).ours(LOOK)?;
        self.show_truth(call, found, &record, to)
    }

    /// Answers with a `struct statx`.
    pub(super) fn show_more(
        &self,
        call: &Notification,
        at: At,
        mask: u32,
        to: u64,
    ) -> Result<Reply, Trouble> {
        let Ok(Some((record, file))) = self.find(call, at) else {
            return Ok(Reply::Continue);
        };
        let freshness = at.flags & (AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC);
        let found = KernelStat::statx(file.as_fd(), freshness.bits(), mask).ours(LOOK)?;
        self.show_truth(call, found, &record, to)
    }

    fn show_truth(
        &self,
        call: &Notification,
        mut found: KernelStat,
        record: &Record,
        to: u64,
    ) -> Result<Reply, Trouble> {
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
        write(call, to, found.bytes())?;
        Ok(Reply::Value(0))
    }

    /// Returns the record of the file in question and a handle on it; `None` where nothing is recorded.
    fn find(&self, call: &Notification, at: At) -> Result<Option<(Record, OwnedFd)>, Trouble> {
        if self.ledger.is_empty() {
            return Ok(None);
        }
        let place = self.place(call, at)?;
        let inode = Inode::from(&place.statx(at.follows())?);
        let Some(record) = self.ledger.get(&inode) else {
            return Ok(None);
        };
        Ok(Some((record, place.hold(at.follows())?)))
    }
}
