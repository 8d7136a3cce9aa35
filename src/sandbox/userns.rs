//! Entering a user namespace, with the most ids in it that this process may map.
//!
//! Ids that are not the user's own can only be mapped from outside: a child that stays behind does
//! it for the process that entered, by writing the maps if it may, else by `newuidmap` and
//! `newgidmap`.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pipe::PipeFlags;

use crate::sys::{self, Capabilities, Errno};

use super::failure::Failure;
use super::id_map::{IdMap, IdRange, identity, name_of_user, parse_subordinate_ranges};
use super::isolation::Ids;

/// The call that containers usually forbid, as messages name it.
pub(super) const UNSHARE_USER: &str = "unshare(CLONE_NEWUSER|CLONE_NEWNS)";

/// The maps of users and of groups.
#[derive(Debug, Clone)]
pub(super) enum IdMaps {
    /// As text, to be written from outside by a process that may.
    Whole { users: String, groups: String },
    /// For `newuidmap` and `newgidmap`.
    Range { users: IdMap, groups: IdMap },
    /// This user and this group become root, written from inside.
    Single { uid: u32, gid: u32 },
}

impl IdMaps {
    /// Finds out what this process can map of the kind `ids`.
    pub(super) fn new(ids: Ids) -> Result<Self, Failure> {
        match ids {
            Ids::Whole => whole(),
            Ids::Range => range(),
            Ids::Single => Ok(Self::Single {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            }),
        }
    }

    /// Says whether the map leaves the process the right to choose its groups.
    fn allows_groups(&self) -> bool {
        match self {
            Self::Whole { .. } | Self::Range { .. } => true,
            Self::Single { .. } => false,
        }
    }
}

/// Says whether this process may map ids that are not its own.
pub(super) fn may_map_all() -> bool {
    sys::has_capability(Capabilities::SETUID | Capabilities::SETGID)
}

fn whole() -> Result<IdMaps, Failure> {
    if !may_map_all() {
        return Err(Failure::with_detail(
            "CAP_SETUID, CAP_SETGID",
            "not effective",
        ));
    }
    let read = |path: &str| read_text(Path::new(path)).map(|text| identity(&text));
    Ok(IdMaps::Whole {
        users: read("/proc/self/uid_map")?,
        groups: read("/proc/self/gid_map")?,
    })
}

/// Reads what `/etc/subuid` and `/etc/subgid` give to the user who runs this process.
fn range() -> Result<IdMaps, Failure> {
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let passwd = read_text(Path::new("/etc/passwd"))?;
    let name = name_of_user(&passwd, uid);
    let users = map_from("/etc/subuid", name, uid, uid)?;
    let groups = map_from("/etc/subgid", name, uid, gid)?;
    // Asked last: who has no range is not helped by a setuid program that works.
    if !sys::may_gain_privileges() && !may_map_all() {
        return Err(Failure::with_detail("newuidmap", "no_new_privs is set"));
    }
    Ok(IdMaps::Range { users, groups })
}

fn map_from(file: &str, name: Option<&str>, uid: u32, own: u32) -> Result<IdMap, Failure> {
    let ranges: Vec<IdRange> = parse_subordinate_ranges(&read_text(Path::new(file))?, name, uid);
    IdMap::new(own, &ranges).ok_or_else(|| {
        let user = name.map_or_else(|| uid.to_string(), str::to_owned);
        Failure::with_detail(file, format!("no subordinate ids for `{user}`"))
    })
}

/// Empty where there is no such file.
fn read_text(path: &Path) -> Result<String, Failure> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::from_io(format!("read {}", path.display()), &error)),
    }
}

/// Moves this process, which must have a single thread, into a user and a mount namespace, and
/// makes it root there.
pub(super) fn enter_user_namespace(maps: &IdMaps) -> Result<(), Failure> {
    let pipe = |result: Result<(OwnedFd, OwnedFd), Errno>| {
        result.map_err(|errno| Failure::new("pipe", errno))
    };
    let (go, signal) = pipe(rustix::pipe::pipe_with(PipeFlags::CLOEXEC))?;
    let mut signal = Some(signal);
    let process = rustix::process::getpid().as_raw_nonzero().to_string();
    let mapper = sys::start_child(|| {
        // This copy of the writing end must not keep the pipe open.
        drop(signal.take());
        match rustix::io::read(&go, &mut [0_u8; 1]) {
            Ok(1) => answer(map_from_outside(&process, maps)),
            Ok(_) | Err(_) => Vec::new(),
        }
    })
    .map_err(|errno| Failure::new("fork", errno))?;

    let entered =
        sys::enter_user_and_mount_namespace().map_err(|errno| Failure::new(UNSHARE_USER, errno));
    if entered.is_ok()
        && let Some(signal) = &signal
    {
        let _ = rustix::io::write(signal, &[1]);
    }
    // Closed without a word, the pipe tells the child that there is nothing to map.
    drop(signal.take());
    let mapped = mapper
        .finish()
        .map_err(|errno| Failure::new("wait", errno))?;
    entered?;
    match mapped.as_deref() {
        Some([]) => {}
        Some(bytes) => {
            let failure = serde_json::from_slice(bytes);
            return Err(failure.unwrap_or_else(|_| Failure::with_detail("map ids", "failed")));
        }
        None => return Err(Failure::with_detail("map ids", "the process for it died")),
    }
    map_from_inside(maps)?;
    sys::become_root_of_namespace().map_err(|errno| Failure::new("setresuid", errno))?;
    if maps.allows_groups() {
        sys::leave_further_groups().map_err(|errno| Failure::new("setgroups", errno))?;
    }
    Ok(())
}

/// Encodes an outcome for the parent: nothing for success.
fn answer(outcome: Result<(), Failure>) -> Vec<u8> {
    match outcome {
        Ok(()) => Vec::new(),
        Err(failure) => serde_json::to_vec(&failure).unwrap_or_else(|_| b"?".to_vec()),
    }
}

fn map_from_outside(process: &str, maps: &IdMaps) -> Result<(), Failure> {
    match maps {
        IdMaps::Whole { users, groups } => {
            write_map(process, "uid_map", users)?;
            write_map(process, "gid_map", groups)
        }
        IdMaps::Range { users, groups } => {
            run_mapper("newuidmap", process, users)?;
            run_mapper("newgidmap", process, groups)
        }
        IdMaps::Single { .. } => Ok(()),
    }
}

fn map_from_inside(maps: &IdMaps) -> Result<(), Failure> {
    match maps {
        IdMaps::Whole { .. } | IdMaps::Range { .. } => Ok(()),
        IdMaps::Single { uid, gid } => {
            write_map("self", "uid_map", &format!("0 {uid} 1\n"))?;
            // user_namespaces(7): without it, an unprivileged process may not map its group.
            write_map("self", "setgroups", "deny")?;
            write_map("self", "gid_map", &format!("0 {gid} 1\n"))
        }
    }
}

/// The kernel takes a map in one write only.
fn write_map(process: &str, file: &str, text: &str) -> Result<(), Failure> {
    std::fs::write(format!("/proc/{process}/{file}"), text)
        .map_err(|error| Failure::from_io(format!("write {file}"), &error))
}

fn run_mapper(program: &str, process: &str, map: &IdMap) -> Result<(), Failure> {
    let output = Command::new(program)
        .arg(process)
        .args(map.arguments())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::from_io(program, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().collect::<Vec<_>>().join("; ");
    let said = said.strip_prefix(&format!("{program}: ")).unwrap_or(&said);
    Err(Failure::with_detail(program, said))
}
