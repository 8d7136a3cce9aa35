//! Files as the calling process would find them: from its root, its working directory, its descriptors.
//!
//! The answering thread takes the caller's root directory for its own, so that the kernel itself
//! resolves every path: `..`, links, mounts. Relative paths start at the magic links that the
//! builder's `/proc` has for each thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::sys;

use super::trouble::{OurTrouble, Trouble};

/// The answering thread's eyes. Belongs to that thread: its root directory is changed.
#[derive(Debug)]
pub(super) struct View {
    /// The builder's own `/proc`, held from before the root directory changed.
    proc: OwnedFd,
    /// Which root directory this thread has now.
    root: RefCell<Option<RootDir>>,
}

/// Tells root directories apart: by the mount as well, since one directory can be mounted twice.
#[derive(Debug, PartialEq, Eq)]
struct RootDir {
    mount: u64,
    dev: (u32, u32),
    ino: u64,
}

/// A path with where it starts, for calls of this thread.
#[derive(Debug)]
pub(super) struct Place<'a> {
    start: BorrowedFd<'a>,
    path: CString,
    /// The path ends at one of our own magic links, which must be followed.
    is_descriptor: bool,
}

impl View {
    /// Makes the calling thread one that has a root directory of its own.
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open(c"/proc", flags, Mode::empty())?;
        sys::separate_working_dir()?;
        rustix::process::umask(Mode::empty());
        Ok(Self {
            proc,
            root: RefCell::new(None),
        })
    }

    /// Returns the place of `path` for `thread`, relative to its descriptor `dir` or, for `AT_FDCWD`,
    /// to its working directory. An empty path is nowhere.
    pub(super) fn place(&self, thread: Pid, dir: i32, path: &CStr) -> Result<Place<'_>, Trouble> {
        if path.is_empty() {
            return Err(Trouble::Kernel(Errno::NOENT));
        }
        self.take_root_of(thread)?;
        let bytes = path.to_bytes();
        if bytes.first() == Some(&b'/') {
            let path = match self.own_name(thread, bytes)? {
                Some(other) => other,
                None => path.to_owned(),
            };
            return Ok(Place {
                start: CWD,
                path,
                is_descriptor: false,
            });
        }
        let mut full = self.start_of(thread, dir);
        full.push(b'/');
        full.extend_from_slice(bytes);
        Ok(Place {
            start: self.proc.as_fd(),
            path: CString::new(full).map_err(|_| Errno::INVAL)?,
            is_descriptor: false,
        })
    }

    /// Returns the place of what `thread` has open as `descriptor`; of its working directory for
    /// `AT_FDCWD`.
    pub(super) fn descriptor(&self, thread: Pid, descriptor: i32) -> Result<Place<'_>, Trouble> {
        if descriptor < 0 && descriptor != AT_FDCWD {
            return Err(Trouble::Kernel(Errno::BADF));
        }
        Ok(Place {
            start: self.proc.as_fd(),
            path: CString::new(self.start_of(thread, descriptor)).map_err(|_| Errno::INVAL)?,
            is_descriptor: true,
        })
    }

    /// Reads one line of a thread's `/proc/PID/status`; `None` where the kernel has no such line.
    pub(super) fn status(&self, thread: Pid, name: &str) -> Result<Option<String>, Trouble> {
        let path = format!("{}/status", thread.as_raw_nonzero());
        let action = "read a process's status";
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.proc, path, flags, Mode::empty()).ours(action)?;
        let mut text = [0; 8192];
        let length = rustix::io::read(&file, &mut text).ours(action)?;
        let text = String::from_utf8_lossy(&text[..length]);
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(value.map(|value| value.trim_start_matches(':').trim().to_owned()))
    }

    /// Returns the umask of a thread.
    pub(super) fn umask(&self, thread: Pid) -> Result<Mode, Trouble> {
        let found = self.status(thread, "Umask")?;
        let mask = found.and_then(|text| u32::from_str_radix(&text, 8).ok());
        mask.map(Mode::from_raw_mode).ok_or(Trouble::Ours {
            action: "read a process's umask",
            errno: Errno::INVAL,
        })
    }

    fn start_of(&self, thread: Pid, dir: i32) -> Vec<u8> {
        let thread = thread.as_raw_nonzero();
        match dir {
            AT_FDCWD => format!("{thread}/cwd"),
            dir => format!("{thread}/fd/{dir}"),
        }
        .into_bytes()
    }

    fn take_root_of(&self, thread: Pid) -> Result<(), Trouble> {
        const ACTION: &str = "enter a process's root directory";
        let path = format!("{}/root", thread.as_raw_nonzero());
        let wanted = StatxFlags::INO | StatxFlags::from_bits_retain(STATX_MNT_ID);
        let found = rustix::fs::statx(&self.proc, &path, AtFlags::empty(), wanted).ours(ACTION)?;
        let root = RootDir {
            mount: found.stx_mnt_id,
            dev: (found.stx_dev_major, found.stx_dev_minor),
            ino: found.stx_ino,
        };
        if self.root.borrow().as_ref() == Some(&root) {
            return Ok(());
        }
        self.root.replace(None);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.proc, &path, flags, Mode::empty()).ours(ACTION)?;
        rustix::process::fchdir(&dir).ours(ACTION)?;
        rustix::process::chroot(c".").ours(ACTION)?;
        self.root.replace(Some(root));
        Ok(())
    }

    /// Returns the path that means for us what `path` means for `thread`: `/proc/self` in the step's
    /// `/proc` is nobody, or somebody else, for a thread outside of its pid namespace. Only the usual
    /// spellings are known.
    fn own_name(&self, thread: Pid, path: &[u8]) -> Result<Option<CString>, Trouble> {
        const NAMES: [(&[u8], &str); 6] = [
            (b"/proc/self", ""),
            (b"/proc/thread-self", ""),
            (b"/dev/fd", "/fd"),
            (b"/dev/stdin", "/fd/0"),
            (b"/dev/stdout", "/fd/1"),
            (b"/dev/stderr", "/fd/2"),
        ];
        let found = NAMES.iter().find_map(|(name, inside)| {
            let rest = path.strip_prefix(*name)?;
            matches!(rest.first(), None | Some(b'/')).then_some((*inside, rest))
        });
        let Some((inside, rest)) = found else {
            return Ok(None);
        };
        let numbers = self.status(thread, "NSpid")?;
        let Some(number) = numbers
            .as_deref()
            .and_then(|all| all.split('\t').next_back())
        else {
            return Ok(None);
        };
        let mut own = format!("/proc/{number}{inside}").into_bytes();
        own.extend_from_slice(rest);
        Ok(CString::new(own).ok())
    }
}

