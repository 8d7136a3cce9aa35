//! Runs in a child process forked from one with threads: no allocation, no lock, no panic.
//!
//! Finding and ending processes by who started them, where no pid namespace holds them together.
//! What is read is the `/proc` of the builder, through a descriptor: a step may have none of its own.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::alone::last_errno;

/// How many parents a process may have: a number that no machine has is a table that changed while
/// it was read.
const PARENTS_MAX: usize = 100_000;

/// The processes of this pid namespace.
#[derive(Clone, Copy)]
pub(super) struct Processes<'a> {
    /// The directory `/proc`.
    proc: BorrowedFd<'a>,
}

/// Opens `/proc`. `ENOENT` where it is not the one of this pid namespace.
pub(super) fn open_proc() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open(c"/proc", flags, Mode::empty())?;
    let mut buffer = [0; 16];
    // SAFETY: the path ends with NUL and the buffer has the length that is passed.
    let length = unsafe {
        libc::readlinkat(
            std::os::fd::AsRawFd::as_raw_fd(&proc),
            c"self".as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    };
    let length = usize::try_from(length).map_err(|_| last_errno())?;
    let own = rustix::process::getpid().as_raw_pid();
    match buffer.get(..length).and_then(number) {
        Some(pid) if pid == own => Ok(proc),
        _ => Err(Errno::NOENT),
    }
}

impl<'a> Processes<'a> {
    pub(super) fn new(proc: BorrowedFd<'a>) -> Self {
        Self { proc }
    }

    /// Sends `signal` to every process that `ancestor` started, and those that they started.
    pub(super) fn signal_descendants(&self, ancestor: Pid, signal: Signal) {
        self.each(&mut |pid| {
            if self.descends(pid, ancestor) {
                self.signal(pid, signal);
            }
        });
    }

    /// Sends `signal` to every process that the first process with the number `parent`, which has
    /// a single thread, started or took over. Says how many there are.
    pub(super) fn signal_children(&self, parent: Pid, signal: Signal) -> usize {
        let mut count = 0;
        let mut visit = |pid| {
            count += 1;
            self.signal(pid, signal);
        };
        // A kernel without CONFIG_PROC_CHILDREN has no list.
        if self.each_listed_child(parent, &mut visit) == Err(Errno::NOENT) {
            self.each(&mut |pid| {
                if self.parent(pid) == Some(parent) {
                    visit(pid);
                }
            });
        }
        count
    }

    /// Calls `visit` with the children of this process that are in another session. They cannot
    /// have got there as its children: they were started by a step's process that is dead.
    pub(super) fn each_stray(&self, visit: &mut dyn FnMut(Pid)) {
        let own = rustix::process::getpid();
        let Some(own_session) = session(own) else {
            return;
        };
        self.each(&mut |pid| {
            let is_stray = || session(pid).is_some_and(|its| its != own_session);
            if self.parent(pid) == Some(own) && is_stray() {
                visit(pid);
            }
        });
    }

