//! Moving this process into new namespaces.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::UnshareFlags;

/// Moves this process into a mount namespace of its own, a copy of the one it was in.
/// Other threads stay where they are: call it before there are any.
pub fn enter_mount_namespace() -> Result<(), Errno> {
    unshare(UnshareFlags::NEWNS)
}

/// Moves this process into a user namespace without any id mapped yet, and into a mount namespace
/// that belongs to it. `EINVAL` where the process has other threads.
pub fn enter_user_and_mount_namespace() -> Result<(), Errno> {
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
}

/// Makes the next child of this process the first process of a pid namespace.
pub fn enter_pid_namespace_with_next_child() -> Result<(), Errno> {
    unshare(UnshareFlags::NEWPID)
}

/// Moves this process into a UTS namespace of its own, a copy of the one it was in, and names the machine there.
pub fn enter_uts_namespace(hostname: &[u8]) -> Result<(), Errno> {
    unshare(UnshareFlags::NEWUTS)?;
    rustix::system::sethostname(hostname)
}

/// Becomes user 0 and group 0 of the user namespace. Its further groups stay what they are.
/// For a process with a single thread: the others would keep their ids.
pub fn become_root_of_namespace() -> Result<(), Errno> {
    become_user(Uid::ROOT.as_raw(), Gid::ROOT.as_raw())
}

/// Becomes the user `uid` with the group `gid`, for good. For a process with a single thread.
pub fn become_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// Leaves all groups but the process's own one. For a process with a single thread.
pub fn leave_further_groups() -> Result<(), Errno> {
    rustix::thread::set_thread_groups(&[])
}

fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: only `UnshareFlags::FILES` can take a file descriptor away from a thread that uses
    // it, and no caller in this file passes it.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Gives the calling thread a working directory, a root directory and a umask of its own.
pub fn separate_working_dir() -> Result<(), Errno> {
    unshare(UnshareFlags::FS)
}
