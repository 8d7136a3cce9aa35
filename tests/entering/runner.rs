//! Starts each case as a process of its own, with the rights that it is about, and looks at what it
//! left behind.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, exit};

use crate::cases::{CASES, Case};
use crate::support::account::{Account, Who};

/// Names the case that a process is.
pub(crate) const CASE_VARIABLE: &str = "SAWAGANI_TEST_CASE";
/// The directory for a case's files.
pub(crate) const STATE_VARIABLE: &str = "SAWAGANI_TEST_STATE";

/// A case that hangs must not hang the others.
const SECONDS_MAX: &str = "60";

/// The capabilities that Docker gives to a container's root.
const OF_A_CONTAINER: &str = "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,\
                              +setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,\
                              +audit_write";

/// What a case's process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// All that this machine's root may.
    Root,
    /// Root with the capabilities of a container.
    ContainerRoot,
    /// As `ContainerRoot`, where parts of `/proc` are masked.
    ContainerRootWithMasks,
    /// As `ContainerRoot`, without the one that mapping root takes.
    RootWithoutSetfcap,
    /// Root without any capability.
    RootWithoutAny,
    /// Root of a place in which no user namespace can be made.
    RootWithoutNamespaces,
    /// A user with subordinate ids.
    User,
    /// As `User`; nothing it starts may gain privileges.
    UserForGood,
    /// A user without subordinate ids.
    UserAlone,
}

impl Rights {
    /// Returns the command line that gives a program these rights, without the program.
    fn prefix(self) -> Vec<String> {
        let drop = |bounding: &str| format!("--bounding-set={bounding}");
        let setpriv = |arguments: &[&str]| {
            let all = ["setpriv"].iter().chain(arguments);
            all.map(|word| (*word).to_owned()).collect::<Vec<String>>()
        };
        let user = |who: Who, more: &[&str]| {
            let Account { uid, gid, .. } = who.account();
            let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={gid}"));
            setpriv(&[&[&uid, &gid, "--clear-groups"], more].concat())
        };
        let shell = |script: String| {
            let script = format!("{script} && exec \"$@\"");
            ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
        };
        match self {
            Self::Root => Vec::new(),
            Self::ContainerRoot => setpriv(&[&drop(OF_A_CONTAINER)]),
            Self::ContainerRootWithMasks => {
                let mask = "mount --make-rprivate / && mount --bind /dev/null /proc/uptime";
                let drop = drop(OF_A_CONTAINER);
                let masked = shell(mask.to_owned());
                let unshared = ["unshare", "--mount"].map(str::to_owned).to_vec();
                [unshared, masked, setpriv(&[&drop])].concat()
            }
            Self::RootWithoutSetfcap => setpriv(&[&drop(&OF_A_CONTAINER.replace("+setfcap,", ""))]),
            Self::RootWithoutAny => setpriv(&[&drop("-all")]),
            Self::RootWithoutNamespaces => {
                let unshared = ["unshare", "--user", "--map-root-user", "--mount"];
                let limit = "echo 0 > /proc/sys/user/max_user_namespaces";
                [
                    unshared.map(str::to_owned).to_vec(),
                    shell(limit.to_owned()),
                ]
                .concat()
            }
            Self::User => user(Who::User, &[]),
            Self::UserForGood => user(Who::User, &["--no-new-privs"]),
            Self::UserAlone => user(Who::UserWithoutRange, &[]),
        }
    }

    /// Returns who owns the directory of the case.
    fn owner(self) -> Who {
        match self {
            Self::Root
            | Self::ContainerRoot
            | Self::ContainerRootWithMasks
            | Self::RootWithoutSetfcap
            | Self::RootWithoutAny
            | Self::RootWithoutNamespaces => Who::Root,
            Self::User | Self::UserForGood => Who::User,
            Self::UserAlone => Who::UserWithoutRange,
        }
    }
}

/// Is the case `name`.
pub(crate) fn run_case(name: &str) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("no case is called {name}"));
    (case.run)();
}

/// Is the runner: takes what `cargo test` and `cargo nextest` pass.
pub(crate) fn run_all() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-') && *argument != "terse")
        .collect();
    let is_wanted = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|filter| match has("--exact") {
                true => name == filter.as_str(),
                false => name.contains(filter.as_str()),
            })
    };
    let cases: Vec<&Case> = CASES.iter().filter(|case| is_wanted(case.name)).collect();
    if has("--list") {
        if !has("--ignored") {
            cases
                .iter()
                .for_each(|case| println!("{}: test", case.name));
        }
        return;
    }
    let start = std::time::Instant::now();
    let stage = Stage::set();
    let failed = cases.iter().filter(|case| !stage.passes(case)).count();
    stage.clear();
    let passed = cases.len() - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    // As the usual harness closes, for those who read its last line.
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s",
        CASES.len() - cases.len(),
        start.elapsed().as_secs_f64()
    );
    exit(i32::from(failed > 0));
}

/// What all cases share: a copy of this program that everybody can execute.
struct Stage {
    dir: PathBuf,
    program: PathBuf,
}

impl Stage {
    fn set() -> Self {
        // Not where TMPDIR is: some cases need the file system that the root directory is on.
        let dir = format!("/var/tmp/entering-test-{}", std::process::id());
        let dir = PathBuf::from(dir);
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
        let program = dir.join("case");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        Self { dir, program }
    }

    fn clear(self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }

    fn passes(&self, case: &Case) -> bool {
        let state = self.dir.join(case.name);
        std::fs::create_dir(&state).unwrap();
        let Account { uid, gid, .. } = case.rights.owner().account();
        chown(&state, Some(uid), Some(gid)).unwrap();
        let output = Command::new("timeout")
            .args(["--signal=KILL", SECONDS_MAX])
            .args(case.rights.prefix())
            .arg(&self.program)
            .env(CASE_VARIABLE, case.name)
            .env(STATE_VARIABLE, &state)
            .current_dir("/")
            .output()
            .unwrap();
        let mut complaints = Vec::new();
        if !output.status.success() {
            complaints.push(format!("{}\n{}", output.status, text(&output)));
        }
        let left = names_in(&state);
        if !left.is_empty() {
            complaints.push(format!("left in its directory: {left:?}"));
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        if mounts.contains(self.dir.to_str().unwrap()) {
            complaints.push("left mounts".to_owned());
        }
        let verdict = if complaints.is_empty() {
            "ok"
        } else {
            "FAILED"
        };
        println!("test {} ... {verdict}", case.name);
        complaints
            .iter()
            .for_each(|complaint| println!("{complaint}"));
        complaints.is_empty()
    }
}

fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}

/// Returns the names in a directory, sorted.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