    /// Sends `signal` as whoever is allowed to: in a container without CAP_KILL, root may not signal
    /// the processes of others, but may become them.
    pub(super) fn signal(&self, pid: Pid, signal: Signal) {
        if rustix::process::kill_process(pid, signal) != Err(Errno::PERM) {
            return;
        }
        let Some(uid) = self.real_uid(pid) else {
            return;
        };
        // SAFETY: no memory is shared; the child makes two calls and ends.
        match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
            0 => {
                // SAFETY: plain calls. The first is not the C library's, which would look for
                // threads that this process does not have.
                unsafe {
                    libc::syscall(libc::SYS_setresuid, uid, uid, uid);
                    libc::kill(pid.as_raw_pid(), signal.as_raw());
                    libc::_exit(0)
                }
            }
            -1 => {}
            child => {
                // SAFETY: waits for the child made above; a null pointer is no place for a status.
                unsafe { libc::waitpid(child as i32, std::ptr::null_mut(), 0) };
            }
        }
    }

    fn descends(&self, pid: Pid, ancestor: Pid) -> bool {
        let mut pid = pid;
        for _ in 0..PARENTS_MAX {
            match self.parent(pid) {
                Some(parent) if parent == ancestor => return true,
                Some(parent) => pid = parent,
                None => return false,
            }
        }
        false
    }

    /// Returns the parent; `None` for one outside of this pid namespace, or of a process that ended.
    fn parent(&self, pid: Pid) -> Option<Pid> {
        let mut buffer = [0; 256];
        let stat = self.read(pid, c"stat", &mut buffer)?;
        // proc_pid_stat(5): the command's name stands in parentheses and may hold anything; then
        // come the state and the parent.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = stat.get(end + 1..)?.split(|byte| *byte == b' ').skip(2);
        Pid::from_raw(number(fields.next()?)?)
    }

    fn real_uid(&self, pid: Pid) -> Option<u32> {
        let mut buffer = [0; 1024];
        let status = self.read(pid, c"status", &mut buffer)?;
        let mut lines = status.split(|byte| *byte == b'\n');
        let uids = lines.find_map(|line| line.strip_prefix(b"Uid:\t"))?;
        let uid = uids.split(|byte| *byte == b'\t').next()?;
        number(uid)?.try_into().ok()
    }

    fn each(&self, visit: &mut dyn FnMut(Pid)) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(dir) = rustix::fs::openat(self.proc, c".", flags, Mode::empty()) else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            if let Some(pid) = number(entry.file_name().to_bytes()).and_then(Pid::from_raw) {
                visit(pid);
            }
        }
    }

    fn each_listed_child(&self, parent: Pid, visit: &mut dyn FnMut(Pid)) -> Result<(), Errno> {
        let own = ProcPath::new(parent, c"task");
        let task = rustix::fs::openat(self.proc, own.text(), OFlags::PATH, Mode::empty())?;
        let list = ProcPath::new(parent, c"children");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let list = rustix::fs::openat(&task, list.text(), flags, Mode::empty())?;
        let mut buffer = [0; 512];
        let mut pid = 0_i32;
        loop {
            let length = rustix::io::read(&list, &mut buffer)?;
            for byte in buffer.iter().take(length) {
                if byte.is_ascii_digit() {
                    pid = pid.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
                } else if let Some(child) = Pid::from_raw(std::mem::take(&mut pid)) {
                    visit(child);
                }
            }
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// Reads the beginning of a process's file.
    fn read<'b>(&self, pid: Pid, name: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let path = ProcPath::new(pid, name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.proc, path.text(), flags, Mode::empty()).ok()?;
        let length = rustix::io::read(&file, &mut *buffer).ok()?;
        buffer.get(..length)
    }
}

/// `<pid>/<name>`, put together without allocating.
struct ProcPath {
    bytes: [u8; 32],
}

impl ProcPath {
    /// `name` is one of a few short ones.
    fn new(pid: Pid, name: &CStr) -> Self {
        let mut digits = [0; 10];
        let mut rest = pid.as_raw_pid().unsigned_abs();
        let mut count = 0;
        for digit in &mut digits {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        let number = digits.iter().take(count).rev();
        let text = number.chain(b"/").chain(name.to_bytes());
        // The last byte stays NUL.
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().take(31).zip(text) {
            *to = *from;
        }
        Self { bytes }
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// Returns the number of a process's session: 0 for one that was begun outside of this pid namespace, as
/// that of a command which a runtime started in a container that was there before. `None` where it ended.
fn session(pid: Pid) -> Option<i32> {
    // SAFETY: a plain call. rustix's takes the answer for a process's number, which is never 0.
    let session = unsafe { libc::getsid(pid.as_raw_pid()) };
    (session >= 0).then_some(session)
}

/// Reads a number that is all there is.
fn number(text: &[u8]) -> Option<i32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_i32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i32::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_are_found_through_the_builders_proc() {
        let proc = open_proc().unwrap();
        let processes = Processes::new(proc.as_fd());
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        let own = rustix::process::getpid();
        assert_eq!(processes.parent(pid), Some(own));
        assert!(processes.descends(pid, own) && !processes.descends(own, pid));
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(processes.real_uid(pid), Some(uid));
        let mut found = false;
        processes.each(&mut |other| found |= other == pid);
        assert!(found);
        // A child in the same session is one of ours, and no stray.
        processes.each_stray(&mut |stray| assert_ne!(stray, pid));
        processes.signal(pid, Signal::KILL);
        child.wait().unwrap();
        assert_eq!(processes.parent(pid), None);
    }

    #[test]
    fn numbers_and_paths_are_exact() {
        assert_eq!(number(b"120"), Some(120));
        for text in [&b""[..], b"12a", b"-1", b"99999999999"] {
            assert_eq!(number(text), None, "{text:?}");
        }
        let pid = Pid::from_raw(i32::MAX).unwrap();
        assert_eq!(
            ProcPath::new(pid, c"children").text(),
            c"2147483647/children"
        );
        let pid = Pid::from_raw(7).unwrap();
        assert_eq!(ProcPath::new(pid, c"stat").text(), c"7/stat");
    }
}
