//! Runs in a child process forked from one with threads: no allocation, no lock, no panic.
//!
//! What the first process of a step does before the command starts, as a list prepared by the parent:
//! the parent knows the reasons, the child carries out one call after the other.

use std::ffi::{CStr, CString};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::mount::{forbid, make_read_only};

/// One step of the preparation, with the words for the parent's error message.
#[derive(Debug)]
pub struct Task {
    /// What it does, as a verb phrase that reads after "cannot": "mount `/proc`".
    pub purpose: String,
    /// The call.
    pub operation: Operation,
    /// A path that does not exist makes it nothing to do, instead of a failure.
    pub may_be_absent: bool,
}

/// A call with everything it needs.
#[derive(Debug)]
pub enum Operation {
    /// Mounts a file system.
    Mount {
        /// Its type, as in `/proc/filesystems`.
        kind: &'static CStr,
        /// An existing directory.
        target: CString,
        /// Attributes of the mount.
        flags: MountFlags,
        /// Options of the file system; empty for none.
        options: CString,
    },
    /// Shows the file or directory `source` at `target` as well.
    Bind {
        /// What is shown.
        source: CString,
        /// An existing path of the same kind.
        target: CString,
        /// With the mounts below it: without, a user namespace refuses trees that have any.
        recursive: bool,
    },
    /// Makes a mount read-only.
    ReadOnly {
        /// Where it is mounted.
        target: CString,
        /// With all mounts below it.
        recursive: bool,
    },
    /// Makes something in a mount useless, and all else usable, whatever the file system below is
    /// mounted with.
    Forbid {
        /// Where it is mounted.
        target: CString,
        /// Of `NODEV`, `NOSUID` and `NOEXEC`.
        what: MountFlags,
    },
    /// Creates a directory; one that exists is left as it is.
    CreateDir {
        /// Its parent must exist.
        path: CString,
        /// Mode bits.
        mode: u32,
    },
    /// Creates a file that must not exist.
    WriteFile {
        /// Its parent must exist.
        path: CString,
        /// Mode bits.
        mode: u32,
        /// All of its contents.
        contents: Vec<u8>,
    },
    /// Creates a symbolic link.
    Symlink {
        /// The link's text.
        text: CString,
        /// The link.
        path: CString,
    },
    /// Sets the name of the machine in this UTS namespace.
    SetHostname(Vec<u8>),
    /// Switches on the loopback interface of this network namespace.
    BringUpLoopback,
    /// Makes the mount at this path the root directory, and the former root unreachable.
    EnterRoot(CString),
    /// As `EnterRoot`, where a seccomp profile forbids pivot_root(2).
    CoverRoot(CString),
    /// Makes this directory the root directory of this process, and nothing more.
    ChangeRoot(CString),
    /// Changes the working directory.
    ChangeDir(CString),
}

impl Task {
    /// Makes the call. Allocates nothing.
    pub(super) fn carry_out(&self) -> Result<(), Errno> {
        match self.operation.carry_out() {
            Err(Errno::NOENT) if self.may_be_absent => Ok(()),
            other => other,
        }
    }
}

impl Operation {
    fn carry_out(&self) -> Result<(), Errno> {
        match self {
            Self::Mount {
                kind,
                target,
                flags,
                options,
            } => rustix::mount::mount(*kind, target.as_c_str(), *kind, *flags, options.as_c_str()),
            Self::Bind {
                source,
                target,
                recursive: true,
            } => rustix::mount::mount_bind_recursive(source.as_c_str(), target.as_c_str()),
            Self::Bind {
                source,
                target,
                recursive: false,
            } => rustix::mount::mount_bind(source.as_c_str(), target.as_c_str()),
            Self::ReadOnly { target, recursive } => make_read_only(target, *recursive),
            Self::Forbid { target, what } => forbid(target, *what),
            Self::CreateDir { path, mode } => create_dir(path, *mode),
            Self::WriteFile {
                path,
                mode,
                contents,
            } => write_file(path, *mode, contents),
            Self::Symlink { text, path } => {
                rustix::fs::symlinkat(text.as_c_str(), CWD, path.as_c_str())
            }
            Self::SetHostname(name) => rustix::system::sethostname(name),
            Self::BringUpLoopback => bring_up_loopback(),
            Self::EnterRoot(path) => enter_root(path),
            Self::CoverRoot(path) => cover_root(path),
            Self::ChangeRoot(path) => change_root(path),
            Self::ChangeDir(path) => rustix::process::chdir(path.as_c_str()),
        }
    }
}

fn create_dir(path: &CStr, mode: u32) -> Result<(), Errno> {
    match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn write_file(path: &CStr, mode: u32, mut contents: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(mode))?;
    while !contents.is_empty() {
        match rustix::io::write(&file, contents) {
            Ok(written) => contents = contents.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn enter_root(path: &CStr) -> Result<(), Errno> {
    rustix::process::chdir(path)?;
    // pivot_root(2), "pivot_root(".", ".")": the old root ends up mounted over the new one, so that
    // no directory is needed to put it in; what is on top is then taken off.
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

fn cover_root(path: &CStr) -> Result<(), Errno> {
    rustix::process::chdir(path)?;
    rustix::mount::mount_move(c".", c"/")?;
    change_root(c".")
}

fn change_root(path: &CStr) -> Result<(), Errno> {
    rustix::process::chroot(path)?;
    rustix::process::chdir(c"/")
}

fn bring_up_loopback() -> Result<(), Errno> {
    // SAFETY: a plain call without pointers; the descriptor is ours and closed below.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(super::alone::last_errno());
    }
    // SAFETY: all bytes zero is a valid `ifreq`: integers, byte arrays and null pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: `request` outlives the call and has the type that SIOCSIFFLAGS reads.
    let result = unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw mut request) };
    let outcome = if result == 0 {
        Ok(())
    } else {
        Err(super::alone::last_errno())
    };
    // SAFETY: the descriptor was opened above and is not used after this.
    unsafe { libc::close(socket) };
    outcome
}
