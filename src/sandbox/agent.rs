//! The socket of an SSH agent, lent to a step: a socket of the step's own, and threads that pass on what goes
//! through it.
//!
//! The agent's own socket is its user's, and some agents look at who connects: the step's user could use it nowhere
//! but by chance. Nothing here reads what is said.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};

use crate::fs::{Dir, PathContext, PathError};

use super::stop::{Stop, StopError};

/// Where an agent listens. Open, so that it is found whatever is in the place of its path meanwhile.
#[derive(Debug)]
pub struct AgentSocket {
    fd: OwnedFd,
    path: PathBuf,
}

/// Why a path is no agent's.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It cannot be looked at.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It is something else.
    #[error("`{}` is not a socket", .0.display())]
    NoSocket(PathBuf),
}

/// Why an agent could not be lent.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The step's socket could not be made.
    #[error("cannot make a socket for the agent at `{}`", path.display())]
    Listen {
        /// The agent's own.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A file operation failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The kernel has no descriptor left.
    #[error(transparent)]
    Stop(#[from] StopError),
}

impl AgentSocket {
    /// Returns where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the socket at `path`, a path of the user's. Nothing is said to the agent.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        let metadata = std::fs::metadata(path).on("look at", path)?;
        if !metadata.file_type().is_socket() {
            return Err(AgentError::NoSocket(path.to_path_buf()));
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
        Ok(Self {
            fd: fd.on("open", path)?,
            path: path.to_path_buf(),
        })
    }

    fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }
}

/// A socket of a step's, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Relay {
    stop: Stop,
    /// `None` only while the value is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Makes the socket `name` in `dir`.
    pub(super) fn start(
        socket: Arc<AgentSocket>,
        dir: &Dir,
        name: &str,
    ) -> Result<Self, RelayError> {
        let path = socket.path.clone();
        let failed = |source| RelayError::Listen {
            path: path.clone(),
            source,
        };
        // Short, whatever the directory's path is: a socket's address has 108 bytes.
        let address = format!("/proc/self/fd/{}/{name}", dir.as_fd().as_raw_fd());
        let listener = UnixListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let stop = Stop::new()?;
        let heard = stop.clone();
        let thread = std::thread::Builder::new().name("ssh-agent".to_owned());
        let thread = thread.spawn(move || listen(&listener, &socket, &heard));
        Ok(Self {
            stop,
            thread: Some(thread.map_err(failed)?),
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("passing on an agent's words ended unexpectedly");
        }
    }
}

/// Takes connections until it is asked to stop, and ends them all then.
fn listen(listener: &UnixListener, socket: &AgentSocket, stop: &Stop) {
    let open: Mutex<Vec<UnixStream>> = Mutex::default();
    std::thread::scope(|scope| {
        while wait(listener, stop) {
            let Ok((step, _)) = listener.accept() else {
                continue;
            };
            let agent = match socket.connect() {
                Ok(agent) => agent,
                Err(error) => {
                    let path = socket.path.display();
                    tracing::warn!(%error, "cannot connect to the agent at `{path}`");
                    continue;
                }
            };
            if let Err(error) = relay(scope, step, agent, &open) {
                tracing::warn!(%error, "cannot pass on an agent's words");
            }
        }
        for stream in open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // One that has ended already is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

/// Waits for a connection; says no if the request to stop comes first.
fn wait(listener: &UnixListener, stop: &Stop) -> bool {
    let event = stop.event();
    loop {
        let mut fds = [
            PollFd::new(&event, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => return fds[0].revents().is_empty(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Passes on both directions.
fn relay<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    step: UnixStream,
    agent: UnixStream,
    open: &Mutex<Vec<UnixStream>>,
) -> io::Result<()> {
    step.set_nonblocking(false)?;
    let both = [step.try_clone()?, agent.try_clone()?];
    let ways = [(step.try_clone()?, agent.try_clone()?), (agent, step)];
    open.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(both);
    for (mut from, mut to) in ways {
        std::thread::Builder::new().spawn_scoped(scope, move || {
            // However it ends, the other side is told that nothing more comes.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn what_is_said_is_passed_on_both_ways_until_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("agent");
        let agent = UnixListener::bind(&path).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = agent.accept().unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).unwrap();
            stream.write_all(&word).unwrap();
            // Until the relay hangs up.
            stream.read_to_end(&mut Vec::new()).unwrap();
        });
        let socket = Arc::new(AgentSocket::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(temp.path().join("step")).unwrap();
        let dir = Dir::open(&temp.path().join("step")).unwrap();
        let relay = Relay::start(socket, &dir, "0").unwrap();
        let mut step = UnixStream::connect(temp.path().join("step/0")).unwrap();
        step.write_all(b"ping").unwrap();
        let mut word = [0; 4];
        step.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ping");
        drop(relay);
        answering.join().unwrap();
    }

    #[test]
    fn a_file_is_no_agent() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = AgentSocket::open(file.path()).unwrap_err();
        assert!(error.to_string().contains("not a socket"), "{error}");
    }
}
