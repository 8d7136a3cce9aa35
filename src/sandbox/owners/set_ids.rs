//! Answers the calls that set and tell the ids of a process.

use rustix::io::Errno;

use crate::sys::{self, Notification, Reply};

use super::identity::{Identity, Ids};
use super::supervisor::Supervisor;
use super::trouble::{OurTrouble, Trouble};

/// The kernel's bound on supplementary groups (`NGROUPS_MAX`).
const GROUPS_MAX: u32 = 65_536;

/// `PR_SET_KEEPCAPS` of linux/prctl.h. The options of prctl(2) that have its bit, too, are handed over
/// as well, and left to the kernel.
pub(super) const KEEP_CAPABILITIES: u32 = 8;

impl Supervisor {
    /// Always lets the kernel go on.
    pub(super) fn keep_capabilities(
        &mut self,
        call: &Notification,
        option: u32,
        value: u64,
    ) -> Result<Reply, Trouble> {
        if option == KEEP_CAPABILITIES {
            self.set(call, |who, _| {
                who.capabilities.keep(value == 1);
                Ok(0)
            })?;
        }
        Ok(Reply::Continue)
    }

    pub(super) fn set_users(
        &mut self,
        call: &Notification,
        set: impl FnOnce(&mut Ids, bool) -> Result<(), Errno>,
    ) -> Result<Reply, Trouble> {
        self.set(call, |who, may| {
            let before = who.user;
            set(&mut who.user, may)?;
            who.capabilities.follow(before, who.user);
            Ok(0)
        })
    }

    pub(super) fn set_group_ids(
        &mut self,
        call: &Notification,
        set: impl FnOnce(&mut Ids, bool) -> Result<(), Errno>,
    ) -> Result<Reply, Trouble> {
        self.set(call, |who, may| Ok(set(&mut who.group, may).map(|()| 0)?))
    }

    pub(super) fn set_file_user(
        &mut self,
        call: &Notification,
        uid: u32,
    ) -> Result<Reply, Trouble> {
        self.set(call, |who, may| Ok(who.user.set_file(uid, may).into()))
    }

    pub(super) fn set_file_group(
        &mut self,
        call: &Notification,
        gid: u32,
    ) -> Result<Reply, Trouble> {
        self.set(call, |who, may| Ok(who.group.set_file(gid, may).into()))
    }

    pub(super) fn set_groups(
        &mut self,
        call: &Notification,
        count: u32,
        address: u64,
    ) -> Result<Reply, Trouble> {
        self.set(call, |who, is_privileged| {
            if !is_privileged {
                return Err(Trouble::Kernel(Errno::PERM));
            }
            if count > GROUPS_MAX {
                return Err(Trouble::Kernel(Errno::INVAL));
            }
            who.set_groups(read_groups(call, address, count as usize)?);
            Ok(0)
        })
    }

    /// Changes who the caller is by `change`, which is told whether the caller may do so at will and
    /// returns the call's result.
    fn set(
        &mut self,
        call: &Notification,
        change: impl FnOnce(&mut Identity, bool) -> Result<i64, Trouble>,
    ) -> Result<Reply, Trouble> {
        let before = self.identity(call)?;
        let mut after = Identity::clone(&before);
        let value = change(&mut after, before.is_privileged())?;
        if after != *before {
            self.check(call)?;
            let marked = self.marks.set(call.thread, after);
            marked.ours("keep who a process is")?;
        }
        Ok(Reply::Value(value))
    }

    pub(super) fn tell_id(
        &self,
        call: &Notification,
        id: impl FnOnce(&Identity) -> u32,
    ) -> Result<Reply, Trouble> {
        let identity = self.identity(call)?;
        Ok(Reply::Value(id(&identity).into()))
    }

    /// Writes three ids to where the first three arguments point.
    pub(super) fn tell_three(
        &self,
        call: &Notification,
        ids: impl FnOnce(&Identity) -> Ids,
    ) -> Result<Reply, Trouble> {
        let ids = ids(&*self.identity(call)?);
        let ids = [ids.real, ids.effective, ids.saved];
        for (address, id) in call.arguments.iter().zip(ids) {
            write(call, *address, &id.to_ne_bytes())?;
        }
        Ok(Reply::Value(0))
    }

    pub(super) fn tell_groups(
        &self,
        call: &Notification,
        room: u32,
        address: u64,
    ) -> Result<Reply, Trouble> {
        let identity = self.identity(call)?;
        let groups = &identity.groups;
        if room != 0 && !groups.is_empty() {
            // The kernel's number has a sign.
            if room > i32::MAX as u32 || (room as usize) < groups.len() {
                return Err(Trouble::Kernel(Errno::INVAL));
            }
            let bytes: Vec<u8> = groups.iter().flat_map(|gid| gid.to_ne_bytes()).collect();
            write(call, address, &bytes)?;
        }
        Ok(Reply::Value(groups.len() as i64))
    }
}

fn read_groups(call: &Notification, address: u64, count: usize) -> Result<Vec<u32>, Trouble> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let bytes = sys::read_memory(call.thread, address, count * size_of::<u32>());
    let bytes = bytes.ours("read a process's memory")?;
    let (numbers, _) = bytes.as_chunks();
    let numbers = numbers.iter().map(|number| u32::from_ne_bytes(*number));
    Ok(numbers.collect())
}

/// Writes into the caller's memory.
pub(super) fn write(call: &Notification, address: u64, bytes: &[u8]) -> Result<(), Trouble> {
    sys::write_memory(call.thread, address, bytes).ours("write a process's memory")
}
