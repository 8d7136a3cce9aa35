//! What this process may do, found out by doing it in forked children.
//!
//! Nothing is guessed from a kernel's version, a file that containers have, or a user's name: a
//! security module may allow the first call and refuse the second. Every failure is kept for the
//! message.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::sys::{self, Capabilities, MountFlags};

use super::command::Command;
use super::failure::Failure;
use super::isolation::{Ids, Mode};
use super::userns::{IdMaps, UNSHARE_USER, enter_user_namespace};

/// A directory that every machine has, to mount over in namespaces that end with the probe.
const SCRATCH: &str = "/sys";

/// What a mode was found to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    /// A `sysfs` of the sandbox's own can be mounted; else the machine's is shown read-only.
    pub(super) can_mount_sysfs: bool,
    /// A `proc` for a pid namespace can be mounted. Else there is no pid namespace, and the one
    /// that is there is shown: through another one's `/proc`, a process cannot find itself.
    pub(super) can_mount_proc: bool,
    /// The root directory can be exchanged by `pivot_root`; else a mount is moved over it.
    pub(super) can_pivot_root: bool,
    /// A step can have a host name of its own. Podman's seccomp profile allows namespaces, and no name in them.
    pub(super) can_set_hostname: bool,
}

/// What a command's user and its files take, besides a way to exchange the root directory.
const NEEDED_OF_ROOT: [(&str, Capabilities); 5] = [
    ("CAP_CHOWN", Capabilities::CHOWN),
    ("CAP_DAC_OVERRIDE", Capabilities::DAC_OVERRIDE),
    ("CAP_FOWNER", Capabilities::FOWNER),
    ("CAP_SETGID", Capabilities::SETGID),
    ("CAP_SETUID", Capabilities::SETUID),
];

/// Does in a child what `ns` needs.
pub(super) fn try_ns() -> Result<Facts, Failure> {
    if !sys::has_capability(Capabilities::SYS_ADMIN) {
        return Err(Failure::with_detail("CAP_SYS_ADMIN", "not effective"));
    }
    in_child(|| {
        enter_namespaces(None)?;
        try_mounts(Path::new(SCRATCH))
    })
}

/// Enters a user namespace in a child: where that is forbidden, no ids help.
pub(super) fn try_user_namespace() -> Result<(), Failure> {
    in_child(|| {
        sys::enter_user_and_mount_namespace().map_err(|errno| Failure::new(UNSHARE_USER, errno))
    })
}

/// Does in a child what `userns` needs, with these ids.
pub(super) fn try_userns(ids: Ids) -> Result<Facts, Failure> {
    let maps = IdMaps::new(ids)?;
    in_child(|| {
        enter_namespaces(Some(&maps))?;
        match ids {
            Ids::Whole | Ids::Range => {}
            // Other owners than the one are kept by answering the calls of commands.
            Ids::Single => sys::try_interception()
                .map_err(|errno| Failure::new("seccomp(NEW_LISTENER)", errno))?,
        }
        try_mounts(Path::new(SCRATCH))
    })
}

/// Does in a child what commands need without any namespace: files of other users, and becoming
/// them.
pub(super) fn try_root_rights() -> Result<(), Failure> {
    let uid = rustix::process::geteuid().as_raw();
    if uid != 0 {
        return Err(Failure::with_detail(format!("uid {uid}"), "not root"));
    }
    for (name, capability) in NEEDED_OF_ROOT {
        if !sys::has_capability(capability) {
            return Err(Failure::with_detail(name, "not effective"));
        }
    }
    in_child(|| {
        let file = rustix::fs::memfd_create("probe", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|errno| Failure::new("memfd_create", errno))?;
        // A user namespace with one id has all capabilities, and nobody to give a file to.
        let (uid, gid) = (rustix::fs::Uid::from_raw(1), rustix::fs::Gid::from_raw(1));
        rustix::fs::fchown(&file, Some(uid), Some(gid))
            .map_err(|errno| Failure::new("fchown", errno))?;
        sys::leave_further_groups().map_err(|errno| Failure::new("setgroups", errno))?;
        sys::become_user(1, 1).map_err(|errno| Failure::new("setresuid", errno))
    })
}

/// Changes the root directory in a child.
pub(super) fn try_chroot() -> Result<(), Failure> {
    in_child(|| sys::change_root(Path::new(SCRATCH)).map_err(|errno| Failure::new("chroot", errno)))
}

