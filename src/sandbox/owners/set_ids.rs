//! Answers the calls that set and tell the ids of a process.

use rustix::io::Errno;

use crate::sys::{self, Call, Notification, Reply};

use super::identity::{Identity, Ids};
use super::supervisor::{Supervisor, low};
use super::trouble::{OurTrouble, Trouble};

/// The kernel's bound on supplementary groups (`NGROUPS_MAX`).
const GROUPS_MAX: u32 = 65_536;

impl Supervisor {
    pub(super) fn set_ids(&mut self, call: &Notification) -> Result<Reply, Trouble> {
        let before = self.identity(call)?;
        let mut after = Identity::clone(&before);
        let value = apply(call, &mut after)?;
        if after != *before {
            self.check(call)?;
            let marked = self.marks.set(call.thread, after);
            marked.ours("keep who a process is")?;
        }
        Ok(Reply::Value(value))
    }

    pub(super) fn tell_ids(&mut self, call: &Notification) -> Result<Reply, Trouble> {
        let identity = self.identity(call)?;
        let (user, group) = (&identity.user, &identity.group);
        let value = match call.call {
            Call::Geteuid => user.effective,
            Call::Getgid => group.real,
            Call::Getegid => group.effective,
            Call::Getresuid => return tell_three(call, user),
            Call::Getresgid => return tell_three(call, group),
            Call::Getgroups => return tell_groups(call, &identity.groups),
            _ => user.real,
        };
        Ok(Reply::Value(value.into()))
    }
}

fn apply(call: &Notification, identity: &mut Identity) -> Result<i64, Trouble> {
    let is_privileged = identity.is_privileged();
    let [a, b, c, ..] = call.arguments.map(low);
    match call.call {
        Call::Setuid => identity.user.set(a, is_privileged)?,
        Call::Setgid => identity.group.set(a, is_privileged)?,
        Call::Setreuid => identity.user.set_two(a, b, is_privileged)?,
        Call::Setregid => identity.group.set_two(a, b, is_privileged)?,
        Call::Setresuid => identity.user.set_three([a, b, c], is_privileged)?,
        Call::Setresgid => identity.group.set_three([a, b, c], is_privileged)?,
        Call::Setfsuid => return Ok(identity.user.set_file(a, is_privileged).into()),
        Call::Setfsgid => return Ok(identity.group.set_file(a, is_privileged).into()),
        _ if !is_privileged => return Err(Trouble::Kernel(Errno::PERM)),
        _ if a > GROUPS_MAX => return Err(Trouble::Kernel(Errno::INVAL)),
        _ => identity.set_groups(read_groups(call, a as usize)?),
    }
    Ok(0)
}

fn read_groups(call: &Notification, count: usize) -> Result<Vec<u32>, Trouble> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let bytes = sys::read_memory(call.thread, call.arguments[1], count * size_of::<u32>());
    let bytes = bytes.ours("read a process's memory")?;
    let (numbers, _) = bytes.as_chunks();
    Ok(numbers
        .iter()
        .map(|number| u32::from_ne_bytes(*number))
        .collect())
}

fn tell_three(call: &Notification, ids: &Ids) -> Result<Reply, Trouble> {
    for (address, id) in call
        .arguments
        .iter()
        .zip([ids.real, ids.effective, ids.saved])
    {
        write(call, *address, &id.to_ne_bytes())?;
    }
    Ok(Reply::Value(0))
}

fn tell_groups(call: &Notification, groups: &[u32]) -> Result<Reply, Trouble> {
    let room = low(call.arguments[0]) as i32;
    if room != 0 {
        if usize::try_from(room).map_or(true, |room| room < groups.len()) {
            return Err(Trouble::Kernel(Errno::INVAL));
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|gid| gid.to_ne_bytes()).collect();
        if !bytes.is_empty() {
            write(call, call.arguments[1], &bytes)?;
        }
    }
    Ok(Reply::Value(groups.len() as i64))
}

pub(super) fn write(call: &Notification, address: u64, bytes: &[u8]) -> Result<(), Trouble> {
    sys::write_memory(call.thread, address, bytes).ours("write a process's memory")
}
