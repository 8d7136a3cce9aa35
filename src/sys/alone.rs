//! Running a function in a forked child, for a process that has no other thread.
//!
//! Only then may the child use everything: it allocates, locks and panics as its parent would.

use std::fs::File;
use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

/// How often, and after which pauses, other threads are looked for again: one that was joined has made its last call, and
/// is still listed for a moment.
const LOOKS: usize = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// Says whether this process has one thread only.
pub fn is_single_threaded() -> bool {
    for _ in 0..LOOKS {
        match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
            Ok(1) => return true,
            Ok(_) => std::thread::sleep(PAUSE),
            // Where /proc is not to be had, the answer must be the safe one.
            Err(_) => return false,
        }
    }
    false
}

/// A forked child that runs a function of its own and answers with bytes.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    answer: File,
}

/// Starts `function` in a forked child. `EBUSY` where this process has other threads.
///
/// What the child does to itself (namespaces, mounts, ids) ends with it. It leaves without running
/// destructors of the parent's values, and dies with its parent.
pub fn start_child(function: impl FnOnce() -> Vec<u8>) -> Result<Child, Errno> {
    if !is_single_threaded() {
        return Err(Errno::BUSY);
    }
    let (read_end, write_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: this process has a single thread, checked above, so no lock can be held by a thread
    // that the child does not have; the child ends in `_exit` and never returns from here.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        0 => {
            drop(read_end);
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            let answer = std::panic::catch_unwind(AssertUnwindSafe(function));
            let code = match answer {
                Ok(bytes) => i32::from(File::from(write_end).write_all(&bytes).is_err()),
                Err(_) => 101,
            };
            // SAFETY: `_exit` ends the child at once, without the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(Child {
            pid,
            answer: File::from(read_end),
        }),
    }
}

impl Child {
    /// Waits for the end and returns the answer; `None` where the child panicked or was killed.
    pub fn finish(mut self) -> Result<Option<Vec<u8>>, Errno> {
        let mut bytes = Vec::new();
        let read = self.answer.read_to_end(&mut bytes);
        let succeeded = wait(self.pid)?;
        Ok((succeeded && read.is_ok()).then_some(bytes))
    }
}

/// Waits for the end of the child `pid`; says whether it ended with code 0.
fn wait(pid: i32) -> Result<bool, Errno> {
    let pid = Pid::from_raw(pid).ok_or(Errno::CHILD)?;
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.exit_status() == Some(0)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Returns the error number of the last call of the C library in this thread.
pub(super) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
