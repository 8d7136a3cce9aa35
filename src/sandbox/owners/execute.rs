//! Looks at programs that are about to be executed: the set-id ones among them change who a process is.
//!
//! The kernel executes them; their owner is the one id of the namespace, so that for the kernel
//! nothing changes.

use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags, Statx};
use rustix::io::Errno;

use crate::fs::Inode;
use crate::sys::{Notification, Reply};

use super::decide::At;
use super::identity::LEAVE;
use super::supervisor::Supervisor;
use super::trouble::{OurTrouble, Trouble};
use super::view::Place;

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o010;
const EXECUTE: u32 = 0o111;

impl Supervisor {
    /// Always lets the kernel go on. The ids change already here, and stay changed should the kernel
    /// then refuse a program that could be found: no caller that we know of notices.
    pub(super) fn execute(&mut self, call: &Notification, at: At) -> Result<Reply, Trouble> {
        let before = self.identity(call)?;
        // Before its first program the step's process is a copy of the builder, whose memory not
        // even we may read: that program is not looked at.
        let Ok((user, group)) = self.set_ids_of_program(call, at) else {
            return Ok(Reply::Continue);
        };
        let after = before.after_execution(user, group);
        if after != *before {
            self.check(call)?;
            let marked = self.marks.set(call.thread, after);
            marked.ours("keep who a process is")?;
        }
        Ok(Reply::Continue)
    }

    /// Returns the user and the group that the program is set-id to, [`LEAVE`] for none. An error
    /// where there is no such program.
    fn set_ids_of_program(&self, call: &Notification, at: At) -> Result<(u32, u32), Trouble> {
        let place = self.place(call, at)?;
        let metadata = place.statx(true)?;
        let mode = u32::from(metadata.stx_mode);
        if !FileType::from_raw_mode(mode).is_file() || mode & EXECUTE == 0 {
            return Err(Trouble::Kernel(Errno::ACCESS));
        }
        if mode & (SET_USER_ID | SET_GROUP_ID) == 0 {
            return Ok((LEAVE, LEAVE));
        }
        let forbids_gain = self.view.status(call.thread, "NoNewPrivs")?.as_deref() == Some("1");
        if forbids_gain || !is_honoured(&place)? {
            return Ok((LEAVE, LEAVE));
        }
        Ok(self.set_ids_of(&metadata))
    }

    fn set_ids_of(&self, metadata: &Statx) -> (u32, u32) {
        let (uid, gid) = self.ledger.owner(&Inode::from(metadata));
        let has = |bits: u32| u32::from(metadata.stx_mode) & bits == bits;
        let user = if has(SET_USER_ID) { uid } else { LEAVE };
        let group = if has(SET_GROUP_ID | GROUP_EXECUTE) {
            gid
        } else {
            LEAVE
        };
        (user, group)
    }
}

/// The kernel takes no notice of set-id bits of scripts, nor on mounts that say so.
fn is_honoured(place: &Place<'_>) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = place.open(flags, Mode::empty())?;
    let mut start = [0; 2];
    let length = rustix::io::read(&file, &mut start)?;
    let mount = rustix::fs::fstatvfs(&file)?;
    let is_script = start[..length] == *b"#!";
    Ok(!is_script && !mount.f_flag.contains(StatVfsMountFlags::NOSUID))
}
