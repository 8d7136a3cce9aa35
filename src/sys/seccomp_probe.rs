//! Finding out whether calls can be answered here.

use rustix::io::Errno;

use super::alone::start_child;
use super::errno::errno_from;
use super::seccomp_filter::{Filter, Interest};
use super::seccomp_install::set_filter;

/// Tries in a forked child whether a process like this one can have its calls handed over. `EBUSY`
/// also where somebody answers calls of this process already. For a process with a single thread.
pub fn try_interception() -> Result<(), Errno> {
    let child = start_child(|| {
        let filter = Filter::new(|_| Interest::Never);
        let errno = set_filter(&filter).map_or_else(Errno::raw_os_error, |_| 0);
        errno.to_ne_bytes().to_vec()
    })?;
    let answer = child.finish()?.and_then(|bytes| bytes.try_into().ok());
    match answer.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(number) => Err(errno_from(number).unwrap_or(Errno::IO)),
        None => Err(Errno::CHILD),
    }
}
