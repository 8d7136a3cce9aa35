//! The thread that answers: takes one call after the other, until no process of the step is left.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::process::Pid;

use crate::fs::{Inode, Ledger};
use crate::sys::{self, Arrival, Listener, Notification, Reply};

use super::EmulationSummary;
use super::decide::At;
use super::identity::Identity;
use super::marks::Marks;
use super::trouble::{OurTrouble, Trouble};
use super::view::{Place, View};

/// More warnings than this say nothing new.
const WARNINGS_MAX: usize = 20;

pub(super) struct Supervisor {
    listener: Listener,
    pub(super) ledger: Arc<Ledger>,
    pub(super) marks: Marks,
    pub(super) view: View,
    calls: u64,
    warnings: BTreeSet<String>,
}

impl Supervisor {
    /// Makes the calling thread the one that answers: it can do nothing else any more.
    pub(super) fn new(
        listener: Listener,
        ledger: Arc<Ledger>,
        identity: Identity,
    ) -> Result<Self, Errno> {
        Ok(Self {
            listener,
            ledger,
            marks: Marks::new(identity),
            view: View::new()?,
            calls: 0,
            warnings: BTreeSet::new(),
        })
    }

    /// Answers until nobody is left who could ask. When this ends early, the listener closes, and
    /// calls of what is left fail with `ENOSYS`: nothing waits for ever.
    pub(super) fn run(mut self, stop: BorrowedFd<'_>) -> EmulationSummary {
        loop {
            match self.listener.next(stop) {
                Ok(Arrival::Call(notification)) => {
                    self.calls += 1;
                    let outcome = self.decide(&notification);
                    self.answer(&notification, outcome);
                }
                Ok(Arrival::Nothing) => {}
                Ok(Arrival::End | Arrival::Stop) => break,
                Err(errno) => {
                    self.warn("receive calls", errno);
                    break;
                }
            }
        }
        EmulationSummary {
            calls: self.calls,
            warnings: self.warnings.into_iter().collect(),
        }
    }

    fn answer(&mut self, notification: &Notification, outcome: Result<Reply, Trouble>) {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(Trouble::Kernel(errno)) => Reply::Error(errno),
            Err(Trouble::Gone) => return,
            // Whatever it was, it was not our fault.
            Err(Trouble::Ours { .. }) if !self.listener.is_waiting(notification) => return,
            Err(Trouble::Ours { action, errno }) => {
                self.warn(action, errno);
                Reply::Error(errno)
            }
        };
        if let Err(errno) = self.listener.answer(notification, reply) {
            self.warn("answer a call", errno);
            // Whatever was wrong with the answer: the caller must not wait for ever.
            let refusal = Reply::Error(Errno::NOSYS);
            if let Err(errno) = self.listener.answer(notification, refusal) {
                self.warn("refuse a call", errno);
            }
        }
    }

    fn warn(&mut self, action: &str, errno: Errno) {
        if self.warnings.len() < WARNINGS_MAX {
            let errno = sys::errno_name(errno);
            self.warnings.insert(format!("cannot {action}: {errno}"));
        }
    }

    /// Makes sure that the caller of `call` still waits, so that what was found by its thread id was
    /// the caller's: to be asked before anything is done to what was found.
    pub(super) fn check(&self, call: &Notification) -> Result<(), Trouble> {
        match self.listener.is_waiting(call) {
            true => Ok(()),
            false => Err(Trouble::Gone),
        }
    }

    /// Returns where the caller finds a file.
    pub(super) fn place(&self, call: &Notification, at: At) -> Result<Place<'_>, Trouble> {
        let may_be_empty = at.flags.contains(AtFlags::EMPTY_PATH);
        if at.path == 0 && may_be_empty {
            return self.view.descriptor(call.thread, at.dir);
        }
        let path = read_path(call.thread, at.path)?;
        if path.is_empty() && may_be_empty {
            return self.view.descriptor(call.thread, at.dir);
        }
        self.view.place(call.thread, at.dir, &path)
    }

    /// Returns who the caller is.
    pub(super) fn identity(&self, call: &Notification) -> Result<Arc<Identity>, Trouble> {
        self.marks.of(call.thread).ours("find out who a process is")
    }

    /// Records owner and group of a file that was just made.
    pub(super) fn record_new(
        &self,
        file: impl AsFd,
        (uid, gid): (u32, u32),
    ) -> Result<Inode, Trouble> {
        let inode = Inode::of(file).ours("look at a new file")?;
        // Where a file system does not say when files were born, this may be the number of an old one.
        self.ledger.forget(&inode);
        self.ledger.set_owner(&inode, Some(uid), Some(gid));
        Ok(inode)
    }
}

/// Reads a path from the caller's memory.
pub(super) fn read_path(thread: Pid, address: u64) -> Result<std::ffi::CString, Trouble> {
    sys::read_string(thread, address).ours("read a process's memory")
}
