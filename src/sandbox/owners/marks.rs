//! Which identity a process has, written where the kernel passes it on: in one of the process's limits.
//!
//! A table of process ids would have to learn of every fork, exit and reused number, and would lose
//! who a process was once its parent is gone. The limit on real-time processor time
//! (`RLIMIT_RTTIME`) is inherited by children and across `execve`, is common to a process's threads,
//! ends with the process, and can be read and set from outside; in any size used here it limits
//! nothing. So a process that changed its ids carries a number, under which they are found here; one
//! that carries none is who the step began as.
//!
//! A limit can only be lowered, so each change takes a lower number than all before. What a program
//! sees of it: `ulimit -R` is a large number after a change of user. A program that sets this limit
//! itself (none that we know does in a build) counts as the step's first identity afterwards.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::sys;

use super::identity::Identity;

/// The first number: half a million years, in microseconds.
const FIRST: u64 = 1 << 62;

#[derive(Debug)]
pub(super) struct Marks {
    initial: Arc<Identity>,
    known: HashMap<u64, Arc<Identity>>,
    next: u64,
}

impl Marks {
    pub(super) fn new(initial: Identity) -> Self {
        Self {
            initial: Arc::new(initial),
            known: HashMap::new(),
            next: FIRST,
        }
    }

    /// Returns who the process of `thread` is.
    pub(super) fn of(&self, thread: Pid) -> Result<Arc<Identity>, Errno> {
        if self.known.is_empty() {
            return Ok(Arc::clone(&self.initial));
        }
        let mark = sys::realtime_limit(thread)?;
        Ok(Arc::clone(self.known.get(&mark).unwrap_or(&self.initial)))
    }

    /// Makes the process of `thread` somebody else.
    pub(super) fn set(&mut self, thread: Pid, identity: Identity) -> Result<(), Errno> {
        let limit = sys::realtime_limit(thread)?;
        let mark = match limit > self.next {
            true => self.next,
            // Something in the step, or whoever started the builder, has set such a limit.
            false => self.free_below(limit)?,
        };
        sys::set_realtime_limit(thread, mark)?;
        if mark == self.next {
            self.next -= 1;
        }
        self.known.insert(mark, Arc::new(identity));
        Ok(())
    }

    fn free_below(&self, limit: u64) -> Result<u64, Errno> {
        let mut below = (1..limit).rev();
        let free = below.find(|mark| *mark != self.next && !self.known.contains_key(mark));
        free.ok_or(Errno::AGAIN)
    }
}
