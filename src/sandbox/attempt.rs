//! A mode that was tried and did not work, and what a user can do about it.

use std::fmt;

use crate::sys::{self, Errno};

use super::failure::Failure;
use super::isolation::Mode;

const NO_NEW_PRIVILEGES: &str =
    "`allowPrivilegeEscalation: false` (no_new_privs) blocks newuidmap: allow it";

/// A mode that was tried, and where it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The mode.
    pub mode: Mode,
    /// The first operation that did not work.
    pub failure: Failure,
    /// Who this process was then.
    uid: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.mode.name(), self.failure)
    }
}

/// Returns the modes of `attempts`, each once, with what failed.
pub(super) fn list(attempts: &[Attempt]) -> String {
    let mut text = String::new();
    let mut last = None;
    for attempt in attempts {
        match last {
            Some(name) if name == attempt.mode.name() => {
                text.push_str(", ");
                text.push_str(&attempt.failure.to_string());
            }
            Some(_) => text.push_str(&format!("; {attempt}")),
            None => text.push_str(&attempt.to_string()),
        }
        last = Some(attempt.mode.name());
    }
    text
}

/// Returns what the user can do about `attempts`, each once.
pub(super) fn hints(attempts: &[Attempt]) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for hint in attempts.iter().filter_map(Attempt::hint) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

impl Attempt {
    /// Keeps what failed for this user.
    pub(super) fn new(mode: Mode, failure: Failure) -> Self {
        let uid = rustix::process::getuid().as_raw();
        Self { mode, failure, uid }
    }

    /// Says whether the same failed for the same mode, with whichever ids.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.mode.name() == other.mode.name() && self.failure == other.failure
    }

    /// Returns what the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self.mode {
            Mode::Ns | Mode::Userns(_) => self.hint_for_namespaces(),
            Mode::Inplace | Mode::Chroot | Mode::None => self.hint_for_container(),
        }
    }

    fn hint_for_namespaces(&self) -> Option<String> {
        let errno = self.failure.errno();
        let operation = self.failure.operation.as_str();
        if operation.starts_with("unshare") && errno == Some(Errno::NOSPC) {
            return Some(
                "the limit `user.max_user_namespaces` is reached or 0: raise it with \
                 `sysctl -w user.max_user_namespaces=10000`"
                    .to_owned(),
            );
        }
        let is_forbidden = operation.starts_with("unshare") || operation.starts_with("mount ");
        if is_forbidden && errno == Some(Errno::PERM) {
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
        if operation == "write uid_map" && errno == Some(Errno::PERM) {
            return Some(
                "to map root, a process needs the capability SETFCAP besides SETUID and SETGID"
                    .to_owned(),
            );
        }
        if operation == "newuidmap" || operation == "newgidmap" {
            return Some(hint_for_mapper(errno));
        }
        // Root that may not map all ids is in a container: no line in its files helps.
        if (operation == "/etc/subuid" || operation == "/etc/subgid") && self.uid != 0 {
            return Some(hint_for_range(operation, self.uid));
        }
        None
    }

    fn hint_for_container(&self) -> Option<String> {
        let operation = self.failure.operation.as_str();
        if operation.starts_with("uid") || operation.starts_with("CAP_") {
            return Some(
                "run the container as root with Docker's default capabilities: at least CHOWN, \
                 DAC_OVERRIDE, FOWNER, SETUID, SETGID and SYS_CHROOT"
                    .to_owned(),
            );
        }
        if self.mode != Mode::Inplace {
            return None;
        }
        Some(
            "use the executor's own image, or, in a container that nobody else uses, give \
             --in-place: its files are moved aside while a RUN is executed"
                .to_owned(),
        )
    }
}

fn hint_for_range(file: &str, uid: u32) -> String {
    // The line alone would only lead to the next refusal.
    if !sys::may_gain_privileges() {
        return NO_NEW_PRIVILEGES.to_owned();
    }
    format!(
        "add the line `{uid}:100000:65536` to `{file}`, with a range that nobody else has there"
    )
}

