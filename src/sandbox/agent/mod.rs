//! SSH agents, lent to a step: a socket of the step's own, and threads that answer what comes through it, or pass it
//! on to an agent of the user's.
//!
//! An agent's own socket is its user's, and some agents look at who connects: the step's user could use it nowhere
//! but by chance.

mod key_ring;
mod private_key;
mod relay;
mod socket;

use std::path::{Path, PathBuf};

use crate::fs::PathError;

use super::stop;

use self::key_ring::KeyRing;
pub use self::private_key::KeyError;
use self::private_key::PrivateKey;
pub(super) use self::relay::Relay;
pub use self::relay::RelayError;
use self::socket::AgentSocket;

/// Whoever signs for a step.
#[derive(Debug)]
pub struct Agent(Signer);

#[derive(Debug)]
enum Signer {
    Socket(AgentSocket),
    Keys(KeyRing),
}

/// Why files are no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// One of them cannot be looked at or read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// One of them is no key that can be used.
    #[error("cannot use the key `{}`", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// There are several, and one of them is a socket.
    #[error("`{}` is a socket: an agent is one socket, or key files", .0.display())]
    SocketAmongKeys(PathBuf),
}

impl Agent {
    /// Opens the agent that `paths`, at least one of the user's, stand for: a socket, or files with a private key each.
    /// Keys are read here and held in memory; to the agent behind a socket, nothing is said.
    pub fn open(paths: &[PathBuf]) -> Result<Self, AgentError> {
        if let [path] = paths
            && socket::is_socket(path)?
        {
            return Ok(Self(Signer::Socket(AgentSocket::open(path)?)));
        }
        let keys = paths.iter().map(|path| read_key(path));
        Ok(Self(Signer::Keys(KeyRing::new(
            keys.collect::<Result<_, _>>()?,
        ))))
    }
}

fn read_key(path: &Path) -> Result<PrivateKey, AgentError> {
    if socket::is_socket(path)? {
        return Err(AgentError::SocketAmongKeys(path.to_path_buf()));
    }
    let failed = |source| AgentError::Key {
        path: path.to_path_buf(),
        source,
    };
    let text = private_key::read(path)?;
    PrivateKey::parse(&text, path).map_err(failed)
}

#[cfg(test)]
mod tests;