/// Enters for good what was tried.
pub(super) fn enter_mode(mode: Mode) -> Result<(), Failure> {
    match mode {
        Mode::Ns => enter_namespaces(None),
        Mode::Userns(ids) => enter_namespaces(Some(&IdMaps::new(ids)?)),
        // Nothing is entered before a command is run, if any is.
        Mode::Inplace | Mode::Chroot | Mode::None => Ok(()),
    }
}

fn enter_namespaces(maps: Option<&IdMaps>) -> Result<(), Failure> {
    match maps {
        None => sys::enter_mount_namespace()
            .map_err(|errno| Failure::new("unshare(CLONE_NEWNS)", errno))?,
        Some(maps) => enter_user_namespace(maps)?,
    }
    sys::make_all_private().map_err(|errno| Failure::new("mount(MS_PRIVATE)", errno))
}

/// Makes every kind of mount that a step needs, in namespaces that end with this process, and ends
/// in another root directory.
fn try_mounts(scratch: &Path) -> Result<Facts, Failure> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    sys::mount(c"tmpfs", scratch, flags, c"mode=700")
        .map_err(|errno| Failure::new("mount tmpfs", errno))?;
    for name in ["dev", "proc", "sys"] {
        let path = scratch.join(name);
        std::fs::create_dir(&path).map_err(|error| Failure::from_io("mkdir", &error))?;
    }
    // Recursive: a user namespace refuses to uncover what is mounted below.
    sys::mount_recursive_bind(Path::new("/dev"), &scratch.join("dev"))
        .map_err(|errno| Failure::new("mount bind", errno))?;
    let can_mount_sysfs = sys::mount_kernel_files(c"sysfs", &scratch.join("sys")).is_ok();
    let can_mount_proc = can_mount_proc(&scratch.join("proc"));
    if !can_mount_proc {
        sys::mount_recursive_bind(Path::new("/proc"), &scratch.join("proc"))
            .map_err(|errno| Failure::new("mount bind /proc", errno))?;
    }
    Ok(Facts {
        can_mount_sysfs,
        can_mount_proc,
        can_set_hostname: can_set_hostname(),
        can_pivot_root: try_exchange_root(scratch)?,
    })
}

/// Names the machine, for this process alone.
fn can_set_hostname() -> bool {
    let outcome = sys::enter_uts_namespace(Command::DEFAULT_HOSTNAME.as_bytes());
    if let Err(errno) = outcome {
        let failure = Failure::new("sethostname", errno);
        tracing::debug!(%failure, "no host name for steps");
    }
    outcome.is_ok()
}

/// Mounts a `proc` from within a pid namespace. It is refused where parts of the one that is there
/// are masked.
fn can_mount_proc(target: &Path) -> bool {
    let outcome = sys::enter_pid_namespace_with_next_child()
        .map_err(|errno| Failure::new("unshare(CLONE_NEWPID)", errno))
        .and_then(|()| {
            in_child(|| {
                sys::mount_kernel_files(c"proc", target)
                    .map_err(|errno| Failure::new("mount proc", errno))
            })
        });
    if let Err(failure) = &outcome {
        tracing::debug!(%failure, "no pid namespace for steps");
    }
    outcome.is_ok()
}

/// Makes `path` the root directory; says whether by `pivot_root`. Comes last: no child can be
/// started without `/proc`.
fn try_exchange_root(path: &Path) -> Result<bool, Failure> {
    let Err(errno) = sys::pivot_root(path) else {
        return Ok(true);
    };
    let failure = Failure::new("pivot_root", errno);
    tracing::debug!(%failure, "the root directory is covered instead");
    sys::cover_root(path).map_err(|_| failure)?;
    Ok(false)
}

/// Runs `function` in a forked child and brings its answer back.
fn in_child<T>(function: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    let child = sys::start_child(|| serde_json::to_vec(&function()).unwrap_or_default())
        .map_err(|errno| Failure::new("fork", errno))?;
    let answer = child
        .finish()
        .map_err(|errno| Failure::new("wait", errno))?;
    let lost = || Failure::with_detail("probe", "its process died");
    serde_json::from_slice(&answer.ok_or_else(lost)?).map_err(|_| lost())?
}
