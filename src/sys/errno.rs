//! The names of the kernel's error numbers, for messages: `EPERM` says more to a search engine than
//! "Operation not permitted".

use std::borrow::Cow;

use rustix::io::Errno;

/// Returns the symbolic name of `errno`, as in `EPERM`; "errno 133" where it is none of the usual.
pub fn errno_name(errno: Errno) -> Cow<'static, str> {
    let name = match errno {
        Errno::ACCESS => "EACCES",
        Errno::AGAIN => "EAGAIN",
        Errno::BADF => "EBADF",
        Errno::BUSY => "EBUSY",
        Errno::CHILD => "ECHILD",
        Errno::EXIST => "EEXIST",
        Errno::FAULT => "EFAULT",
        Errno::INTR => "EINTR",
        Errno::INVAL => "EINVAL",
        Errno::IO => "EIO",
        Errno::ISDIR => "EISDIR",
        Errno::LOOP => "ELOOP",
        Errno::MFILE => "EMFILE",
        Errno::NAMETOOLONG => "ENAMETOOLONG",
        Errno::NFILE => "ENFILE",
        Errno::NODATA => "ENODATA",
        Errno::NODEV => "ENODEV",
        Errno::NOENT => "ENOENT",
        Errno::NOEXEC => "ENOEXEC",
        Errno::NOMEM => "ENOMEM",
        Errno::NOSPC => "ENOSPC",
        Errno::NOSYS => "ENOSYS",
        Errno::NOTDIR => "ENOTDIR",
        Errno::NOTEMPTY => "ENOTEMPTY",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        Errno::OVERFLOW => "EOVERFLOW",
        Errno::PERM => "EPERM",
        Errno::ROFS => "EROFS",
        Errno::SRCH => "ESRCH",
        Errno::TOOBIG => "E2BIG",
        Errno::TXTBSY => "ETXTBSY",
        Errno::USERS => "EUSERS",
        Errno::XDEV => "EXDEV",
        other => return Cow::Owned(format!("errno {}", other.raw_os_error())),
    };
    Cow::Borrowed(name)
}
