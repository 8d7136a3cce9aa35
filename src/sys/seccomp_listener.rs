//! The answering side of a filter: system calls arrive here, and wait for what we say.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::alone::last_errno;
use super::seccomp_call::{Abi, Call};
use super::seccomp_install::{CONTROL_BYTES, Control};

/// Where the calls of a filter's processes arrive.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Notification {
    id: u64,
    /// The calling thread, as this process numbers it.
    pub thread: Pid,
    /// The dialect of the caller.
    pub abi: Abi,
    /// Which call it is.
    pub call: Call,
    /// Its arguments; those of 32-bit programs have no upper half.
    pub arguments: [u64; 6],
}

/// What a call gets.
#[derive(Debug)]
pub enum Reply {
    /// Success, with this result.
    Value(i64),
    /// A failure.
    Error(Errno),
    /// A new descriptor of the caller's for this file, as the result.
    File {
        /// The file.
        file: OwnedFd,
        /// Whether the caller's descriptor is closed when it executes a program.
        close_on_exec: bool,
    },
    /// The kernel carries the call out as if there were no filter, with the arguments as they are then.
    Continue,
}

/// What was waited for.
#[derive(Debug)]
pub enum Arrival {
    /// A call.
    Call(Notification),
    /// One that was taken back, or is not in the tables and was let go: nothing to do.
    Nothing,
    /// No process with this filter is left.
    End,
    /// The other descriptor became readable.
    Stop,
}

/// Room for the kernel's structures, which may grow.
#[repr(C, align(8))]
struct Buffer([u8; 512]);

impl Listener {
    /// Receives the listener of a step from the other end of the socket in its
    /// [`Interception`](super::Interception). Waits for it; `None` where it will never come.
    pub fn receive(socket: BorrowedFd<'_>) -> Result<Option<Self>, Errno> {
        check_sizes()?;
        Ok(receive(socket)?.map(|fd| Self { fd }))
    }

