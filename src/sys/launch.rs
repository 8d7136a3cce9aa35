//! Starting the first process of a step, and holding it: the parent's side of `init`.

use std::cell::Cell;
use std::ffi::{CString, c_char};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Gid, Pid, PidfdFlags, Signal, Uid, WaitOptions};

use super::alone::last_errno;
use super::arguments::ArgumentArea;
use super::capability::Capabilities;
use super::init::{Init, Streams};
use super::processes::{Processes, open_proc};
use super::report::{REPORT_BYTES, Report};
use super::seccomp_install::Interception;
use super::task::Task;
use super::watch::KILL_REQUEST;

/// How long a first process that is asked to kill its step may take, before it is killed itself:
/// somebody may have stopped it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often and for how long strays are looked for at most: one that the kernel does not let go of
/// must not keep the builder for ever.
const STRAY_ROUNDS_MAX: usize = 500;
const STRAY_PAUSE: Duration = Duration::from_millis(10);

/// The program that the first process starts when everything is prepared.
pub struct Program {
    /// Paths to try to execute, in this order, as seen in the new root.
    pub candidates: Vec<CString>,
    /// Its arguments, its own name first.
    pub arguments: Vec<CString>,
    /// Its whole environment, as `NAME=value`.
    pub environment: Vec<CString>,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups; empty for none.
    pub groups: Vec<u32>,
}

/// Arguments and environment are left out: a variable may hold a secret.
impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Program")
            .field("candidates", &self.candidates)
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// A step about to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// What its first process does before the program starts, in this order.
    pub tasks: &'a [Task],
    /// What it starts.
    pub program: &'a Program,
    /// What the program may at most have, and has if its user is root.
    pub capabilities: Capabilities,
    /// What it has for itself.
    pub namespaces: Namespaces,
    /// Gives the step a network of its own, with a loopback interface only, which is down.
    pub own_network: bool,
    /// Memory that the step must not read.
    pub argument_area: Option<ArgumentArea>,
    /// Has calls of the program answered by this process. The program's user and groups are then not
    /// set for real: whoever answers knows them.
    pub interception: Option<Interception<'a>>,
    /// A descriptor that the first process keeps open until the step has ended: a lock is held as long.
    pub held: Option<BorrowedFd<'a>>,
}

/// The namespaces of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// Its own processes, mounts, message queues and host name.
    All,
    /// As `All`, but it sees the builder's processes, and may signal those of its user.
    AllButPids,
    /// Those of the builder.
    Shared,
}

impl Namespaces {
    fn flags(self) -> libc::c_int {
        let without_pids = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        match self {
            Self::All => without_pids | libc::CLONE_NEWPID,
            Self::AllButPids => without_pids,
            Self::Shared => 0,
        }
    }

    fn has_pids(self) -> bool {
        match self {
            Self::All => true,
            Self::AllButPids | Self::Shared => false,
        }
    }
}

/// A step that was started, and dies with this value.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    pidfd: OwnedFd,
    stdout: File,
    stderr: File,
    report: File,
    /// Its end is what the first process looks at to see whether we live.
    _life: OwnedFd,
    /// `/proc`, where no pid namespace holds the step's processes together.
    proc: Option<OwnedFd>,
    kill_asked: Cell<Option<Instant>>,
    is_reaped: bool,
}

