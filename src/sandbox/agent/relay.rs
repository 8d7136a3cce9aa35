//! A socket of a step's, and the threads behind it.

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Scope};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use crate::fs::{Dir, PathError};

use super::key_ring::KeyRing;
use super::socket::AgentSocket;
use super::stop::{Stop, StopError};
use super::{Agent, Signer};

/// Connections of one step at a time. Each takes two threads and six descriptors at most.
const CONNECTIONS_MAX: usize = 64;

/// How long is waited when no connection can be taken.
const PAUSE: Duration = Duration::from_millis(20);

/// Why an agent could not be lent.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The step's socket could not be made.
    #[error("cannot make a socket for an SSH agent")]
    Listen(#[source] io::Error),
    /// A file operation failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The kernel has no descriptor left.
    #[error(transparent)]
    Stop(#[from] StopError),
}

/// A socket of a step's, for as long as this value lives.
#[derive(Debug)]
pub(in crate::sandbox) struct Relay {
    stop: Stop,
    /// `None` only while the value is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Makes the socket `name` in `dir`.
    pub(in crate::sandbox) fn start(
        agent: Arc<Agent>,
        dir: &Dir,
        name: &str,
    ) -> Result<Self, RelayError> {
        // Short, whatever the directory's path is: a socket's address has 108 bytes.
        let address = format!("/proc/self/fd/{}/{name}", dir.as_fd().as_raw_fd());
        let listener = UnixListener::bind(address).map_err(RelayError::Listen)?;
        listener.set_nonblocking(true).map_err(RelayError::Listen)?;
        let stop = Stop::new()?;
        let heard = stop.clone();
        let thread = std::thread::Builder::new().name("ssh-agent".to_owned());
        let thread = thread.spawn(move || listen(&listener, &agent, &heard));
        Ok(Self {
            stop,
            thread: Some(thread.map_err(RelayError::Listen)?),
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("answering for an SSH agent ended unexpectedly");
        }
    }
}

/// Takes connections until it is asked to stop, and ends them all then.
fn listen(listener: &UnixListener, agent: &Agent, stop: &Stop) {
    let open = Connections::default();
    std::thread::scope(|scope| {
        while wait(listener, stop) {
            let step = match listener.accept() {
                Ok((step, _)) => step,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => {
                    // Out of descriptors, perhaps: the connection still waits, and would be asked about at once.
                    std::thread::sleep(PAUSE);
                    continue;
                }
            };
            if open.count() >= CONNECTIONS_MAX {
                // Hung up on: what a step does may not use up what the builder needs.
                continue;
            }
            let answered = match &agent.0 {
                Signer::Socket(socket) => pass_on(scope, step, socket, &open),
                Signer::Keys(keys) => answer(scope, step, keys, &open),
            };
            if let Err(error) = answered {
                tracing::warn!(%error, "cannot answer for an SSH agent");
            }
        }
        open.end_all();
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

/// Signs in a thread of the connection's own.
fn answer<'scope>(
    scope: &'scope Scope<'scope, '_>,
    step: UnixStream,
    keys: &'scope KeyRing,
    open: &'scope Connections,
) -> io::Result<()> {
    step.set_nonblocking(false)?;
    let connection = open.add([step.try_clone()?]);
    std::thread::Builder::new().spawn_scoped(scope, move || {
        let _connection = connection;
        if let Err(error) = keys.serve(step) {
            tracing::debug!(%error, "a step's connection to the SSH agent ended");
        }
    })?;
    Ok(())
}

/// Passes on both directions. Nothing here reads what is said.
fn pass_on<'scope>(
    scope: &'scope Scope<'scope, '_>,
    step: UnixStream,
    socket: &AgentSocket,
    open: &'scope Connections,
) -> io::Result<()> {
    let agent = socket.connect().map_err(|error| {
        let path = socket.path().display();
        io::Error::new(error.kind(), format!("cannot connect to `{path}`: {error}"))
    })?;
    step.set_nonblocking(false)?;
    let connection = Arc::new(open.add([step.try_clone()?, agent.try_clone()?]));
    let ways = [(step.try_clone()?, agent.try_clone()?), (agent, step)];
    for (mut from, mut to) in ways {
        let connection = connection.clone();
        std::thread::Builder::new().spawn_scoped(scope, move || {
            // Ended with the second of the two.
            let _connection = connection;
            // However it ends, the other side is told that nothing more comes.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })?;
    }
    Ok(())
}

/// Streams of connections that are open, by number.
#[derive(Default)]
struct Connections {
    streams: Mutex<BTreeMap<u64, Vec<UnixStream>>>,
}

/// One of them, ended with this value.
struct Connection<'a> {
    all: &'a Connections,
    number: u64,
}

impl Connections {
    fn add(&self, streams: impl Into<Vec<UnixStream>>) -> Connection<'_> {
        let mut all = self.locked();
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        all.insert(number, streams.into());
        Connection { all: self, number }
    }

    fn count(&self) -> usize {
        self.locked().len()
    }

    fn end_all(&self) {
        self.locked().values().for_each(|streams| end(streams));
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<UnixStream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let streams = self.all.locked().remove(&self.number);
        end(&streams.unwrap_or_default());
    }
}

fn end(streams: &[UnixStream]) {
    for stream in streams {
        // One that has ended already is as good.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
