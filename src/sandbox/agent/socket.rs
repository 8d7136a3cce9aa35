//! The socket of an agent of the user's.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::fs::{PathContext, PathError};

/// Where an agent listens. Open, so that it is found whatever is in the place of its path meanwhile.
#[derive(Debug)]
pub(super) struct AgentSocket {
    fd: OwnedFd,
    path: PathBuf,
}

pub(super) fn is_socket(path: &Path) -> Result<bool, PathError> {
    let metadata = std::fs::metadata(path).on("look at", path)?;
    Ok(metadata.file_type().is_socket())
}

impl AgentSocket {
    pub(super) fn open(path: &Path) -> Result<Self, PathError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
        Ok(Self {
            fd: fd.on("open", path)?,
            path: path.to_path_buf(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Connects, or fails at once: an agent that takes no more connections would be waited for without an end.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}
