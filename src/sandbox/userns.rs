//! Entering a user namespace in which this user's subordinate ids exist.
//!
//! Only `newuidmap` and `newgidmap` may map ids that are not the user's own, and only from outside:
//! a child that stays behind runs them on the process that entered.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pipe::PipeFlags;

use crate::sys::{self, Errno};

use super::failure::Failure;
use super::id_map::{IdMap, IdRange, name_of_user, parse_subordinate_ranges};

/// The call that containers usually forbid, as messages name it.
pub(super) const UNSHARE_USER: &str = "unshare(CLONE_NEWUSER|CLONE_NEWNS)";

/// The maps of users and of groups.
#[derive(Debug, Clone)]
pub(super) struct IdMaps {
    users: IdMap,
    groups: IdMap,
}

impl IdMaps {
    /// Reads what `/etc/subuid` and `/etc/subgid` give to the user who runs this process.
    pub(super) fn of_this_user() -> Result<Self, Failure> {
        let uid = rustix::process::getuid().as_raw();
        let gid = rustix::process::getgid().as_raw();
        let passwd = read_text(Path::new("/etc/passwd"))?;
        let name = name_of_user(&passwd, uid);
        Ok(Self {
            users: map_from("/etc/subuid", name, uid, uid)?,
            groups: map_from("/etc/subgid", name, uid, gid)?,
        })
    }
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
            Ok(1) => answer(run_mappers(&process, maps)),
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
            return Err(failure.unwrap_or_else(|_| Failure::with_detail("newuidmap", "failed")));
        }
        None => return Err(Failure::with_detail("newuidmap", "its process died")),
    }
    sys::become_root_of_namespace().map_err(|errno| Failure::new("setresuid", errno))
}

/// Encodes an outcome for the parent: nothing for success.
fn answer(outcome: Result<(), Failure>) -> Vec<u8> {
    match outcome {
        Ok(()) => Vec::new(),
        Err(failure) => serde_json::to_vec(&failure).unwrap_or_else(|_| b"?".to_vec()),
    }
}

fn run_mappers(process: &str, maps: &IdMaps) -> Result<(), Failure> {
    run_mapper("newuidmap", process, &maps.users)?;
    run_mapper("newgidmap", process, &maps.groups)
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
