//! A step that believes in many users although there is one: ownership kept by answering system calls.
//!
//! In a user namespace with a single id, every file belongs to that id and nobody can become another.
//! Here the calls that would say otherwise are answered by the builder: a change of owner is written
//! into the [`Ledger`], a change of user is kept for the process, and who asks is told what was
//! written. The layer is then made of what the ledger says.
//!
//! # What is answered, and what is not
//!
//! | Calls | Answer |
//! |---|---|
//! | `chown` and its kin | recorded by inode; set-id bits, capabilities and the change time as with a real one |
//! | `setuid`, `setgid`, `setre*id`, `setres*id`, `setfs*id`, `setgroups` | by the kernel's rules, kept for the process and inherited by what it starts |
//! | `getuid`, `getgid`, `getres*id`, `getgroups` | from that |
//! | `execve` | the kernel's; a set-id program, judged by its recorded owner, changes the kept ids |
//! | `mknod` of a device | an empty regular file with a record |
//! | `open` that creates, `mkdir`, `mknod`, `symlink` | done for the process where the new file is not root's: its user, or the group of a set-group-id directory |
//! | `stat` and its kin | where there is a record: the kernel's answer with the owner and the device put in |
//!
//! Not emulated:
//!
//! - *Access.* The kernel lets every process do what root of the namespace may do, whichever user it
//!   thinks it is. A program that expects to be refused is not.
//! - *Capabilities.* `capget` shows the real ones, which are the step's for every user.
//! - *Other ways to learn an id:* `/proc/PID/status`, credentials of sockets, the auxiliary vector.
//! - *Sockets* in the file system have no recorded owner: no layer holds one.
//! - *Directories' own words:* `readdir` calls a device a regular file; opening one opens the empty file.
//! - *`openat2`* with restrictions on resolving, and `io_uring`, which is refused.
//! - *The step's own program:* until it runs, its process is a copy of the builder, into which nobody may
//!   look; should it be set-id itself, which takes a `USER` and `RUN ["sudo", …]`, it runs as that user.
//! - *32-bit x86 programs* have all of it but the older `stat` calls; x32 and 32-bit ARM programs cannot run.
//!
//! An answer costs: about 18 µs more for each `lstat` (`tests/owners`, `what_an_answer_costs`; 2 cores,
//! Linux 6.18, the machine busy). The installation of five Debian packages and perl there asks 33,000 times.
//!
//! Needs Linux 5.9, and no other listener on the builder itself.
//!
//! None of it is a means of confinement: what keeps a step in is the namespaces. So it does no harm
//! that a process can change a path between our look and the kernel's.

mod change_owner;
mod create;
mod decide;
mod execute;
mod identity;
mod marks;
mod set_ids;
mod show;
mod supervisor;
mod trouble;
mod view;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::EventfdFlags;

use crate::fs::Ledger;
use crate::sys::{Call, Filter, Interception, Interest, Listener};

use self::supervisor::Supervisor;

pub use self::identity::Identity;

/// The answering of one step's calls.
#[derive(Debug)]
pub struct OwnerEmulation {
    filter: Filter,
    /// The step's end of the way by which the listener comes.
    socket: UnixStream,
    stop: OwnedFd,
    thread: JoinHandle<EmulationSummary>,
}

/// How the answering went.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EmulationSummary {
    /// How many calls were answered.
    pub calls: u64,
    /// What went wrong on our side, each once: the calls in question failed. Empty for nothing.
    pub warnings: Vec<String>,
}

impl OwnerEmulation {
    /// Starts the answering thread for a step that begins as `identity`. It waits for the step that is
    /// launched with [`Self::interception`].
    pub fn start(ledger: Arc<Ledger>, identity: Identity) -> io::Result<Self> {
        let (ours, socket) = UnixStream::pair()?;
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let wake = stop.try_clone()?;
        let thread = std::thread::Builder::new()
            .name("owners".to_owned())
            .spawn(move || {
                answer_all(&ours, &wake, ledger, identity).unwrap_or_else(|error| {
                    EmulationSummary {
                        calls: 0,
                        warnings: vec![format!("cannot keep the owners of files: {error}")],
                    }
                })
            })?;
        Ok(Self {
            filter: Filter::new(interest),
            socket,
            stop,
            thread,
        })
    }

    /// Returns what the step's launch needs.
    pub fn interception(&self) -> Interception<'_> {
        Interception {
            filter: &self.filter,
            socket: self.socket.as_fd(),
        }
    }

    /// Ends the answering. To be called when the step has ended, or could not be launched.
    pub fn finish(self) -> EmulationSummary {
        // The thread may still wait for the listener of a step that was never launched.
        drop(self.socket);
        // An eventfd takes the first number always.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        self.thread.join().unwrap_or_else(|_| EmulationSummary {
            calls: 0,
            warnings: vec!["the keeper of owners died: owners may be wrong".to_owned()],
        })
    }
}

fn answer_all(
    socket: &UnixStream,
    stop: &OwnedFd,
    ledger: Arc<Ledger>,
    identity: Identity,
) -> io::Result<EmulationSummary> {
    let Some(listener) = Listener::receive(socket.as_fd())? else {
        return Ok(EmulationSummary::default());
    };
    Ok(Supervisor::new(listener, ledger, identity)?.run(stop.as_fd()))
}

/// Returns which calls are handed to us.
fn interest(call: Call) -> Interest {
    match call {
        Call::Open => creating(1),
        Call::Openat => creating(2),
        Call::Chown
        | Call::Lchown
        | Call::Fchown
        | Call::Fchownat
        | Call::Setuid
        | Call::Setgid
        | Call::Setreuid
        | Call::Setregid
        | Call::Setresuid
        | Call::Setresgid
        | Call::Setfsuid
        | Call::Setfsgid
        | Call::Setgroups
        | Call::Getuid
        | Call::Geteuid
        | Call::Getgid
        | Call::Getegid
        | Call::Getresuid
        | Call::Getresgid
        | Call::Getgroups
        | Call::Openat2
        | Call::Creat
        | Call::Mkdir
        | Call::Mkdirat
        | Call::Mknod
        | Call::Mknodat
        | Call::Symlink
        | Call::Symlinkat
        | Call::Execve
        | Call::Execveat
        | Call::Stat
        | Call::Lstat
        | Call::Fstat
        | Call::Newfstatat
        | Call::Statx => Interest::Always,
    }
}

/// Most files that are opened are there already: only those calls come that may make one.
fn creating(argument: u8) -> Interest {
    Interest::Bits {
        argument,
        bits: create::CREATING_BITS,
    }
}
