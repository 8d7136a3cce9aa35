//! Runs in a child process forked from one with threads: no allocation, no lock, no panic.
//!
//! The first process of a step. It prepares its namespaces, where it has any, starts the command as
//! its child, and watches over it until it ends.

use std::ffi::{CString, c_char};
use std::os::fd::{BorrowedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Pid, Resource, Rlimit, Signal, Uid};

use super::alone::last_errno;
use super::arguments::{ArgumentArea, set_process_name};
use super::capability::{Capabilities, keep_only, limit_bounding_set};
use super::report::{Report, SetupStep};
use super::task::Task;
use super::watch::{KILL_REQUEST, Watch};

/// Everything the first process needs, prepared by the parent.
pub(super) struct Init<'a> {
    pub(super) tasks: &'a [Task],
    pub(super) capabilities: Capabilities,
    pub(super) argument_area: Option<ArgumentArea>,
    pub(super) streams: Streams,
    /// The builder, where the step is in its pid namespace.
    pub(super) visible_builder: Option<Pid>,
    /// Paths to try to execute, in this order.
    pub(super) candidates: &'a [CString],
    /// Pointers to the arguments, with a null pointer at the end.
    pub(super) argv: &'a [*const c_char],
    /// Pointers to `NAME=value` strings, with a null pointer at the end.
    pub(super) envp: &'a [*const c_char],
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: &'a [Gid],
}

/// Descriptors that the first process takes over, under the numbers that the parent gave them.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    pub(super) stdin: RawFd,
    pub(super) stdout: RawFd,
    pub(super) stderr: RawFd,
    /// Where the report is written.
    pub(super) report: RawFd,
    /// A pipe whose other end only the parent holds.
    pub(super) life: RawFd,
    /// The parent's `/proc`, or anything where it is not needed.
    pub(super) proc: RawFd,
}

/// Where the report's, the life's and the process table's descriptor are moved to.
const REPORT_FD: RawFd = 3;
const LIFE_FD: RawFd = 4;
const PROC_FD: RawFd = 5;
const FIRST_UNUSED_FD: RawFd = 6;

impl Init<'_> {
    /// Is the first process. All signals are blocked when it starts.
    pub(super) fn run(&self) -> ! {
        match self.prepare_and_start() {
            Ok(command) => {
                send(self.watch().until_end_of(command));
                exit(0)
            }
            Err(report) => {
                send(report);
                exit(1)
            }
        }
    }

    fn prepare_and_start(&self) -> Result<Pid, Report> {
        reset_signal_handlers();
        let failed = |step| move |errno| Report::SetupFailed(step, errno);
        if let Err(errno) = self.take_descriptors() {
            // The report's descriptor is not in place yet.
            let report = Report::SetupFailed(SetupStep::Descriptors, errno);
            write_report(self.streams.report, report);
            exit(1);
        }
        self.hold_descendants()
            .map_err(failed(SetupStep::ParentDeath))?;
        self.hide_memory().map_err(failed(SetupStep::Memory))?;
        rustix::process::umask(Mode::empty());
        for (index, task) in self.tasks.iter().enumerate() {
            task.carry_out()
                .map_err(|errno| Report::TaskFailed(index, errno))?;
        }
        limit_bounding_set(self.capabilities).map_err(failed(SetupStep::Capabilities))?;
        // Once more: when the first look was taken, another step's first process may have held a
        // copy of the pipe's other end for a moment.
        exit_if_parent_is_gone();
        let command = self.fork_command().map_err(failed(SetupStep::Fork))?;
        // It sends signals to processes of any user, and needs nothing else.
        let needed = match self.watch() {
            Watch::PidNamespace => Capabilities::KILL,
            // Where it lacks the first, it helps itself with the second.
            Watch::Descendants { .. } => Capabilities::KILL | Capabilities::SETUID,
        };
        keep_only(needed).map_err(failed(SetupStep::Capabilities))?;
        Ok(command)
    }

    fn watch(&self) -> Watch<'_> {
        match self.visible_builder {
            None => Watch::PidNamespace,
            Some(builder) => Watch::Descendants {
                // SAFETY: the descriptor was put in place by `take_descriptors` and is never closed.
                proc: unsafe { BorrowedFd::borrow_raw(PROC_FD) },
                builder,
            },
        }
    }

    /// Sees to it that nothing of the step outlives the builder's thread, and that nothing leaves
    /// the step.
    fn hold_descendants(&self) -> Result<(), Errno> {
        match self.watch() {
            Watch::PidNamespace => end_with_parent(Signal::KILL),
            Watch::Descendants { .. } => {
                rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
                // It has to kill the others first.
                end_with_parent(KILL_REQUEST)
            }
        }
    }

    fn take_descriptors(&self) -> Result<(), Errno> {
        let streams = self.streams;
        // Out of the way first: the numbers may overlap in any way.
        let stdin = move_up(streams.stdin)?;
        let stdout = move_up(streams.stdout)?;
        let stderr = move_up(streams.stderr)?;
        let report = move_up(streams.report)?;
        let life = move_up(streams.life)?;
        let proc = move_up(streams.proc)?;
        put(stdin, 0, 0)?;
        put(stdout, 1, 0)?;
        put(stderr, 2, 0)?;
        put(report, REPORT_FD, libc::O_CLOEXEC)?;
        put(life, LIFE_FD, libc::O_CLOEXEC)?;
        put(proc, PROC_FD, libc::O_CLOEXEC)?;
        close_from(FIRST_UNUSED_FD)
    }

    /// This process is a copy of the builder, credentials in memory included, and the command sees it
    /// as process 1. Not dumpable means that `/proc/1/mem` and `ptrace` need a capability over the
    /// builder's user namespace, which no command has.
    fn hide_memory(&self) -> Result<(), Errno> {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        if let Some(area) = self.argument_area {
            // SAFETY: this is a fork of the process in which the area was found, and neither it nor
            // the command's process before `execve` reads arguments or environment from there.
            unsafe { area.erase() };
        }
        join_session_keyring();
        set_process_name(c"sawagani-init")
    }

    fn fork_command(&self) -> Result<Pid, Errno> {
        // SAFETY: no memory is shared (no CLONE_VM), and the child continues on its copy of this
        // stack; it keeps to this file's rules and ends in `execve` or `_exit`.
        match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
            -1 => Err(last_errno()),
            0 => {
                send(self.become_command());
                exit(127)
            }
            pid => Pid::from_raw(pid as i32).ok_or(Errno::CHILD),
        }
    }

    /// Turns the calling process into the command. Returns only if that fails.
    fn become_command(&self) -> Report {
        match self.prepare_command() {
            Ok(()) => Report::ExecFailed(self.execute()),
            Err((step, errno)) => Report::SetupFailed(step, errno),
        }
    }

    fn prepare_command(&self) -> Result<(), (SetupStep, Errno)> {
        let at = |step| move |errno| (step, errno);
        rustix::process::setsid().map_err(at(SetupStep::Session))?;
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        rustix::process::setrlimit(Resource::Core, none).map_err(at(SetupStep::CoreLimit))?;
        keep_only(self.capabilities).map_err(at(SetupStep::Capabilities))?;
        rustix::thread::set_thread_groups(self.groups).map_err(at(SetupStep::Groups))?;
        let (uid, gid) = (self.uid, self.gid);
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(at(SetupStep::Groups))?;
        // For anybody but root, this gives up all capabilities as well.
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(at(SetupStep::User))?;
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        unblock_signals();
        Ok(())
    }

    /// Executes the first candidate that can be. Returns the error that says most.
    fn execute(&self) -> Errno {
        let mut failure = Errno::NOENT;
        for path in self.candidates {
            // SAFETY: `path` and all strings end with NUL, both arrays end with a null pointer, and
            // all of them live in memory that this process inherited and nobody frees.
            unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
            match last_errno() {
                // As execvp(3): look further, and remember that something was there.
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => failure = Errno::ACCESS,
                other => return other,
            }
        }
        failure
    }
}