impl Place<'_> {
    /// Returns what the file is; the last component is followed if it is a link and `follows`.
    pub(super) fn statx(&self, follows: bool) -> Result<Statx, Errno> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let flags = self.at_flags(follows);
        rustix::fs::statx(self.start, &self.path, flags, wanted)
    }

    /// Opens a handle on the file, which is neither read nor written by it.
    pub(super) fn hold(&self, follows: bool) -> Result<OwnedFd, Errno> {
        let link = match follows || self.is_descriptor {
            true => OFlags::empty(),
            false => OFlags::NOFOLLOW,
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC | link;
        rustix::fs::openat(self.start, &self.path, flags, Mode::empty())
    }

    /// Opens the file as asked.
    pub(super) fn open(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(self.start, &self.path, flags, mode)
    }

    /// Returns the start and the path, for other calls.
    pub(super) fn parts(&self) -> (BorrowedFd<'_>, &CStr) {
        (self.start, &self.path)
    }

    /// Returns the place of the directory that holds the last component.
    pub(super) fn parent(&self) -> Place<'_> {
        Place {
            start: self.start,
            path: parent_of(&self.path),
            is_descriptor: false,
        }
    }

    fn at_flags(&self, follows: bool) -> AtFlags {
        match follows || self.is_descriptor {
            true => AtFlags::empty(),
            false => AtFlags::SYMLINK_NOFOLLOW,
        }
    }
}

/// Returns the path without its last component: `.` for a single name, `/` for one in the root.
fn parent_of(path: &CStr) -> CString {
    let bytes = path.to_bytes();
    let Some(end) = bytes.iter().rposition(|byte| *byte != b'/') else {
        return c"/".to_owned();
    };
    let parent = match bytes[..end].iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/",
        Some(slash) => &bytes[..slash],
        None => b".".as_slice(),
    };
    CString::new(parent).unwrap_or_default()
}

/// fcntl.h; rustix has it as a descriptor that cannot be compared.
pub(super) const AT_FDCWD: i32 = -100;

/// linux/stat.h: the number of the mount that a file was found on (since Linux 5.8; before, all
/// mounts look the same).
const STATX_MNT_ID: u32 = 0x1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_what_is_left_without_the_last_name() {
        let cases = [
            (c"/a/b", c"/a"),
            (c"/a/b/", c"/a"),
            (c"/a/b//", c"/a"),
            (c"/a", c"/"),
            (c"/", c"/"),
            (c"a", c"."),
            (c"a/b", c"a"),
            (c"7/cwd/x", c"7/cwd"),
        ];
        for (path, parent) in cases {
            assert_eq!(parent_of(path).as_c_str(), parent, "{path:?}");
        }
    }
}
