//! Answers calls that make files. A file that would be root's is left to the kernel; any other is made
//! here, for the caller, so that what is recorded is exactly what was made.

use rustix::fs::{FileType, Mode, OFlags, Statx};
use rustix::io::Errno;

use crate::fs::{FileKind, Inode, Ledger};
use crate::sys::{self, Notification, Reply};

use super::decide::At;
use super::identity::Identity;
use super::supervisor::{Supervisor, read_path};
use super::trouble::{OurTrouble, Trouble};
use super::view::Place;

/// The flag of `O_TMPFILE` that is not also `O_DIRECTORY`; the same on all architectures here.
const TMPFILE_BIT: u32 = 0o20_000_000;

/// Flags of which a call that makes a file has one at least.
pub(super) const CREATING_BITS: u32 = OFlags::CREATE.bits() | TMPFILE_BIT;

const SET_GROUP_ID: u32 = 0o2000;
const PERMISSIONS: u32 = 0o7777;

/// A call that opens, in the form of `openat`.
#[derive(Debug)]
pub(super) struct Opening {
    dir: i32,
    path: u64,
    flags: OFlags,
    mode: u32,
}

impl Opening {
    pub(super) fn new(dir: i32, path: u64, flags: OFlags, mode: u32) -> Self {
        Self {
            dir,
            path,
            flags,
            mode,
        }
    }

    fn may_create(&self) -> bool {
        // With it, most other flags have no effect.
        let is_handle = self.flags.contains(OFlags::PATH);
        !is_handle && self.flags.bits() & CREATING_BITS != 0
    }

    fn is_nameless(&self) -> bool {
        self.flags.bits() & TMPFILE_BIT != 0
    }
}

impl Supervisor {
    /// `how` are address and size of the call's structure.
    pub(super) fn open_with_how(
        &self,
        call: &Notification,
        dir: i32,
        path: u64,
        how: (u64, u64),
    ) -> Result<Reply, Trouble> {
        // linux/openat2.h: flags, mode and restrictions on resolving, 64 bits each.
        const HOW_BYTES: usize = 24;
        if how.1 < HOW_BYTES as u64 {
            return Ok(Reply::Continue);
        }
        let how = sys::read_memory(call.thread, how.0, HOW_BYTES);
        let how = how.ours("read a process's memory")?;
        let (numbers, _) = how.as_chunks();
        let [flags, mode, resolve] = [0, 1, 2].map(|at| u64::from_ne_bytes(numbers[at]));
        if resolve != 0 {
            return Ok(Reply::Continue);
        }
        let flags = OFlags::from_bits_retain(flags as u32);
        self.open(call, &Opening::new(dir, path, flags, mode as u32))
    }

    pub(super) fn open(&self, call: &Notification, opening: &Opening) -> Result<Reply, Trouble> {
        if !opening.may_create() {
            return Ok(Reply::Continue);
        }
        let path = read_path(call.thread, opening.path)?;
        let identity = self.identity(call)?;
        let is_nameless = opening.is_nameless();
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

    pub(super) fn make_dir(
        &self,
        call: &Notification,
        at: At,
        mode: u32,
    ) -> Result<Reply, Trouble> {
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        self.make(call, at, |place| {
            let (start, path) = place.parts();
            rustix::fs::mkdirat(start, path, mode)
        })
    }

    /// `text` is the address of the link's.
    pub(super) fn make_link(
        &self,
        call: &Notification,
        text: u64,
        at: At,
    ) -> Result<Reply, Trouble> {
        let text = read_path(call.thread, text)?;
        self.make(call, at, |place| {
            let (start, path) = place.parts();
            rustix::fs::symlinkat(&text, start, path)
        })
    }

    pub(super) fn make_node(
        &self,
        call: &Notification,
        at: At,
        mode: u32,
        device: u32,
    ) -> Result<Reply, Trouble> {
        let permissions = Mode::from_raw_mode(mode & PERMISSIONS);
        let file_type = match FileType::from_raw_mode(mode) {
            // The number is in the kernel's 32-bit form, which the C library's agrees with.
            FileType::CharacterDevice => {
                let kind = FileKind::CharDevice(device.into());
                return self.make_device(call, at, kind, permissions);
            }
            FileType::BlockDevice => {
                let kind = FileKind::BlockDevice(device.into());
                return self.make_device(call, at, kind, permissions);
            }
            FileType::Directory | FileType::Symlink => return Err(Trouble::Kernel(Errno::PERM)),
            // No type at all means a regular file.
            FileType::RegularFile | FileType::Unknown => FileType::RegularFile,
            FileType::Fifo => FileType::Fifo,
            FileType::Socket => FileType::Socket,
        };
        self.make(call, at, |place| {
            let (start, path) = place.parts();
            rustix::fs::mknodat(start, path, file_type, permissions, 0)
        })
    }

    /// Makes an empty file and records that it stands for a device.
    fn make_device(
        &self,
        call: &Notification,
        at: At,
        kind: FileKind,
        mode: Mode,
    ) -> Result<Reply, Trouble> {
        let identity = self.identity(call)?;
        if !identity.is_root_for_files() {
            return Err(Trouble::Kernel(Errno::PERM));
        }
        let umask = self.view.umask(call.thread)?;
        let place = self.place(call, at)?;
        let parent = place.parent().statx(true);
        // Where there is no such directory, the call fails for that.
        let owner = owner_in(&self.ledger, &identity, parent).unwrap_or((0, 0));
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
        at: At,
        make: impl FnOnce(&Place<'_>) -> Result<(), Errno>,
    ) -> Result<Reply, Trouble> {
        let identity = self.identity(call)?;
        let place = self.place(call, at)?;
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
