//! The memory and the limits of another process that waits for us.

use std::ffi::CString;
use std::mem::MaybeUninit;

use rustix::io::Errno;
use rustix::process::Pid;

use super::alone::last_errno;

/// The kernel's bound on a path, its NUL included.
const PATH_BYTES_MAX: usize = libc::PATH_MAX as usize;

/// Memory that is read at once does not cross a border of this: what lies behind may not be there.
const PAGE_BYTES: u64 = 4096;

/// Reads `length` bytes of the memory of `process`; `EFAULT` where they are not all there.
pub fn read_memory(process: Pid, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; length];
    match read_some(process, address, &mut bytes)? {
        found if found == length => Ok(bytes),
        _ => Err(Errno::FAULT),
    }
}

/// Reads a string that ends with NUL from the memory of `process`. `ENAMETOOLONG` for one that is
/// longer than a path may be.
pub fn read_string(process: Pid, address: u64) -> Result<CString, Errno> {
    let mut bytes: Vec<u8> = Vec::with_capacity(256);
    while bytes.len() < PATH_BYTES_MAX {
        let at = address
            .checked_add(bytes.len() as u64)
            .ok_or(Errno::FAULT)?;
        let to_border = (PAGE_BYTES - at % PAGE_BYTES) as usize;
        // Most paths are short: a small piece first.
        let length = to_border.min(if bytes.is_empty() { 256 } else { 4096 });
        let mut piece = [0_u8; 4096];
        let found = read_some(process, at, &mut piece[..length])?;
        let piece = &piece[..found];
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&piece[..end]);
            return CString::new(bytes).map_err(|_| Errno::INVAL);
        }
        if found == 0 {
            return Err(Errno::FAULT);
        }
        bytes.extend_from_slice(piece);
    }
    Err(Errno::NAMETOOLONG)
}

/// Writes `bytes` into the memory of `process`; `EFAULT` where there is no room for all of them.
pub fn write_memory(process: Pid, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    let pid = process.as_raw_nonzero().get();
    // SAFETY: our side is read only, and outlives the call; the other side is not ours.
    match unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) } {
        -1 => Err(last_errno()),
        written if written as usize == bytes.len() => Ok(()),
        _ => Err(Errno::FAULT),
    }
}

fn read_some(process: Pid, address: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    let pid = process.as_raw_nonzero().get();
    // SAFETY: our side is ours alone, outlives the call and is as long as said; the other side is
    // only read, and is not ours.
    match unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) } {
        -1 => Err(last_errno()),
        length => Ok(length as usize),
    }
}

/// Returns the hard limit on the processor time that the process of `thread` may take without a pause
/// under real-time scheduling, in microseconds; `u64::MAX` for none.
pub fn realtime_limit(thread: Pid) -> Result<u64, Errno> {
    let mut limit = MaybeUninit::<libc::rlimit64>::zeroed();
    let pid = thread.as_raw_nonzero().get();
    // SAFETY: the structure outlives the call, which fills it in; none is set.
    let result = unsafe {
        libc::prlimit64(
            pid,
            libc::RLIMIT_RTTIME,
            std::ptr::null(),
            limit.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(last_errno());
    }
    // SAFETY: it was zeroed, which is valid, and then filled in.
    Ok(unsafe { limit.assume_init() }.rlim_max)
}

/// Sets that limit, which can only be made smaller. Threads of a process have one in common, and what
/// it starts inherits it.
pub fn set_realtime_limit(thread: Pid, microseconds: u64) -> Result<(), Errno> {
    let limit = rustix::process::Rlimit {
        current: Some(microseconds),
        maximum: Some(microseconds),
    };
    rustix::process::prlimit(Some(thread), rustix::process::Resource::Rttime, limit).map(|_| ())
}