/// Starts a step.
///
/// The step dies with the calling thread, which must therefore stay until the step has ended.
///
/// Where the step sees this process, it must not read its memory: this process is no longer
/// dumpable afterwards. It also becomes a subreaper, so that it gets what a step leaves whose first
/// process was killed.
pub fn launch(launch: &Launch<'_>) -> Result<Running, Errno> {
    let (stdout, stdout_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, stderr_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (report, report_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (life_end, life) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    for fd in [&stdout, &stderr, &report] {
        // Reading never waits: what waits is a poll that sees the end of the step as well.
        rustix::io::ioctl_fionbio(fd, true)?;
    }
    let stdin = rustix::fs::open(
        c"/dev/null",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let proc = if launch.namespaces.has_pids() {
        None
    } else {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        Some(open_proc()?)
    };
    let streams = Streams {
        stdin: stdin.as_raw_fd(),
        stdout: stdout_end.as_raw_fd(),
        stderr: stderr_end.as_raw_fd(),
        report: report_end.as_raw_fd(),
        life: life_end.as_raw_fd(),
        proc: proc.as_ref().map_or(stdin.as_raw_fd(), AsRawFd::as_raw_fd),
        listener: launch
            .interception
            .map(|interception| interception.socket.as_raw_fd()),
        held: launch.held.map(|held| held.as_raw_fd()),
    };
    let pid = fork_init(launch, streams)?;
    let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(errno) => {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            reap(pid);
            return Err(errno);
        }
    };
    Ok(Running {
        pid,
        pidfd,
        stdout: File::from(stdout),
        stderr: File::from(stderr),
        report: File::from(report),
        _life: life,
        proc,
        kill_asked: Cell::new(None),
        is_reaped: false,
    })
}

fn fork_init(launch: &Launch<'_>, streams: Streams) -> Result<Pid, Errno> {
    let program = launch.program;
    let argv = pointers(&program.arguments);
    let envp = pointers(&program.environment);
    let groups: Vec<Gid> = program
        .groups
        .iter()
        .map(|gid| Gid::from_raw(*gid))
        .collect();
    let init = Init {
        tasks: launch.tasks,
        capabilities: launch.capabilities,
        argument_area: launch.argument_area,
        streams,
        visible_builder: (!launch.namespaces.has_pids()).then(rustix::process::getpid),
        candidates: &program.candidates,
        argv: &argv,
        envp: &envp,
        uid: Uid::from_raw(program.uid),
        gid: Gid::from_raw(program.gid),
        groups: &groups,
        filter: launch.interception.map(|interception| interception.filter),
    };
    let mut flags = libc::SIGCHLD | launch.namespaces.flags();
    if launch.own_network {
        flags |= libc::CLONE_NEWNET;
    }
    // A handler of ours must not run in the child before the child has reset it.
    let mask = SignalMask::block_all();
    // SAFETY: no memory is shared (no CLONE_VM) and the child continues on its copy of this stack.
    // Other threads may hold locks that the child can never take: `Init::run` allocates nothing,
    // takes no lock and does not return.
    let pid = match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        0 => init.run(),
        -1 => Err(last_errno()),
        pid => Pid::from_raw(pid as i32).ok_or(Errno::CHILD),
    };
    drop(mask);
    pid
}

/// Returns the addresses of `strings`, with a null pointer at the end.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let addresses = strings.iter().map(|string| string.as_ptr());
    addresses.chain([ptr::null()]).collect()
}

/// All signals of the calling thread blocked, for as long as this value lives.
struct SignalMask {
    before: libc::sigset_t,
}

impl SignalMask {
    fn block_all() -> Self {
        // SAFETY: all bytes zero is a valid set; both sets outlive the calls.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self { before }
        }
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        // SAFETY: `before` was filled in by the same call.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut())
        };
    }
}

impl Running {
    /// Becomes readable when the step has ended, all of its processes included.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Where the step's standard output arrives. Reading it never waits.
    pub fn stdout(&self) -> &File {
        &self.stdout
    }

    /// Where the step's standard error arrives. Reading it never waits.
    pub fn stderr(&self) -> &File {
        &self.stderr
    }

    /// Sends SIGTERM to every process of the step.
    pub fn terminate(&self) -> Result<(), Errno> {
        rustix::process::pidfd_send_signal(&self.pidfd, Signal::TERM)
    }

    /// Kills every process of the step. To be called again and again until the end is there.
    pub fn kill(&self) -> Result<(), Errno> {
        if self.proc.is_none() {
            return rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
        let asked = self.kill_asked.get().unwrap_or_else(Instant::now);
        self.kill_asked.set(Some(asked));
        if asked.elapsed() > KILL_PATIENCE {
            return rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
        // It may have been stopped by the step.
        rustix::process::pidfd_send_signal(&self.pidfd, Signal::CONT)?;
        rustix::process::pidfd_send_signal(&self.pidfd, KILL_REQUEST)
    }

    /// Waits for the end and returns what the first process said; `None` if it was killed before
    /// it could say anything.
    pub fn wait(mut self) -> Option<Report> {
        reap(self.pid);
        self.is_reaped = true;
        let mut bytes = [0; REPORT_BYTES];
        let report = match self.report.read_exact(&mut bytes) {
            Ok(()) => Report::from_bytes(bytes),
            Err(_) => None,
        };
        if report.is_none() {
            self.kill_strays();
        }
        report
    }

    /// Kills what is left of steps whose first process was killed: this process has it now.
    fn kill_strays(&self) {
        let Some(proc) = &self.proc else {
            return;
        };
        let processes = Processes::new(proc.as_fd());
        for _ in 0..STRAY_ROUNDS_MAX {
            let mut strays = Vec::new();
            processes.each_stray(&mut |pid| strays.push(pid));
            if strays.is_empty() {
                return;
            }
            for pid in &strays {
                processes.signal(*pid, Signal::KILL);
            }
            std::thread::sleep(STRAY_PAUSE);
            for pid in strays {
                // Another thread may have been quicker.
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        loop {
            let _ = self.kill();
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            if let Ok(1..) = rustix::event::poll(&mut fds, Some(&pause)) {
                break;
            }
        }
        reap(self.pid);
        self.kill_strays();
    }
}

/// Waits for the end of a child of ours. It ends after all processes of its pid namespace.
fn reap(pid: Pid) {
    while let Err(Errno::INTR) = rustix::process::waitpid(Some(pid), WaitOptions::empty()) {}
}
