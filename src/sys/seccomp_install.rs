//! Runs in a child process forked from one with threads: no allocation, no lock, no panic.
//!
//! Puts a filter on the calling process, and sends the descriptor on which its calls arrive to the
//! process that answers them.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::alone::last_errno;
use super::seccomp_filter::Filter;

/// A filter for the command, and where the command's process sends the listener.
#[derive(Debug, Clone, Copy)]
pub struct Interception<'a> {
    /// The filter.
    pub filter: &'a Filter,
    /// One end of a socket pair: see [`Listener::receive`](super::Listener::receive).
    pub socket: BorrowedFd<'a>,
}

/// Puts `filter` on this process and all that it will start, and sends the listener through `socket`.
/// From here on, calls that the filter hands over wait for whoever holds the other end.
///
/// Needs `CAP_SYS_ADMIN` in the process's user namespace. `no_new_privs`, which would do instead, is
/// not set: programs with set-id bits go on working.
pub(super) fn install(filter: &Filter, socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let listener = set_filter(filter)?;
    send(socket, listener.as_fd())
}

/// Puts `filter` on this process, and returns the listener.
pub(super) fn set_filter(filter: &Filter) -> Result<OwnedFd, Errno> {
    let instructions = filter.instructions();
    let program = libc::sock_fprog {
        len: instructions.len() as u16,
        filter: instructions.as_ptr().cast_mut(),
    };
    let listen = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Once a call has been taken up, a signal other than a fatal one waits for the answer: without
    // this (before Linux 5.19) an interrupted call is made again after it had its effect.
    for flags in [
        listen | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
        listen,
    ] {
        // SAFETY: `program` points to instructions that outlive the call, which only reads them.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        match result {
            -1 => match last_errno() {
                Errno::INVAL if flags != listen => {}
                errno => return Err(errno),
            },
            // SAFETY: a new descriptor that nobody else knows of.
            fd => return Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        }
    }
    Err(Errno::INVAL)
}

/// Bytes of a control message with one descriptor.
// SAFETY: arithmetic only.
pub(super) const CONTROL_BYTES: usize =
    unsafe { libc::CMSG_SPACE(size_of::<libc::c_int>() as u32) } as usize;

/// A control message's buffer, aligned for its header.
#[repr(C, align(8))]
pub(super) struct Control(pub(super) [u8; CONTROL_BYTES]);

fn send(socket: BorrowedFd<'_>, listener: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut byte = [0_u8];
    let mut vector = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: byte.len(),
    };
    let mut control = Control([0; CONTROL_BYTES]);
    // SAFETY: all bytes zero is a valid value of the type.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_BYTES as _;
    // SAFETY: the header and its data lie within `control`, which is as large as CMSG_SPACE says and
    // aligned; everything that `message` points to outlives the call.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<libc::c_int>() as u32) as _;
        let data = libc::CMSG_DATA(header).cast::<libc::c_int>();
        data.write_unaligned(listener.as_raw_fd());
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(last_errno()) } else { Ok(()) }
}
