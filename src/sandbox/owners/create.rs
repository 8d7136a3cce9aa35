//! Answers calls that make files. A file that would be root's is left to the kernel; any other is made
//! here, for the caller, so that what is recorded is exactly what was made.

use rustix::fs::{FileType, Mode, OFlags, Statx};
use rustix::io::Errno;

use crate::fs::{FileKind, Inode, Ledger};
use crate::sys::{self, Call, Notification, Reply};

use super::identity::Identity;
use super::supervisor::{Supervisor, low, read_path};
use super::trouble::{OurTrouble, Trouble};
use super::view::{AT_FDCWD, Place};

/// The flag of `O_TMPFILE` that is not also `O_DIRECTORY`; the same on all architectures here.
const TMPFILE_BIT: u32 = 0o20_000_000;

/// Flags of which a call that makes a file has one at least.
pub(super) const CREATING_BITS: u32 = OFlags::CREATE.bits() | TMPFILE_BIT;

const SET_GROUP_ID: u32 = 0o2000;
const PERMISSIONS: u32 = 0o7777;

/// A call that opens, in the form of `openat`.
struct Opening {
    dir: i32,
    path: u64,
    flags: OFlags,
    mode: u32,
}

impl Supervisor {
    pub(super) fn open(&self, call: &Notification) -> Result<Reply, Trouble> {
        let Some(opening) = opening_of(call)? else {
            return Ok(Reply::Continue);
        };
        let path = read_path(call.thread, opening.path)?;
        let identity = self.identity(call)?;
        let is_nameless = opening.flags.bits() & TMPFILE_BIT != 0;
        let follows = !opening.flags.intersects(OFlags::NOFOLLOW | OFlags::EXCL);
        let Ok(place) = self.view.place(call.thread, opening.dir, &path) else {
            return Ok(Reply::Continue);
        };
        let dir = match is_nameless {
            true => place.statx(true),
            false => place.parent().statx(true),
        };
        let Some(owner) = owner_in(&self.ledger, &identity, dir) else {
            return Ok(Reply::Continue);
        };
        if !is_nameless && !matches!(place.statx(follows), Err(Errno::NOENT)) {
            // It is there, or the kernel knows better why it cannot be.
            return Ok(Reply::Continue);
        }
        // Whatever comes in between, such as a named pipe, nothing here waits.
        let added = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(opening.mode & PERMISSIONS);
        let umask = self.view.umask(call.thread)?;
        self.check(call)?;
        let opened = with_umask(umask, || place.open(opening.flags | added, mode));
        let file = match opened {
            Ok(file) => file,
            Err(Errno::EXIST | Errno::NXIO) if !opening.flags.contains(OFlags::EXCL) => {
                return Ok(Reply::Continue);
            }
            Err(errno) => return Err(Trouble::Kernel(errno)),
        };
        self.record_new(&file, owner)?;
        if !opening.flags.contains(OFlags::NONBLOCK) {
            let flags = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        }
        Ok(Reply::File {
            file,
            close_on_exec: opening.flags.contains(OFlags::CLOEXEC),
        })
    }

    pub(super) fn make_dir(&self, call: &Notification) -> Result<Reply, Trouble> {
        let [a, b, c, ..] = call.arguments;
        let (dir, path, mode) = match call.call {
            Call::Mkdirat => (low(a) as i32, b, low(c)),
            _ => (AT_FDCWD, a, low(b)),
        };
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        self.make(call, dir, path, |place| {
            let (start, path) = place.parts();
            rustix::fs::mkdirat(start, path, mode)
        })
    }

    pub(super) fn make_link(&self, call: &Notification) -> Result<Reply, Trouble> {
        let [a, b, c, ..] = call.arguments;
        let (text, dir, path) = match call.call {
            Call::Symlinkat => (a, low(b) as i32, c),
            _ => (a, AT_FDCWD, b),
        };
        let text = read_path(call.thread, text)?;
        self.make(call, dir, path, |place| {
            let (start, path) = place.parts();
            rustix::fs::symlinkat(&text, start, path)
        })
    }

    pub(super) fn make_node(&self, call: &Notification) -> Result<Reply, Trouble> {
        let [a, b, c, d, ..] = call.arguments;
        let (dir, path, mode, device) = match call.call {
            Call::Mknodat => (low(a) as i32, b, low(c), low(d)),
            _ => (AT_FDCWD, a, low(b), low(c)),
        };
        let permissions = Mode::from_raw_mode(mode & PERMISSIONS);
        // The number is in the kernel's 32-bit form, which the C library's agrees with.
        let kind = match FileType::from_raw_mode(mode) {
            FileType::CharacterDevice => FileKind::CharDevice(device.into()),
            FileType::BlockDevice => FileKind::BlockDevice(device.into()),
            FileType::Directory | FileType::Symlink => return Err(Trouble::Kernel(Errno::PERM)),
            other => {
                let file_type = match other {
                    FileType::Unknown => FileType::RegularFile,
                    other => other,
                };
                return self.make(call, dir, path, |place| {
                    let (start, path) = place.parts();
                    rustix::fs::mknodat(start, path, file_type, permissions, 0)
                });
            }
        };
        self.make_device(call, dir, path, kind, permissions)
    }

