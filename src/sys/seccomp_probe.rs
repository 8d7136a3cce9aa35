//! Finding out whether the kernel hands system calls of a process over to another one.

use rustix::io::Errno;

/// Puts a filter on this process that lets every call pass and has a listener, for good: for a child
/// that ends soon. Needs `CAP_SYS_ADMIN` in the process's user namespace; `no_new_privs` is not set.
pub fn try_seccomp_listener() -> Result<(), Errno> {
    let instruction = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: (&raw const instruction).cast_mut(),
    };
    // SAFETY: `program` points to one instruction; both outlive the call, which only reads them.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(super::alone::last_errno());
    }
    // The descriptor stays open until this process ends: nothing waits for it.
    Ok(())
}
