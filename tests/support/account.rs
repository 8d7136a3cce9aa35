//! Who runs the executor: root, or an ordinary user with a subordinate id range.

use super::cache;
use super::tool::Tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The ordinary user's name; made at first use and left on the machine, as it owns no secrets and no password.
const USER: &str = "sawagani-e2e";

/// How many subordinate ids an ordinary user needs: the ids of a usual image, 0 to 65535.
const SUBORDINATE_IDS: u32 = 65536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    User,
    /// An account for which `/etc/subuid` has no line.
    UserWithoutRange,
}

/// An account as a process needs it.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Who {
    pub(crate) const BOTH: [Self; 2] = [Self::Root, Self::User];

    /// Returns the account, and makes the ordinary user where there is none. Fails the test unless run by root.
    pub(crate) fn account(self) -> Account {
        static ORDINARY: OnceLock<Account> = OnceLock::new();
        let is_root = rustix::process::geteuid().is_root();
        assert!(
            is_root,
            "the end-to-end tests need root: run them by `.ci/run` as root"
        );
        match self {
            Self::Root => Account {
                name: "root",
                uid: 0,
                gid: 0,
            },
            Self::User => ORDINARY.get_or_init(ordinary_user).clone(),
            // Debian's `nobody`, which is on every machine.
            Self::UserWithoutRange => Account {
                name: "nobody",
                uid: 65534,
                gid: 65534,
            },
        }
    }
}

fn ordinary_user() -> Account {
    let _lock = cache::machine_lock("account");
    if ids_of(USER).is_none() {
        Tool::new("useradd")
            .args([
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                USER,
            ])
            .run();
    }
    grant_range("/etc/subuid", "--add-subuids");
    grant_range("/etc/subgid", "--add-subgids");
    let (uid, gid) = ids_of(USER).expect("useradd made the user");
    for program in ["newuidmap", "newgidmap"] {
        let found = ["/usr/bin", "/bin", "/usr/local/bin"]
            .map(PathBuf::from)
            .iter()
            .any(|dir| dir.join(program).exists());
        assert!(
            found,
            "`{program}` is missing: install the Debian package `uidmap`, or run `.ci/run`"
        );
    }
    Account {
        name: USER,
        uid,
        gid,
    }
}

fn ids_of(name: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&name)).then(|| {
            (
                fields[2].parse().expect("a uid"),
                fields[3].parse().expect("a gid"),
            )
        })
    })
}

/// `useradd` gives ranges by itself only where the files existed before, so a fresh machine needs this.
fn grant_range(file: &str, usermod_flag: &str) {
    let text = if Path::new(file).exists() {
        fs::read_to_string(file).expect("read a range file")
    } else {
        String::new()
    };
    let ranges: Vec<(&str, u32, u32)> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            Some((
                fields.next()?,
                fields.next()?.parse().ok()?,
                fields.next()?.parse().ok()?,
            ))
        })
        .collect();
    if ranges
        .iter()
        .any(|(owner, _, count)| *owner == USER && *count >= SUBORDINATE_IDS)
    {
        return;
    }
    let first = ranges
        .iter()
        .map(|(_, first, count)| first.saturating_add(*count))
        .max()
        .unwrap_or(0)
        .max(100_000);
    let range = format!("{first}-{}", first + SUBORDINATE_IDS - 1);
    Tool::new("usermod")
        .args([usermod_flag, &range, USER])
        .run();
}
