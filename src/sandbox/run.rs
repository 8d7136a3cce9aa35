//! Running a command in a step: the parent's side.
//!
//! The calling thread waits here from the first to the last moment of the step, because the step is
//! tied to its life: whatever ends the builder, ends the step.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::fs::Root;
use crate::sys::{self, Capabilities, Errno, Launch, Program, Report, SetupStep, Task};

use super::command::{Command, Exit, Network, Stream};
use super::follow::follow;
use super::places::Places;
use super::program::program_of;
use super::rootfs::RootfsError;
use super::stop::Stop;
use super::{Inner, mounts};

/// What a root command may do: the fourteen capabilities that containerd gives to containers, so
/// that an image builds here as it would in one.
const CAPABILITIES: Capabilities = Capabilities::CHOWN
    .union(Capabilities::DAC_OVERRIDE)
    .union(Capabilities::FSETID)
    .union(Capabilities::FOWNER)
    .union(Capabilities::MKNOD)
    .union(Capabilities::NET_RAW)
    .union(Capabilities::SETGID)
    .union(Capabilities::SETUID)
    .union(Capabilities::SETFCAP)
    .union(Capabilities::SETPCAP)
    .union(Capabilities::NET_BIND_SERVICE)
    .union(Capabilities::SYS_CHROOT)
    .union(Capabilities::KILL)
    .union(Capabilities::AUDIT_WRITE);

/// Why a command gave no exit status.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The root directory could not be put together.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// There is nothing to run.
    #[error("a command needs at least the program's name")]
    Empty,
    /// A string that no program can be given.
    #[error("the {what} has a NUL byte in it")]
    Nul {
        /// Which one: "argument", "environment", "working directory".
        what: &'static str,
    },
    /// No process could be started in new namespaces.
    #[error("cannot start a process in new namespaces")]
    Launch(#[source] io::Error),
    /// The sandbox around the command could not be prepared.
    #[error("cannot {purpose} in the sandbox")]
    Prepare {
        /// What was tried: "mount `/proc`".
        purpose: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The program is not in the image.
    #[error("cannot run `{0}`: not found in the image")]
    NotFound(String),
    /// The program is there, and what it needs to be started is not.
    #[error("cannot run `{0}`: its interpreter or dynamic loader is not in the image")]
    NoInterpreter(String),
    /// The program is there and may not be executed.
    #[error("cannot run `{0}`: not an executable file, or the user may not execute it")]
    NotExecutable(String),
    /// The program is for another machine, or no program.
    #[error("cannot run `{0}`: not a program for this machine")]
    WrongFormat(String),
    /// The program could not be started for another reason.
    #[error("cannot run `{program}`")]
    Execute {
        /// The program as it was given.
        program: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Somebody asked for it.
    #[error("the build was stopped")]
    Stopped,
    /// The step's first process was killed from outside: by the kernel for want of memory, or by
    /// hand.
    #[error("the step was killed from outside, perhaps for want of memory")]
    Killed,
    /// Waiting failed.
    #[error("cannot wait for the step's output")]
    Wait(#[source] io::Error),
}

/// Runs `command` in the tree mounted at `root`.
pub(super) fn run(
    inner: &Inner,
    root: &Root,
    places: &Places<'_>,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let program = program_of(command)?;
    if stop.is_requested() {
        return Err(RunError::Stopped);
    }
    let tasks = mounts::tasks(inner, root.path(), places, command);
    let running = sys::launch(&Launch {
        tasks: &tasks,
        program: &program,
        capabilities: CAPABILITIES,
        own_network: match command.network {
            Network::Host => false,
            Network::None => true,
        },
        argument_area: inner.setting.argument_area,
        interception: None,
    })
    .map_err(|errno| RunError::Launch(errno.into()))?;
    let was_stopped = follow(&running, stop, output)?;
    let report = running.wait();
    if was_stopped {
        return Err(RunError::Stopped);
    }
    match report {
        Some(Report::Exited(code)) => Ok(Exit::Code(code)),
        Some(Report::Signaled(signal)) => Ok(Exit::Signal(signal)),
        Some(Report::TaskFailed(index, errno)) => Err(task_error(&tasks, index, errno)),
        Some(Report::SetupFailed(step, errno)) => Err(RunError::Prepare {
            purpose: purpose_of(step).to_owned(),
            source: errno.into(),
        }),
        Some(Report::ExecFailed(errno)) => Err(exec_error(root, &program, command, errno)),
        None => Err(RunError::Killed),
    }
}

fn task_error(tasks: &[Task], index: usize, errno: Errno) -> RunError {
    let purpose = tasks.get(index).map_or("prepare", |task| &task.purpose);
    RunError::Prepare {
        purpose: purpose.to_owned(),
        source: errno.into(),
    }
}

fn purpose_of(step: SetupStep) -> &'static str {
    match step {
        SetupStep::Descriptors => "put the standard streams in place",
        SetupStep::ParentDeath => "tie the step's life to the builder's",
        SetupStep::Capabilities => "limit the capabilities",
        SetupStep::Fork => "start the command's process",
        SetupStep::Session => "start a session",
        SetupStep::Groups => "switch to the step's groups",
        SetupStep::User => "switch to the step's user",
        SetupStep::CoreLimit => "switch core dumps off",
        SetupStep::Memory => "hide the builder's memory",
        SetupStep::Interception => "have the command's owners kept by the builder",
    }
}

fn exec_error(root: &Root, program: &Program, command: &Command, errno: Errno) -> RunError {
    let name = command
        .argv
        .first()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let is_there = || {
        program.candidates.iter().any(|path| {
            let path = command.cwd.join(OsStr::from_bytes(path.as_bytes()));
            matches!(root.metadata(&path), Ok(Some(_)))
        })
    };
    match errno {
        Errno::NOENT | Errno::NOTDIR if is_there() => RunError::NoInterpreter(name),
        Errno::NOENT | Errno::NOTDIR => RunError::NotFound(name),
        Errno::ACCESS => RunError::NotExecutable(name),
        Errno::NOEXEC => RunError::WrongFormat(name),
        other => RunError::Execute {
            program: name,
            source: other.into(),
        },
    }
}
