//! Mounts, made and removed in the mount namespace of this process.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::namespace::separate_working_dir;

/// Cuts every mount off from the namespace it was copied from: nothing mounted here shows there,
/// and the other way round.
pub fn make_all_private() -> Result<(), Errno> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)
}

/// Mounts a file system of type `kind` at `target`; `options` are its own.
pub fn mount(kind: &CStr, target: &Path, flags: MountFlags, options: &CStr) -> Result<(), Errno> {
    rustix::mount::mount(kind, target, kind, flags, options)
}

/// Mounts one of the kernel's own file systems (`proc`, `sysfs`) at `target`, the way sandboxes do.
pub fn mount_kernel_files(kind: &CStr, target: &Path) -> Result<(), Errno> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(kind, target, kind, flags, None)
}

/// Shows the tree at `source`, with everything mounted below it, at `target` as well.
pub fn mount_recursive_bind(source: &Path, target: &Path) -> Result<(), Errno> {
    rustix::mount::mount_bind_recursive(source, target)
}

/// Removes the mount at `target`, which is not followed if it is a link. A mount that is still in
/// use goes out of sight now and ends with its last user. `EINVAL` where nothing is mounted.
pub fn unmount(target: &Path) -> Result<(), Errno> {
    // A plain unmount first: when it succeeds, nobody can write to what was mounted any more.
    match rustix::mount::unmount(target, UnmountFlags::NOFOLLOW) {
        Err(Errno::BUSY) => {
            rustix::mount::unmount(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)
        }
        other => other,
    }
}

/// Makes the mount at `path` the root directory of this mount namespace and of this process, and the
/// former root unreachable.
pub fn pivot_root(path: &Path) -> Result<(), Errno> {
    rustix::process::chdir(path)?;
    // pivot_root(2), "pivot_root(".", ".")": no directory is needed to put the old root in.
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

/// As [`pivot_root`], where a seccomp profile forbids that call: the mount is moved over the root.
pub fn cover_root(path: &Path) -> Result<(), Errno> {
    rustix::process::chdir(path)?;
    rustix::mount::mount_move(c".", c"/")?;
    change_root(Path::new("."))
}

/// Makes `path` the root directory of this process, and its working directory.
pub fn change_root(path: &Path) -> Result<(), Errno> {
    rustix::process::chroot(path)?;
    rustix::process::chdir(c"/")
}

/// Gives the calling thread a working directory of its own, and makes it `dir`. For a thread that
/// does nothing else: a mount's options are one page, so many layers fit only under short names.
pub fn change_dir_of_this_thread(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    separate_working_dir()?;
    rustix::process::fchdir(dir)
}

/// Makes the mount at `target` read-only, with all mounts below it if `recursive`. Its other
/// attributes stay as they are. Allocates nothing.
pub(super) fn make_read_only(target: &CStr, recursive: bool) -> Result<(), Errno> {
    match set_attributes(target, libc::MOUNT_ATTR_RDONLY, 0, recursive) {
        // Before Linux 5.12, which sets all attributes at once, and refuses to drop those that are
        // locked.
        Err(Errno::NOSYS) => remount(target, MountFlags::RDONLY | attributes(target)?),
        other => other,
    }
}

/// Forbids something in the mount at `target`: devices, the setuid bits of programs, or programs. What is not forbidden
/// is allowed where this process may do so. Allocates nothing.
pub(super) fn forbid(target: &CStr, what: MountFlags) -> Result<(), Errno> {
    let choice = [
        (MountFlags::NODEV, libc::MOUNT_ATTR_NODEV),
        (MountFlags::NOSUID, libc::MOUNT_ATTR_NOSUID),
        (MountFlags::NOEXEC, libc::MOUNT_ATTR_NOEXEC),
    ];
    let (mut forbidden, mut allowed) = (0, 0);
    for (flag, attribute) in choice {
        match what.contains(flag) {
            true => forbidden |= attribute,
            false => allowed |= attribute,
        }
    }
    match set_attributes(target, forbidden, allowed, false) {
        // What a user namespace found, it may not take off.
        Err(Errno::PERM) => set_attributes(target, forbidden, 0, false),
        Err(Errno::NOSYS) => match remount(target, what) {
            Err(Errno::PERM) => remount(target, what | attributes(target)?),
            other => other,
        },
        other => other,
    }
}

fn set_attributes(target: &CStr, set: u64, clear: u64, recursive: bool) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `target` ends with NUL, and `attributes` is the structure of the size that is passed;
    // the kernel reads both and keeps neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(super::alone::last_errno())
}

/// Returns the attributes that the mount at `target` has.
fn attributes(target: &CStr) -> Result<MountFlags, Errno> {
    let now = rustix::fs::statvfs(target)?.f_flag;
    let mut flags = MountFlags::empty();
    for (is_set, flag) in [
        (rustix::fs::StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (rustix::fs::StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (rustix::fs::StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (rustix::fs::StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
    ] {
        if now.contains(is_set) {
            flags |= flag;
        }
    }
    Ok(flags)
}

fn remount(target: &CStr, flags: MountFlags) -> Result<(), Errno> {
    rustix::mount::mount_remount(target, MountFlags::BIND | flags, c"")
}
