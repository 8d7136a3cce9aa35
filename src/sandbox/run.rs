//! Running a command in a step: the parent's side.
//!
//! The calling thread waits here from the first to the last moment of the step, because the step is
//! tied to its life: whatever ends the builder, ends the step.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::fs::Root;
use crate::sys::{self, Capabilities, Errno, Launch, Program, Report, Running, SetupStep, Task};

use super::command::{Command, Exit, Network, Stream};
use super::places::Places;
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

/// Where a program without a slash is searched if the step has no PATH, as in Docker.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A pipe holds 64 KiB: more never comes at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// What is read after the end at most: a pipe's largest size, so that somebody outside who was
/// handed the pipe cannot keep us.
const REST_BYTES_MAX: usize = 1024 * 1024;

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

/// Passes output on until the step has ended. Says whether it was asked to stop.
fn follow(
    running: &Running,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<bool, RunError> {
    let mut sources = vec![
        (Stream::Stdout, running.stdout()),
        (Stream::Stderr, running.stderr()),
    ];
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut kill_at = None;
    loop {
        let end = running.end();
        let mut fds = vec![PollFd::new(&end, PollFlags::IN)];
        fds.extend(
            sources
                .iter()
                .map(|(_, file)| PollFd::new(file, PollFlags::IN)),
        );
        let event = stop.event();
        if kill_at.is_none() {
            fds.push(PollFd::new(&event, PollFlags::IN));
        }
        match rustix::event::poll(&mut fds, time_until(kill_at).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(RunError::Wait(errno.into())),
        }
        let is_ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (has_ended, ready) = is_ready.split_first().unwrap_or((&true, &[]));
        if *has_ended {
            for (stream, file) in &sources {
                pass_rest(file, *stream, &mut buffer, output)?;
            }
            return Ok(kill_at.is_some());
        }
        let is_stopping = kill_at.is_none() && ready.get(sources.len()) == Some(&true);
        let mut ready = ready.iter();
        let mut failure = None;
        sources.retain(|(stream, file)| {
            if ready.next() != Some(&true) {
                return true;
            }
            match pass_on(file, *stream, &mut buffer, output) {
                Ok(Piece::Some(_) | Piece::NotYet) => true,
                Ok(Piece::End) => false,
                Err(error) => {
                    failure = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failure {
            return Err(RunError::Wait(error));
        }
        if is_stopping {
            tracing::debug!("stopping the step");
            running
                .terminate()
                .map_err(|errno| RunError::Wait(errno.into()))?;
            kill_at = Some(Instant::now() + stop.grace());
        }
        if kill_at.is_some_and(|at| at <= Instant::now()) {
            running
                .kill()
                .map_err(|errno| RunError::Wait(errno.into()))?;
        }
    }
}

/// Returns how long to wait at most; `None` for ever.
fn time_until(at: Option<Instant>) -> Option<Timespec> {
    // After the kill the end is near: there is no need to look all the time.
    const SHORTEST: Duration = Duration::from_millis(10);
    let left = at?.saturating_duration_since(Instant::now()).max(SHORTEST);
    Timespec::try_from(left).ok()
}

/// What one look at a pipe found.
enum Piece {
    Some(usize),
    NotYet,
    End,
}

fn pass_on(
    mut file: &File,
    stream: Stream,
    buffer: &mut [u8],
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Piece, io::Error> {
    match file.read(buffer) {
        Ok(0) => Ok(Piece::End),
        Ok(length) => {
            output(stream, &buffer[..length]);
            Ok(Piece::Some(length))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Piece::NotYet),
            _ => Err(error),
        },
    }
}

/// Passes on what is left in a pipe whose writers are all dead.
fn pass_rest(
    file: &File,
    stream: Stream,
    buffer: &mut [u8],
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(), RunError> {
    let mut passed = 0;
    while passed < REST_BYTES_MAX {
        match pass_on(file, stream, buffer, output).map_err(RunError::Wait)? {
            Piece::Some(length) => passed += length,
            Piece::NotYet | Piece::End => break,
        }
    }
    Ok(())
}

fn program_of(command: &Command) -> Result<Program, RunError> {
    let program = command.argv.first().ok_or(RunError::Empty)?;
    let text = |what, bytes: &[u8]| CString::new(bytes).map_err(|_| RunError::Nul { what });
    text("working directory", command.cwd.as_os_str().as_bytes())?;
    text("host name", command.hostname.as_bytes())?;
    for file in &command.files {
        text("path of a file", file.target.as_os_str().as_bytes())?;
    }
    let candidates = candidates(program, path_of(command));
    Ok(Program {
        candidates: candidates
            .iter()
            .map(|path| text("program", path))
            .collect::<Result<_, _>>()?,
        arguments: command
            .argv
            .iter()
            .map(|argument| text("argument", argument.as_bytes()))
            .collect::<Result<_, _>>()?,
        environment: command
            .env
            .iter()
            .map(|(name, value)| {
                let assignment = [name.as_bytes(), b"=", value.as_bytes()].concat();
                text("environment", &assignment)
            })
            .collect::<Result<_, _>>()?,
        uid: command.user.uid,
        gid: command.user.gid,
        groups: all_groups(command),
    })
}

/// The primary group is among the supplementary ones, as in containerd: otherwise a program could
/// leave it, and with it what it is denied.
fn all_groups(command: &Command) -> Vec<u32> {
    let user = &command.user;
    let mut groups = vec![user.gid];
    groups.extend(user.groups.iter().filter(|gid| **gid != user.gid));
    groups
}

fn path_of(command: &Command) -> &OsStr {
    let mut variables = command.env.iter();
    let path = variables.rfind(|(name, _)| name == "PATH");
    path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value)
}

/// Returns the files to try for `program`, as execvp(3) does: an empty directory in PATH is the
/// working directory.
fn candidates(program: &OsStr, path: &OsStr) -> Vec<Vec<u8>> {
    let program = program.as_bytes();
    if program.is_empty() || program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    let directories = path.as_bytes().split(|byte| *byte == b':');
    directories
        .map(|directory| {
            let directory = if directory.is_empty() {
                b"."
            } else {
                directory
            };
            [directory, b"/", program].concat()
        })
        .collect()
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
            matches!(root.metadata(Path::new(&path)), Ok(Some(_)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(program: &str, path: &str) -> Vec<String> {
        let candidates = candidates(OsStr::new(program), OsStr::new(path));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        candidates.into_iter().map(text).collect()
    }

    #[test]
    fn a_program_without_a_slash_is_searched_in_path() {
        assert_eq!(texts("sh", "/usr/bin:/bin"), ["/usr/bin/sh", "/bin/sh"]);
        assert_eq!(texts("sh", "/bin:"), ["/bin/sh", "./sh"]);
        assert_eq!(texts("./sh", "/bin"), ["./sh"]);
        assert_eq!(texts("/bin/sh", "/usr/bin"), ["/bin/sh"]);
        assert_eq!(texts("", "/bin"), [""]);
    }

    #[test]
    fn the_last_path_counts_and_the_primary_group_comes_first() {
        let mut command = Command::new(["sh"]);
        assert_eq!(path_of(&command), DEFAULT_PATH);
        command.env = [("PATH", "/a"), ("PATH", "/b")]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec();
        assert_eq!(path_of(&command), "/b");
        command.user.gid = 7;
        command.user.groups = vec![5, 7, 6];
        assert_eq!(all_groups(&command), [7, 5, 6]);
    }

    #[test]
    fn a_nul_byte_is_refused_before_anything_runs() {
        for (argument, cwd) in [("a\0b", "/"), ("a", "/\0")] {
            let mut command = Command::new(["sh", argument]);
            command.cwd = cwd.into();
            let error = program_of(&command).unwrap_err();
            assert!(matches!(error, RunError::Nul { .. }), "{error}");
        }
        let nothing: [&str; 0] = [];
        let error = program_of(&Command::new(nothing)).unwrap_err();
        assert!(matches!(error, RunError::Empty), "{error}");
    }
}
