//! Starts each user's work as a process of its own and compares what it says with what root says.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use sawagani::fs::Rights;

use crate::work;

/// Names the user that a process is.
pub(crate) const USER_VARIABLE: &str = "SAWAGANI_TEST_USER";
/// The directory that the user works in.
pub(crate) const DIR_VARIABLE: &str = "SAWAGANI_TEST_DIR";

/// A user without an account, and the group of a volume that the user is not in, as Kubernetes' `fsGroup` makes it.
const ID: u32 = 51_234;
const VOLUME_GROUP: u32 = 55_678;

/// Somebody who may not do what root may.
pub(crate) struct User {
    name: &'static str,
    pub(crate) rights: Option<Rights>,
    /// The program that becomes root of a namespace with one id, if that is what the user does.
    enters: &'static [&'static str],
    /// Mode and group of the directory.
    dir: (u32, u32),
}

const USERS: [User; 4] = [
    User {
        name: "plain_user_says_what_root_does",
        rights: Some(Rights::PlainUser),
        enters: &[],
        dir: (0o700, ID),
    },
    User {
        name: "plain_user_in_a_volume_of_another_group_says_what_root_does",
        rights: Some(Rights::PlainUser),
        enters: &[],
        dir: (0o2775, VOLUME_GROUP),
    },
    User {
        name: "root_of_one_id_says_what_root_does",
        rights: Some(Rights::OneId),
        enters: &["unshare", "--user", "--map-root-user"],
        dir: (0o700, ID),
    },
    User {
        name: "root_of_one_id_in_a_volume_of_another_group_says_what_root_does",
        rights: Some(Rights::OneId),
        enters: &["unshare", "--user", "--map-root-user"],
        dir: (0o2775, VOLUME_GROUP),
    },
];

/// Returns the user of this name.
pub(crate) fn user_of(name: &str) -> &'static User {
    let found = USERS.iter().find(|user| user.name == name);
    found.unwrap_or_else(|| panic!("no user is called {name}"))
}

impl User {
    /// Fails where this process could make owners and devices: then nothing would be shown.
    pub(crate) fn check(&self) {
        let dir = std::env::var_os(DIR_VARIABLE).expect("a directory");
        let probe = Path::new(&dir).join("probe");
        std::fs::write(&probe, "").unwrap();
        assert!(chown(&probe, Some(1), Some(1)).is_err(), "may make owners");
        std::fs::remove_file(&probe).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let capabilities = status.lines().find(|line| line.starts_with("CapEff:"));
        let has_none = capabilities.unwrap().ends_with("\t0000000000000000");
        assert_eq!(has_none, self.enters.is_empty(), "{capabilities:?}");
    }

    /// Does the work as this user and returns what it says.
    fn work(&self, program: &Path, dir: &Path) -> Result<Vec<String>, String> {
        std::fs::create_dir(dir).unwrap();
        chown(dir, Some(ID), Some(self.dir.1)).unwrap();
        std::fs::set_permissions(dir, PermissionsExt::from_mode(self.dir.0)).unwrap();
        let output = Command::new("timeout")
            .args(["--signal=KILL", "120", "setpriv"])
            .args([format!("--reuid={ID}"), format!("--regid={ID}")])
            .args(["--clear-groups", "--no-new-privs"])
            .args(self.enters)
            .arg(program)
            .env(USER_VARIABLE, self.name)
            .env(DIR_VARIABLE, dir)
            .current_dir("/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}\n{said}{complaint}", output.status));
        }
        let left = std::fs::read_dir(dir).unwrap().count();
        match left {
            0 => Ok(said.lines().map(str::to_owned).collect()),
            left => Err(format!("left {left} files")),
        }
    }
}

/// Is the runner: takes what `cargo test` and `cargo nextest` pass.
pub(crate) fn run_all() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let mut filters = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-') && *argument != "terse")
        .peekable();
    let is_all = filters.peek().is_none();
    let filters: Vec<&String> = filters.collect();
    let is_wanted = |name: &str| match has("--exact") {
        _ if is_all => true,
        true => filters.iter().any(|filter| *filter == name),
        false => filters.iter().any(|filter| name.contains(*filter)),
    };
    let users: Vec<&User> = USERS.iter().filter(|user| is_wanted(user.name)).collect();
    if has("--list") {
        if !has("--ignored") {
            users
                .iter()
                .for_each(|user| println!("{}: test", user.name));
        }
        return;
    }
    let start = std::time::Instant::now();
    let failed = match users.is_empty() {
        true => 0,
        false => count_failed(&users),
    };
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    // As the usual harness closes, for those who read its last line.
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s",
        users.len() - failed,
        USERS.len() - users.len(),
        start.elapsed().as_secs_f64()
    );
    exit(i32::from(failed > 0));
}

fn count_failed(users: &[&User]) -> usize {
    let is_root = rustix::process::geteuid().is_root();
    assert!(
        is_root,
        "these tests switch between users: run them as root"
    );
    let temp = tempfile::tempdir().unwrap();
    std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = temp.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let real: PathBuf = temp.path().join("real");
    std::fs::create_dir(&real).unwrap();
    let expected = work::digests(&real, None);
    let fails = |user: &&&User| {
        let result = user.work(&program, &temp.path().join(user.name));
        let complaint = match result {
            Ok(said) if said == expected => None,
            Ok(said) => Some(format!("root says:\n{expected:#?}\nthis says:\n{said:#?}")),
            Err(complaint) => Some(complaint),
        };
        match &complaint {
            None => println!("test {} ... ok", user.name),
            Some(complaint) => println!("test {} ... FAILED\n{complaint}", user.name),
        }
        complaint.is_some()
    };
    users.iter().filter(fails).count()
}