/// Asks the kernel for a signal at the end of the thread that forked this process.
fn end_with_parent(signal: Signal) -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    exit_if_parent_is_gone();
    Ok(())
}

/// The parent may have ended before the signal was asked for. `getppid` says nothing across pid
/// namespaces; the pipe does, since nobody else keeps its other end open.
fn exit_if_parent_is_gone() {
    // SAFETY: the descriptor was put in place by `take_descriptors` and is never closed.
    let life = unsafe { BorrowedFd::borrow_raw(LIFE_FD) };
    let mut fds = [PollFd::new(&life, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if let Ok(1..) = rustix::event::poll(&mut fds, Some(&at_once)) {
        exit(1);
    }
}

/// Leaves the builder's keyring. Where keys are not supported, there is nothing to leave.
fn join_session_keyring() {
    /// `KEYCTL_JOIN_SESSION_KEYRING` of linux/keyctl.h.
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is read.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0_usize) };
}

/// Handlers belong to the builder; what it ignores, the command would ignore as well.
fn reset_signal_handlers() {
    /// Bytes of the kernel's signal set on every architecture but MIPS.
    const SIGNAL_SET_BYTES: usize = 8;
    // The kernel's own structure, larger than on any architecture: all zero is the default action.
    let default = [0_u64; 16];
    for signal in 1..=64 {
        // The call itself, because the C library keeps two signals to itself, and a builder that
        // was started with one of them ignored would pass that on. For SIGKILL and SIGSTOP it
        // fails, which is as good.
        // SAFETY: the structure outlives the call, which reads no more than its size of it.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SIGNAL_SET_BYTES,
            )
        };
    }
}

/// Unblocks all signals, as a program expects to be started.
fn unblock_signals() {
    // SAFETY: all bytes zero is a valid set, and the set outlives the calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Copies a descriptor to a number that no standard stream has.
fn move_up(fd: RawFd) -> Result<RawFd, Errno> {
    // SAFETY: a plain call; the result is a new descriptor or an error.
    match unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 16) } {
        -1 => Err(last_errno()),
        moved => Ok(moved),
    }
}

fn put(fd: RawFd, number: RawFd, flags: libc::c_int) -> Result<(), Errno> {
    // SAFETY: a plain call. What had this number is closed, as it should: nothing in this process
    // uses the parent's descriptors any more.
    match unsafe { libc::dup3(fd, number, flags) } {
        -1 => Err(last_errno()),
        _ => Ok(()),
    }
}

fn close_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: a plain call; nothing in this process uses the descriptors it closes.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        return Ok(());
    }
    // Before Linux 5.9.
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    for fd in first..limit.unwrap_or(65_536).min(1 << 20) as RawFd {
        // SAFETY: as above; a number that is not open is an error without effect.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

fn send(report: Report) {
    write_report(REPORT_FD, report);
}

fn write_report(fd: RawFd, report: Report) {
    let bytes = report.to_bytes();
    // SAFETY: the bytes outlive the call. Nobody is left to tell if it fails; the parent then finds
    // no report.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process at once, without the parent's exit handlers.
    unsafe { libc::_exit(code) }
}
