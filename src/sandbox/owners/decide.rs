//! Which answer each call gets: the calls of one kind in the form of the most general one.

use rustix::fs::{AtFlags, OFlags};

use crate::sys::{Call, Notification, Reply};

use super::create::Opening;
use super::identity::Identity;
use super::supervisor::Supervisor;
use super::trouble::Trouble;
use super::view::AT_FDCWD;

/// A file, as the calls that end in "at" name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// The caller's descriptor.
    pub(super) dir: i32,
    /// Address of the path; 0 for none.
    pub(super) path: u64,
    pub(super) flags: AtFlags,
}

impl At {
    fn new(dir: u64, path: u64, flags: u64) -> Self {
        Self {
            dir: low(dir) as i32,
            path,
            flags: AtFlags::from_bits_retain(low(flags)),
        }
    }

    fn path(path: u64) -> Self {
        Self {
            dir: AT_FDCWD,
            path,
            flags: AtFlags::empty(),
        }
    }

    fn link(path: u64) -> Self {
        Self {
            flags: AtFlags::SYMLINK_NOFOLLOW,
            ..Self::path(path)
        }
    }

    fn descriptor(descriptor: u64) -> Self {
        Self {
            dir: low(descriptor) as i32,
            path: 0,
            flags: AtFlags::EMPTY_PATH,
        }
    }

    pub(super) fn follows(self) -> bool {
        !self.flags.contains(AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// An argument that is a descriptor, an id, a mode or flags: its lower half.
fn low(argument: u64) -> u32 {
    argument as u32
}

impl Supervisor {
    pub(super) fn decide(&mut self, call: &Notification) -> Result<Reply, Trouble> {
        let [a, b, c, d, e, _] = call.arguments;
        let ids = call.arguments.map(low);
        let (user, group) = (|who: &Identity| who.user, |who: &Identity| who.group);
        match call.call {
            Call::Chown => self.change_owner(call, At::path(a), ids[1], ids[2]),
            Call::Lchown => self.change_owner(call, At::link(a), ids[1], ids[2]),
            Call::Fchown => self.change_owner(call, At::descriptor(a), ids[1], ids[2]),
            Call::Fchownat => self.change_owner(call, At::new(a, b, e), ids[2], ids[3]),

            Call::Setuid => self.set_users(call, |user, may| user.set(ids[0], may)),
            Call::Setgid => self.set_group_ids(call, |group, may| group.set(ids[0], may)),
            Call::Setreuid => self.set_users(call, |user, may| user.set_two(ids[0], ids[1], may)),
            Call::Setregid => {
                self.set_group_ids(call, |group, may| group.set_two(ids[0], ids[1], may))
            }
            Call::Setresuid => self.set_users(call, |user, may| {
                user.set_three(ids[0], ids[1], ids[2], may)
            }),
            Call::Setresgid => self.set_group_ids(call, |group, may| {
                group.set_three(ids[0], ids[1], ids[2], may)
            }),
            Call::Setfsuid => self.set_file_user(call, ids[0]),
            Call::Setfsgid => self.set_file_group(call, ids[0]),
            Call::Setgroups => self.set_groups(call, ids[0], b),
            Call::Prctl => self.keep_capabilities(call, ids[0], b),

            Call::Getuid => self.tell_id(call, |who| who.user.real),
            Call::Geteuid => self.tell_id(call, |who| who.user.effective),
            Call::Getgid => self.tell_id(call, |who| who.group.real),
            Call::Getegid => self.tell_id(call, |who| who.group.effective),
            Call::Getresuid => self.tell_three(call, user),
            Call::Getresgid => self.tell_three(call, group),
            Call::Getgroups => self.tell_groups(call, ids[0], b),

            Call::Open => self.open(call, &Opening::new(AT_FDCWD, a, flags(b), low(c))),
            Call::Openat => self.open(call, &Opening::new(ids[0] as i32, b, flags(c), low(d))),
            Call::Openat2 => self.open_with_how(call, ids[0] as i32, b, (c, d)),
            Call::Creat => {
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC;
                self.open(call, &Opening::new(AT_FDCWD, a, flags, low(b)))
            }
            Call::Mkdir => self.make_dir(call, At::path(a), ids[1]),
            Call::Mkdirat => self.make_dir(call, At::new(a, b, 0), ids[2]),
            Call::Mknod => self.make_node(call, At::path(a), ids[1], ids[2]),
            Call::Mknodat => self.make_node(call, At::new(a, b, 0), ids[2], ids[3]),
            Call::Symlink => self.make_link(call, a, At::path(b)),
            Call::Symlinkat => self.make_link(call, a, At::new(b, c, 0)),

            Call::Execve => self.execute(call, At::path(a)),
            Call::Execveat => self.execute(call, At::new(a, b, e)),

            Call::Stat => self.show(call, At::path(a), b),
            Call::Lstat => self.show(call, At::link(a), b),
            Call::Fstat => self.show(call, At::descriptor(a), b),
            Call::Newfstatat => self.show(call, At::new(a, b, d), c),
            Call::Statx => self.show_more(call, At::new(a, b, c), low(d), e),
        }
    }
}

fn flags(argument: u64) -> OFlags {
    OFlags::from_bits_retain(low(argument))
}
