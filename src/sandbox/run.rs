//! Running a command in a step: the parent's side.
//!
//! The calling thread waits here from the first to the last moment of the step, because the step is
//! tied to its life: whatever ends the builder, ends the step.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::fs::{PathError, Root};
use crate::sys::{
    self, Capabilities, Errno, Interception, Launch, Namespaces, Program, Report, SetupStep, Task,
};

use super::agent::RelayError;
use super::command::{Command, Exit, Network, Stream};
use super::follow::follow;
use super::owners::Identity;
use super::places::Places;
use super::program::program_of;
use super::rootfs::RootfsError;
use super::staging::Staging;
use super::stop::Stop;
use super::swap::SwapError;
use super::{Inner, Mode, mounts};

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
    /// A file operation in the root directory failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The root directory could not be put in the place of the container's, or back.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// The socket of an agent could not be lent.
    #[error(transparent)]
    Agent(#[from] RelayError),
    /// There is no way to run anything.
    #[error("no command can be run in isolation `{}`", .0.name())]
    NoRun(Mode),
    /// The command asks for what takes namespaces.
    #[error("isolation `{}` cannot give a command a network of its own: that takes namespaces", .0.name())]
    NoOwnNetwork(Mode),
    /// There is nothing to run.
    #[error("a command needs at least the program's name")]
    Empty,
    /// A string that no program can be given.
    #[error("the {what} has a NUL byte in it")]
    Nul {
        /// Which one: "argument", "environment", "working directory".
        what: &'static str,
    },
    /// No process could be started.
    #[error("cannot start the step's first process")]
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
    /// Where nothing limits a directory, what is in it was looked at in the end.
    #[error("the command left {size} bytes in the tmpfs `{}`, which is limited to {limit}", target.display())]
    Full {
        /// Where the command sees it.
        target: PathBuf,
        /// What its files take.
        size: u64,
        /// What they may take.
        limit: u64,
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

/// A command that can be started, with everything that is done around it.
pub(super) struct Prepared<'a> {
    command: &'a Command,
    program: Program,
    tasks: Vec<Task>,
    namespaces: Namespaces,
}

impl<'a> Prepared<'a> {
    /// Prepares `command`, which its first process starts after `tasks`.
    pub(super) fn new(
        command: &'a Command,
        tasks: Vec<Task>,
        namespaces: Namespaces,
    ) -> Result<Self, RunError> {
        Ok(Self {
            command,
            program: program_of(command)?,
            tasks,
            namespaces,
        })
    }

    /// Returns what is started.
    pub(super) fn command(&self) -> &Command {
        self.command
    }

    /// Returns who the command is to be.
    pub(super) fn identity(&self) -> Identity {
        let program = &self.program;
        Identity::new(program.uid, program.gid, &program.groups)
    }

    /// Starts it, passes its output on, and returns how it ended when no process of it is left;
    /// `None` if its first process was killed.
    pub(super) fn run(
        &self,
        inner: &Inner,
        stop: &Stop,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Option<Report>, RunError> {
        self.run_answered(inner, None, stop, output)
    }

    /// As [`Self::run`], with somebody who answers calls of the command.
    pub(super) fn run_answered(
        &self,
        inner: &Inner,
        interception: Option<Interception<'_>>,
        stop: &Stop,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Option<Report>, RunError> {
        if stop.is_requested() {
            return Err(RunError::Stopped);
        }
        let running = sys::launch(&Launch {
            tasks: &self.tasks,
            program: &self.program,
            capabilities: CAPABILITIES,
            namespaces: self.namespaces,
            own_network: match self.command.network {
                Network::Host => false,
                Network::None => true,
            },
            argument_area: inner.setting.argument_area,
            interception,
            held: inner.setting.root_lock.as_ref().map(AsFd::as_fd),
        })
        .map_err(|errno| RunError::Launch(errno.into()))?;
        let was_stopped = follow(&running, stop, output)?;
        let report = running.wait();
        if was_stopped {
            return Err(RunError::Stopped);
        }
        Ok(report)
    }

    /// Translates what [`Self::run`] returned. `root` is what the command had as its root directory.
    pub(super) fn exit(&self, root: &Root, report: Option<Report>) -> Result<Exit, RunError> {
        match report {
            Some(Report::Exited(code)) => Ok(Exit::Code(code)),
            Some(Report::Signaled(signal)) => Ok(Exit::Signal(signal)),
            Some(Report::TaskFailed(index, errno)) => Err(task_error(&self.tasks, index, errno)),
            Some(Report::SetupFailed(step, errno)) => Err(RunError::Prepare {
                purpose: purpose_of(step).to_owned(),
                source: errno.into(),
            }),
            Some(Report::ExecFailed(errno)) => {
                Err(exec_error(root, &self.program, self.command, errno))
            }
            None => Err(RunError::Killed),
        }
    }
}

/// Runs `command` in the tree mounted at `root`.
pub(super) fn run(
    inner: &Inner,
    root: &Root,
    places: &Places<'_>,
    staging: &Staging<'_>,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let tasks = mounts::tasks(inner, root.path(), places, staging, command);
    let prepared = Prepared::new(command, tasks, mounts::namespaces(inner))?;
    let report = prepared.run(inner, stop, output)?;
    prepared.exit(root, report)
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
