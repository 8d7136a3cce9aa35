//! What the user is told about the sandbox at the start: one line, and warnings.

use super::Setting;
use super::attempt::{hints, list};
use super::enter::list_dirs;
use super::isolation::{Ids, Mode};

/// Returns which isolation it is, why no stronger one, and what would give it.
pub(super) fn line(setting: &Setting) -> String {
    let mut parts = vec![what(setting.mode).to_owned()];
    if setting.mode.has_namespaces() && !setting.facts.can_mount_proc {
        parts.push("no pid namespace: no proc can be mounted".to_owned());
    }
    if setting.mode.has_namespaces() && !setting.facts.can_set_hostname {
        parts.push("steps have this machine's name: sethostname is forbidden".to_owned());
    }
    if !setting.without_overlays.is_empty() {
        let tried = list_dirs(&setting.without_overlays);
        parts.push(format!(
            "files are compared after each RUN: no overlays ({tried})"
        ));
    }
    if !setting.attempts.is_empty() {
        parts.push(format!("not possible: {}", list(&setting.attempts)));
    }
    let mut hints = hints(&setting.attempts);
    if !setting.without_overlays.is_empty() {
        hints.push("give a volume, or --state-dir on a disk, for overlays".to_owned());
    }
    if !hints.is_empty() {
        parts.push(format!("for a better one: {}", hints.join("; or ")));
    }
    parts.join("; ")
}

fn what(mode: Mode) -> &'static str {
    match mode {
        Mode::Ns => "ns (namespaces, as root)",
        Mode::Userns(Ids::Whole) => "userns (namespaces, all ids as outside)",
        Mode::Userns(Ids::Range) => "userns (namespaces, root is this user, ids from /etc/subuid)",
        Mode::Userns(Ids::Single) => {
            "userns (namespaces, root is this user; other owners are recorded)"
        }
        Mode::Inplace => "inplace (RUN is root of this container, one stage at a time)",
        Mode::Chroot => "chroot (RUN is root of this container, without /proc)",
        Mode::None => "none (no privileges: everything but RUN)",
    }
}

/// Returns what will not work, one sentence each.
pub(super) fn warnings(setting: &Setting) -> Vec<String> {
    match setting.mode {
        Mode::Ns | Mode::Userns(Ids::Whole | Ids::Range) | Mode::Inplace | Mode::None => Vec::new(),
        Mode::Userns(Ids::Single) => vec![
            "only one user id is available: ownership is recorded while commands run, and programs \
             that switch users may misbehave"
                .to_owned(),
        ],
        Mode::Chroot => vec![
            "there is no /proc inside RUN: Java, cargo, bash's <() and what uses /dev/fd or \
             /dev/stdout fail"
                .to_owned(),
        ],
    }
}
