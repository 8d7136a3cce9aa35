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

/// Makes an error number of what another process wrote down; `None` for what cannot be one.
pub fn errno_from(number: i32) -> Option<Errno> {
    /// The kernel's own bound (`MAX_ERRNO`).
    const LARGEST: i32 = 4095;
    (1..=LARGEST)
        .contains(&number)
        .then(|| Errno::from_raw_os_error(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_errors_are_refused() {
        assert_eq!(errno_from(1), Some(Errno::PERM));
        for number in [0, -1, 4096, i32::MIN] {
            assert_eq!(errno_from(number), None);
        }
    }

    #[test]
    fn unusual_errors_are_named_by_number() {
        assert_eq!(errno_name(Errno::PERM), "EPERM");
        assert_eq!(errno_name(Errno::from_raw_os_error(133)), "errno 133");
    }
}
