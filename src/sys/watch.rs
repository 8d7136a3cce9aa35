//! Runs in a child process forked from one with threads: no allocation, no lock, no panic.
//!
//! What the first process of a step does while the command runs, and after it: it collects the dead,
//! passes the builder's requests on, and sees to it that nothing of the step is left.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::processes::Processes;
use super::report::Report;

/// What the builder asks the first process with, where no pid namespace is there to be killed. The
/// kernel sends it as well when the builder ends.
pub(super) const KILL_REQUEST: Signal = Signal::HUP;

/// How long to wait for a killed process before looking again for others.
const LOOK_AGAIN_NANOSECONDS: libc::c_long = 10_000_000;

/// How the first process knows the step's other processes.
#[derive(Clone, Copy)]
pub(super) enum Watch<'a> {
    /// They are all in its pid namespace, and the kernel kills them when it ends.
    PidNamespace,
    /// They are its descendants: the kernel gives it every process whose parent has ended.
    Descendants {
        /// The builder's `/proc`.
        proc: BorrowedFd<'a>,
        /// The only process whose requests count.
        builder: Pid,
    },
}

/// What arrived.
enum Request {
    /// Nothing that matters; perhaps a child has died.
    Nothing,
    /// Everybody is asked to end.
    Terminate,
    /// Everybody is killed.
    Kill,
}

impl Watch<'_> {
    /// Waits until `command` has ended, and kills what it left. With a pid namespace, that is left
    /// to the kernel.
    pub(super) fn until_end_of(&self, command: Pid) -> Report {
        loop {
            while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
                if pid == command {
                    self.kill_rest();
                    return end_of(status);
                }
            }
            match self.next_request() {
                Request::Nothing => {}
                Request::Terminate => self.terminate(),
                Request::Kill => {
                    self.kill_rest();
                    return Report::Signaled(libc::SIGKILL);
                }
            }
        }
    }

    fn terminate(&self) {
        match *self {
            // SAFETY: a plain call. -1 means everything in this pid namespace but this process.
            Self::PidNamespace => unsafe {
                libc::kill(-1, libc::SIGTERM);
            },
            Self::Descendants { proc, .. } => {
                let own = rustix::process::getpid();
                Processes::new(proc).signal_descendants(own, Signal::TERM);
            }
        }
    }

    /// Kills one generation after the other: the children of the dead become this process's own.
    fn kill_rest(&self) {
        let Self::Descendants { proc, .. } = *self else {
            return;
        };
        let own = rustix::process::getpid();
        loop {
            loop {
                match rustix::process::wait(WaitOptions::NOHANG) {
                    Ok(Some(_)) | Err(Errno::INTR) => {}
                    Ok(None) => break,
                    // No child is left.
                    Err(_) => return,
                }
            }
            Processes::new(proc).signal_children(own, Signal::KILL);
            wait_for_dead_child();
        }
    }

    /// Waits for a signal. All are blocked, so that they are kept for this call although the first
    /// process of a pid namespace otherwise never sees one that it has no handler for.
    fn next_request(&self) -> Request {
        let all = [libc::SIGCHLD, libc::SIGTERM, KILL_REQUEST.as_raw()];
        let awaited = match self {
            // What a terminal sends has no sender either.
            Self::PidNamespace => &all[..2],
            Self::Descendants { .. } => &all[..],
        };
        let (signal, code, sender) = wait_for_signal(awaited);
        let is_the_builders = match *self {
            // A sender outside of this pid namespace has the number 0 in it; the step's own
            // processes cannot stop it this way.
            Self::PidNamespace => sender == 0,
            // With this code, the kernel has filled the number in, and nobody else.
            Self::Descendants { builder, .. } => {
                code == libc::SI_USER && sender == builder.as_raw_pid()
            }
        };
        if !is_the_builders {
            Request::Nothing
        } else if signal == libc::SIGTERM {
            Request::Terminate
        } else if signal == KILL_REQUEST.as_raw() {
            Request::Kill
        } else {
            Request::Nothing
        }
    }
}

fn end_of(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signaled(signal),
        (None, None) => Report::Exited(127),
    }
}

/// Returns a signal with its code and its sender.
fn wait_for_signal(signals: &[i32]) -> (i32, i32, i32) {
    // SAFETY: all bytes zero is a valid value of both types, and both outlive the calls. The number
    // of the sender is there for the signals that are sent, and for SIGCHLD.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let signal = libc::sigwaitinfo(&raw const set, &raw mut info);
        (signal, info.si_code, info.si_pid())
    }
}

/// Waits until a child has died, or a moment.
fn wait_for_dead_child() {
    let moment = libc::timespec {
        tv_sec: 0,
        tv_nsec: LOOK_AGAIN_NANOSECONDS,
    };
    // SAFETY: all bytes zero is a valid set, and all three outlive the calls; the sender is not
    // asked for.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const moment);
    }
}