    /// Waits for the next call, the end, or until `stop` is readable.
    pub fn next(&self, stop: BorrowedFd<'_>) -> Result<Arrival, Errno> {
        let mut fds = [
            PollFd::new(&self.fd, PollFlags::IN),
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Arrival::Nothing),
            Err(errno) => return Err(errno),
        }
        let found = fds[0].revents();
        if found.contains(PollFlags::IN) {
            return self.take();
        }
        if !fds[1].revents().is_empty() {
            return Ok(Arrival::Stop);
        }
        if found.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(Arrival::End);
        }
        Ok(Arrival::Nothing)
    }

    fn take(&self) -> Result<Arrival, Errno> {
        // All zero, as the kernel demands.
        let mut buffer = Buffer([0; 512]);
        // SAFETY: the buffer is aligned, outlives the call, and is as large as the kernel's structure:
        // see `check_sizes`.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV as _,
                &raw mut buffer,
            )
        };
        if result != 0 {
            return match last_errno() {
                // The caller died, or somebody else was faster.
                Errno::NOENT | Errno::INTR | Errno::AGAIN => Ok(Arrival::Nothing),
                errno => Err(errno),
            };
        }
        // SAFETY: the buffer begins with the structure, all of whose bit patterns are valid.
        let found = unsafe { (&raw const buffer).cast::<libc::seccomp_notif>().read() };
        let abi = match found.data.arch {
            I386_ARCHITECTURE => Abi::I386,
            _ => Abi::Native,
        };
        let call = Call::of(abi, found.data.nr as u32);
        let (Some(call), Some(thread)) = (call, Pid::from_raw(found.pid as i32)) else {
            self.send(found.id, 0, 0, CONTINUE)?;
            return Ok(Arrival::Nothing);
        };
        Ok(Arrival::Call(Notification {
            id: found.id,
            thread,
            abi,
            call,
            arguments: found.data.args,
        }))
    }

    /// Says whether the caller still waits: if so, its thread id has meant that caller all the time.
    pub fn is_waiting(&self, notification: &Notification) -> bool {
        // SAFETY: the number outlives the call, which reads it.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _,
                &raw const notification.id,
            )
        };
        result == 0
    }

    /// Answers a call. A caller that is gone needs none.
    pub fn answer(&self, notification: &Notification, reply: Reply) -> Result<(), Errno> {
        match reply {
            Reply::Value(value) => self.send(notification.id, value, 0, 0),
            Reply::Error(errno) => self.send(notification.id, 0, -errno.raw_os_error(), 0),
            Reply::Continue => self.send(notification.id, 0, 0, CONTINUE),
            Reply::File {
                file,
                close_on_exec,
            } => self.hand_over(notification.id, file.as_fd(), close_on_exec),
        }
    }

    fn hand_over(&self, id: u64, file: BorrowedFd<'_>, close_on_exec: bool) -> Result<(), Errno> {
        match self.add(
            id,
            file,
            close_on_exec,
            libc::SECCOMP_ADDFD_FLAG_SEND as u32,
        ) {
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            // Before Linux 5.14: in two steps.
            Err(Errno::INVAL) => match self.add(id, file, close_on_exec, 0) {
                Ok(fd) => self.send(id, fd.into(), 0, 0),
                Err(errno) => self.send(id, 0, -errno.raw_os_error(), 0),
            },
            // The caller has as many descriptors as it may.
            Err(errno) => self.send(id, 0, -errno.raw_os_error(), 0),
        }
    }

    fn add(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        close_on_exec: bool,
        flags: u32,
    ) -> Result<i32, Errno> {
        let request = libc::seccomp_notif_addfd {
            id,
            flags,
            srcfd: file.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if close_on_exec {
                libc::O_CLOEXEC as u32
            } else {
                0
            },
        };
        // SAFETY: the structure outlives the call, which reads it.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ADDFD as _,
                &raw const request,
            )
        };
        if result < 0 {
            Err(last_errno())
        } else {
            Ok(result)
        }
    }

    fn send(&self, id: u64, val: i64, error: i32, flags: u32) -> Result<(), Errno> {
        let mut buffer = Buffer([0; 512]);
        let response = libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags,
        };
        // SAFETY: the buffer is aligned, larger than the structure, and as large as the kernel's; it
        // outlives the call.
        let result = unsafe {
            (&raw mut buffer)
                .cast::<libc::seccomp_notif_resp>()
                .write(response);
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND as _,
                &raw mut buffer,
            )
        };
        match result {
            0 => Ok(()),
            _ => match last_errno() {
                Errno::NOENT => Ok(()),
                errno => Err(errno),
            },
        }
    }
}

/// Receives the descriptor that the command's process sent; `None` where all senders are gone.
fn receive(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
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
    let received = loop {
        // SAFETY: everything that `message` points to outlives the call and is ours alone.
        let received =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match received {
            -1 if last_errno() == Errno::INTR => {}
            -1 => return Err(last_errno()),
            length => break length,
        }
    };
    if received == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel filled `control` in and set the lengths; a header is looked at only where
    // there is one, and its data only for the kind that holds descriptors, of which the buffer has
    // room for one. That one is new, and nobody else knows of it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Err(Errno::BADMSG);
        }
        let fd = libc::CMSG_DATA(header)
            .cast::<libc::c_int>()
            .read_unaligned();
        Ok(Some(OwnedFd::from_raw_fd(fd)))
    }
}

const CONTINUE: u32 = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;

/// linux/audit.h, `AUDIT_ARCH_I386`.
const I386_ARCHITECTURE: u32 = 0x4000_0003;

/// Makes sure that the kernel's structures fit into our buffers.
fn check_sizes() -> Result<(), Errno> {
    let mut sizes = MaybeUninit::<libc::seccomp_notif_sizes>::zeroed();
    // SAFETY: the structure outlives the call, which fills it in.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0,
            sizes.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(last_errno());
    }
    // SAFETY: it was zeroed, which is valid, and then filled in.
    let sizes = unsafe { sizes.assume_init() };
    let fits = |size: u16| usize::from(size) <= size_of::<Buffer>();
    if fits(sizes.seccomp_notif) && fits(sizes.seccomp_notif_resp) {
        Ok(())
    } else {
        Err(Errno::NOSYS)
    }
}