fn hint_for_mapper(errno: Option<Errno>) -> String {
    if errno == Some(Errno::NOENT) {
        return "install newuidmap and newgidmap: `apt-get install uidmap`".to_owned();
    }
    if !sys::may_gain_privileges() {
        return NO_NEW_PRIVILEGES.to_owned();
    }
    "newuidmap and newgidmap need their setuid bit or file capabilities: \
     `apt-get install --reinstall uidmap`"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::isolation::Ids;
    use super::*;

    const UNSHARE: &str = "unshare(CLONE_NEWUSER|CLONE_NEWNS)";

    fn userns(failure: Failure) -> Attempt {
        attempt(Mode::Userns(Ids::Range), failure)
    }

    fn attempt(mode: Mode, failure: Failure) -> Attempt {
        let uid = 1000;
        Attempt { mode, failure, uid }
    }

    #[test]
    fn what_can_be_done_is_said_in_terms_of_what_failed() {
        let cases = [
            (Failure::new(UNSHARE, Errno::NOSPC), "sysctl"),
            (Failure::new(UNSHARE, Errno::PERM), "seccomp"),
            (Failure::new("mount tmpfs", Errno::PERM), "seccomp"),
            (Failure::new("mount(MS_PRIVATE)", Errno::ACCESS), "apparmor"),
            (Failure::new("write uid_map", Errno::PERM), "SETFCAP"),
            (
                Failure::new("newuidmap", Errno::NOENT),
                "`apt-get install uidmap`",
            ),
            (
                Failure::with_detail("/etc/subgid", "none"),
                "`1000:100000:65536` to `/etc/subgid`",
            ),
        ];
        for (failure, expected) in cases {
            let attempt = userns(failure);
            let hint = attempt.hint().unwrap();
            assert!(hint.contains(expected), "{attempt}: {hint}");
        }
        let failure = Failure::new("fork", Errno::AGAIN);
        assert_eq!(attempt(Mode::Ns, failure).hint(), None);
        let mut as_root = userns(Failure::with_detail("/etc/subuid", "none"));
        as_root.uid = 0;
        assert_eq!(as_root.hint(), None);
    }

    #[test]
    fn a_container_is_told_what_it_lacks_for_its_modes() {
        let missing = Failure::with_detail("CAP_CHOWN", "not effective");
        let unmarked = Failure::new("find /kaniko/.sawagani-image", Errno::NOENT);
        let cases = [
            (Mode::Inplace, missing.clone(), "SYS_CHROOT"),
            (Mode::Chroot, missing, "SYS_CHROOT"),
            (Mode::Inplace, unmarked, "--in-place"),
        ];
        for (mode, failure, expected) in cases {
            let attempt = attempt(mode, failure);
            let hint = attempt.hint().unwrap();
            assert!(hint.contains(expected), "{attempt}: {hint}");
        }
    }

    #[test]
    fn the_same_advice_is_given_once() {
        let attempts = [
            userns(Failure::new(UNSHARE, Errno::PERM)),
            userns(Failure::new("fork", Errno::AGAIN)),
            userns(Failure::new(UNSHARE, Errno::PERM)),
        ];
        assert_eq!(hints(&attempts).len(), 1);
    }

    #[test]
    fn a_mode_is_named_once_with_all_that_failed() {
        let attempts = [
            attempt(
                Mode::Ns,
                Failure::with_detail("CAP_SYS_ADMIN", "not effective"),
            ),
            userns(Failure::new("write uid_map", Errno::PERM)),
            userns(Failure::with_detail("/etc/subuid", "none")),
        ];
        let expected = "ns: CAP_SYS_ADMIN: not effective; userns: write uid_map: EPERM, \
                        /etc/subuid: none";
        assert_eq!(list(&attempts), expected);
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn an_attempt_names_the_call_and_its_error() {
        let attempt = userns(Failure::new(UNSHARE, Errno::PERM));
        let expected = "userns: unshare(CLONE_NEWUSER|CLONE_NEWNS): EPERM";
        assert_eq!(attempt.to_string(), expected);
    }
}