    /// Makes an empty file and records that it stands for a device.
    fn make_device(
        &self,
        call: &Notification,
        dir: i32,
        path: u64,
        kind: FileKind,
        mode: Mode,
    ) -> Result<Reply, Trouble> {
        let identity = self.identity(call)?;
        if !identity.is_root_for_files() {
            return Err(Trouble::Kernel(Errno::PERM));
        }
        let path = read_path(call.thread, path)?;
        let umask = self.view.umask(call.thread)?;
        let place = self.view.place(call.thread, dir, &path)?;
        let parent = place.parent().statx(true);
        let gid = identity.group.file;
        let owner = owner_in(&self.ledger, &identity, parent).unwrap_or((0, gid));
        self.check(call)?;
        with_umask(umask, || {
            let (start, path) = place.parts();
            rustix::fs::mknodat(start, path, FileType::RegularFile, mode, 0)
        })?;
        let inode = self.record_made(&place, owner)?;
        self.ledger.set_device(&inode, kind);
        Ok(Reply::Value(0))
    }

    /// Has `make` make what the caller asked for, and records whose it is; or leaves it to the kernel.
    fn make(
        &self,
        call: &Notification,
        dir: i32,
        path: u64,
        make: impl FnOnce(&Place<'_>) -> Result<(), Errno>,
    ) -> Result<Reply, Trouble> {
        let path = read_path(call.thread, path)?;
        let identity = self.identity(call)?;
        let Ok(place) = self.view.place(call.thread, dir, &path) else {
            return Ok(Reply::Continue);
        };
        let parent = place.parent().statx(true);
        let Some(owner) = owner_in(&self.ledger, &identity, parent) else {
            return Ok(Reply::Continue);
        };
        let umask = self.view.umask(call.thread)?;
        self.check(call)?;
        with_umask(umask, || make(&place))?;
        self.record_made(&place, owner)?;
        Ok(Reply::Value(0))
    }

    fn record_made(&self, place: &Place<'_>, owner: (u32, u32)) -> Result<Inode, Trouble> {
        let file = place.hold(false).ours("look at a new file")?;
        self.record_new(file, owner)
    }
}

/// Reads the arguments of a call that opens; `None` for one that makes no file, or that only the
/// kernel can carry out.
fn opening_of(call: &Notification) -> Result<Option<Opening>, Trouble> {
    let [a, b, c, d, ..] = call.arguments;
    let opening = match call.call {
        Call::Creat => Opening {
            dir: AT_FDCWD,
            path: a,
            flags: OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC,
            mode: low(b),
        },
        Call::Openat => Opening {
            dir: low(a) as i32,
            path: b,
            flags: OFlags::from_bits_retain(low(c)),
            mode: low(d),
        },
        Call::Openat2 => {
            // linux/openat2.h: flags, mode and restrictions on resolving, 64 bits each.
            const HOW_BYTES: usize = 24;
            if d < HOW_BYTES as u64 {
                return Ok(None);
            }
            let how = sys::read_memory(call.thread, c, HOW_BYTES);
            let how = how.ours("read a process's memory")?;
            let (numbers, _) = how.as_chunks();
            let [flags, mode, resolve] = [0, 1, 2].map(|at| u64::from_ne_bytes(numbers[at]));
            if resolve != 0 {
                return Ok(None);
            }
            Opening {
                dir: low(a) as i32,
                path: b,
                flags: OFlags::from_bits_retain(low(flags)),
                mode: low(mode),
            }
        }
        _ => Opening {
            dir: AT_FDCWD,
            path: a,
            flags: OFlags::from_bits_retain(low(b)),
            mode: low(c),
        },
    };
    let is_creating = opening.flags.bits() & CREATING_BITS != 0;
    // With it, the other flags have no effect.
    let is_handle = opening.flags.contains(OFlags::PATH);
    Ok((is_creating && !is_handle).then_some(opening))
}

/// Returns whose a new file in `dir` is; `None` where it is root's as the kernel makes it, or where
/// there is no such directory.
fn owner_in(ledger: &Ledger, identity: &Identity, dir: Result<Statx, Errno>) -> Option<(u32, u32)> {
    let dir = dir.ok()?;
    let gid = match u32::from(dir.stx_mode) & SET_GROUP_ID {
        0 => identity.group.file,
        _ => ledger.owner(&Inode::from(&dir)).1,
    };
    let owner = (identity.user.file, gid);
    (owner != (0, 0)).then_some(owner)
}

/// The umask is this thread's own, like its root directory.
fn with_umask<T>(umask: Mode, action: impl FnOnce() -> T) -> T {
    rustix::process::umask(umask);
    let result = action();
    rustix::process::umask(Mode::empty());
    result
}
