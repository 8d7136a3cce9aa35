//! What this process may do, found out by doing it in forked children.
//!
//! Nothing is guessed from a kernel's version, a file that containers have, or a user's name: a
//! security module may allow the first call and refuse the second. Every failure is kept for the
//! message.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::sys::{self, Capabilities, Errno, MountFlags};

use super::failure::Failure;
use super::isolation::Mode;
use super::userns::{IdMaps, UNSHARE_USER, enter_user_namespace};

/// What a mode was found to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// A `sysfs` of the sandbox's own can be mounted; else the machine's is shown read-only.
    pub(super) can_mount_sysfs: bool,
}

/// A mode that was tried, and where it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The mode.
    pub mode: Mode,
    /// The first operation that did not work.
    pub failure: Failure,
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.mode.name(), self.failure)
    }
}

impl Attempt {
    /// Returns what the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let errno = self.failure.errno();
        let operation = self.failure.operation.as_str();
        if operation.starts_with("unshare") && errno == Some(Errno::NOSPC) {
            return Some(
                "the limit `user.max_user_namespaces` is reached or 0: raise it with \
                 `sysctl -w user.max_user_namespaces=10000`"
                    .to_owned(),
            );
        }
        if operation.starts_with("unshare") && errno == Some(Errno::PERM) {
            return Some(
                "a container's seccomp profile forbids namespaces: run it with \
                 `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`, or in \
                 Kubernetes with `hostUsers: false` and the capability SYS_ADMIN"
                    .to_owned(),
            );
        }
        if operation.starts_with("mount") && errno == Some(Errno::ACCESS) {
            return Some(
                "AppArmor forbids mounts here: set \
                 `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or run the container \
                 with `--security-opt apparmor=unconfined`"
                    .to_owned(),
            );
        }
        if operation == "mount proc" && errno == Some(Errno::PERM) {
            return Some(
                "parts of this container's /proc are masked: run it with \
                 `--security-opt systempaths=unconfined`, or in Kubernetes with \
                 `procMount: Unmasked`"
                    .to_owned(),
            );
        }
        if operation == "newuidmap" || operation == "newgidmap" {
            return Some(hint_for_mapper(errno));
        }
        if operation == "/etc/subuid" || operation == "/etc/subgid" {
            let uid = rustix::process::getuid().as_raw();
            return Some(format!(
                "add the line `{uid}:100000:65536` to `{operation}`, with a range \
                 that nobody else has there"
            ));
        }
        None
    }
}

fn hint_for_mapper(errno: Option<Errno>) -> String {
    if errno == Some(Errno::NOENT) {
        return "install newuidmap and newgidmap: `apt-get install uidmap`".to_owned();
    }
    if !sys::may_gain_privileges() {
        return "`allowPrivilegeEscalation: false` (no_new_privs) blocks newuidmap: allow it"
            .to_owned();
    }
    "newuidmap and newgidmap need their setuid bit or file capabilities: \
     `apt-get install --reinstall uidmap`"
        .to_owned()
}

/// Does in a child what `mode` needs, with `scratch` as a directory to mount over.
pub(super) fn probe_mode(mode: Mode, scratch: &Path) -> Result<Facts, Failure> {
    let maps = match mode {
        Mode::Ns => {
            if !sys::has_capability(Capabilities::SYS_ADMIN) {
                return Err(Failure::with_detail("CAP_SYS_ADMIN", "not effective"));
            }
            None
        }
        Mode::Inplace | Mode::Chroot | Mode::None => {
            return Err(Failure::with_detail(mode.name(), "not yet supported"));
        }
        Mode::Userns(_) => {
            // Before anything is asked for: where namespaces are forbidden, ids would not help.
            in_child(|| {
                sys::enter_user_and_mount_namespace()
                    .map_err(|errno| Failure::new(UNSHARE_USER, errno))
            })?;
            Some(IdMaps::of_this_user()?)
        }
    };
    in_child(|| {
        enter(maps.as_ref())?;
        try_mounts(scratch)
    })
}

/// Enters for good what [`probe_mode`] has tried.
pub(super) fn enter_mode(mode: Mode) -> Result<(), Failure> {
    match mode {
        Mode::Ns => enter(None),
        Mode::Userns(_) => enter(Some(&IdMaps::of_this_user()?)),
        Mode::Inplace | Mode::Chroot | Mode::None => Ok(()),
    }
}

fn enter(maps: Option<&IdMaps>) -> Result<(), Failure> {
    match maps {
        None => sys::enter_mount_namespace()
            .map_err(|errno| Failure::new("unshare(CLONE_NEWNS)", errno))?,
        Some(maps) => enter_user_namespace(maps)?,
    }
    sys::make_all_private().map_err(|errno| Failure::new("mount(MS_PRIVATE)", errno))
}

/// Makes every kind of mount that a step needs, in namespaces that end with this process.
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
    sys::enter_pid_namespace_with_next_child()
        .map_err(|errno| Failure::new("unshare(CLONE_NEWPID)", errno))?;
    in_child(|| {
        sys::mount_kernel_files(c"proc", &scratch.join("proc"))
            .map_err(|errno| Failure::new("mount proc", errno))
    })?;
    Ok(Facts { can_mount_sysfs })
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

#[cfg(test)]
mod tests {
    use super::super::isolation::Ids;
    use super::*;

    #[test]
    fn what_can_be_done_is_said_in_terms_of_what_failed() {
        let cases = [
            (
                Failure::new("unshare(CLONE_NEWUSER|CLONE_NEWNS)", Errno::NOSPC),
                "sysctl",
            ),
            (
                Failure::new("unshare(CLONE_NEWUSER|CLONE_NEWNS)", Errno::PERM),
                "seccomp",
            ),
            (Failure::new("mount(MS_PRIVATE)", Errno::ACCESS), "apparmor"),
            (Failure::new("mount proc", Errno::PERM), "systempaths"),
            (
                Failure::new("newuidmap", Errno::NOENT),
                "`apt-get install uidmap`",
            ),
            (
                Failure::with_detail("/etc/subgid", "none"),
                ":100000:65536` to `/etc/subgid`",
            ),
        ];
        for (failure, expected) in cases {
            let attempt = Attempt {
                mode: Mode::Userns(Ids::Range),
                failure,
            };
            let hint = attempt.hint().unwrap();
            assert!(hint.contains(expected), "{attempt}: {hint}");
        }
        let failure = Failure::new("fork", Errno::AGAIN);
        let mode = Mode::Ns;
        assert_eq!(Attempt { mode, failure }.hint(), None);
    }

    #[test]
    fn an_attempt_names_the_call_and_its_error() {
        let attempt = Attempt {
            mode: Mode::Userns(Ids::Range),
            failure: Failure::new("unshare(CLONE_NEWUSER|CLONE_NEWNS)", Errno::PERM),
        };
        let expected = "userns: unshare(CLONE_NEWUSER|CLONE_NEWNS): EPERM";
        assert_eq!(attempt.to_string(), expected);
    }
}
