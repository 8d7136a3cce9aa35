//! Starts each case as a process of its own and looks at what it left behind.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, exit};

use crate::cases::{CASES, Case, HELPERS};
use crate::harness;
use crate::setup::{Account, Place, SETUPS, Setup};
use crate::tree::{differences, listing};

/// Names the case that a process is.
pub(crate) const CASE_VARIABLE: &str = "SAWAGANI_TEST_CASE";
/// Names the setup that a case is in.
pub(crate) const SETUP_VARIABLE: &str = "SAWAGANI_TEST_SETUP";
/// The directory for a case's files.
pub(crate) const STATE_VARIABLE: &str = "SAWAGANI_TEST_STATE";

/// A case that hangs must not hang the others.
const SECONDS_MAX: &str = "60";

const USER: &str = "sawagani-test";

/// A user of whom no file of this machine has heard.
const LONE_ID: u32 = 54_321;

/// What is left to a builder by those who drop all capabilities and add what it complains about.
const FEW_CAPABILITIES: &str = "-all,+chown,+dac_override,+fowner,+setgid,+setuid,+sys_chroot";

/// As container runtimes do: a part of `/proc` is covered. Then becomes the user.
const MASK_PROC: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs -o ro tmpfs /proc/bus
exec setpriv --reuid "$1" --regid "$2" --clear-groups "$0"
"#;

/// Makes `$1` the root directory, with the mounts of a container, and the programs of this machine
/// for the builder, which is one of them.
const ENTER_CONTAINER: &str = r#"
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
for dir in usr lib lib64; do
    mount --bind -o ro "/$dir" "$dir"
done
for file in hosts resolv.conf; do
    mount --bind "etc/container/$file" "etc/$file"
done
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
exec /kaniko/case
"#;

/// Is the case `name`.
pub(crate) fn run_case(name: &str) {
    let all = CASES.iter().chain(HELPERS);
    let case = all.into_iter().find(|case| case.name == name);
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
    let all = SETUPS
        .iter()
        .flat_map(|setup| CASES.iter().map(move |case| (setup, case)));
    let wanted = all
        .map(|(setup, case)| Test::new(setup, case))
        .filter(|test| is_wanted(&test.name));
    let (tests, ignored): (Vec<_>, Vec<_>) =
        wanted.partition(|test| test.case.needs.missing_in(test.setup).is_none());
    if has("--list") {
        let listed = if has("--ignored") { &ignored } else { &tests };
        for test in listed {
            println!("{}: test", test.name);
        }
        return;
    }
    let start = std::time::Instant::now();
    let stage = Stage::set();
    let failed = harness::failures(
        &tests,
        harness::threads_by_default(),
        |test| &test.name,
        |test| stage.complaints(test),
    );
    for Test { name, setup, case } in &ignored {
        let reason = case.needs.missing_in(setup).unwrap_or_default();
        println!("test {name} ... ignored, {reason}");
    }
    stage.clear();
    let passed = tests.len() - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    // As the usual harness closes, for those who read its last line.
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s",
        ignored.len(),
        SETUPS.len() * CASES.len() - tests.len() - ignored.len(),
        start.elapsed().as_secs_f64()
    );
    exit(i32::from(failed > 0));
}

/// A case in a setup.
struct Test {
    name: String,
    setup: &'static Setup,
    case: &'static Case,
}

impl Test {
    fn new(setup: &'static Setup, case: &'static Case) -> Self {
        let name = format!("{}::{}", setup.name, case.name);
        Self { name, setup, case }
    }
}

/// What all cases share: a copy of this program that everybody can execute, and the user.
struct Stage {
    dir: PathBuf,
    program: PathBuf,
    uid: u32,
    gid: u32,
}

impl Stage {
    fn set() -> Self {
        assert_eq!(
            std::fs::metadata("/proc/self")
                .map(|found| owner(&found))
                .ok(),
            Some(0),
            "these tests switch between users: run them as root"
        );
        let dir = std::env::temp_dir().join(format!("sandbox-test-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
        let program = dir.join("case");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let _ = Command::new("useradd")
            .args(["--no-create-home", USER])
            .output();
        let id = |flag: &str| -> u32 {
            let output = Command::new("id").args([flag, USER]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.trim().parse().expect("useradd made the user")
        };
        Self {
            dir,
            program,
            uid: id("-u"),
            gid: id("-g"),
        }
    }

    fn clear(self) {
        let _ = Command::new("userdel").arg(USER).output();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }

    /// Runs a case, and returns what is wrong with it; empty where all is well.
    fn complaints(&self, Test { setup, case, .. }: &Test) -> Vec<String> {
        let place = self.dir.join(setup.name).join(case.name);
        std::fs::create_dir_all(&place).unwrap();
        let (mut command, state) = self.command(setup, &place);
        command.env(CASE_VARIABLE, case.name).current_dir("/");
        let before = listing(&place);
        let output = command.output().unwrap();
        let mut complaints = Vec::new();
        if !output.status.success() {
            complaints.push(format!("{}\n{}", output.status, text(&output)));
        }
        let left = names_in(&state);
        if !left.is_empty() {
            complaints.push(format!("left in its directory: {left:?}"));
        }
        if setup.place == Place::Container {
            let after = listing(&place);
            let (gone, new, changed) = differences(&before, &after);
            // A directory in which a build has worked has another time.
            if !gone.is_empty() || !new.is_empty() || changed != ["kaniko/state"] {
                complaints.push(format!(
                    "the container changed: gone {gone:?}, new {new:?}, other {changed:?}"
                ));
            }
        }
        let mounts = mounts_below(&place);
        if !mounts.is_empty() {
            complaints.push(format!("left mounts: {mounts:?}"));
        }
        complaints
    }
}

impl Stage {
    /// Returns the command that is the builder of a case, and the directory for its files.
    fn command(&self, setup: &Setup, place: &Path) -> (Command, PathBuf) {
        let state = match setup.place {
            Place::Machine | Place::MaskedProc => place.to_path_buf(),
            Place::Container => place.join("kaniko/state"),
        };
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", SECONDS_MAX]);
        command.env(SETUP_VARIABLE, setup.name);
        command.env(STATE_VARIABLE, &state);
        let (uid, gid) = (self.uid.to_string(), self.gid.to_string());
        match (setup.place, setup.account) {
            (Place::Machine, Account::Root) => {
                command.arg(&self.program);
            }
            (Place::Machine, Account::User) => {
                command.arg(&self.program).uid(self.uid).gid(self.gid);
            }
            (Place::Machine, Account::LoneUser) => {
                command.arg(&self.program).uid(LONE_ID).gid(LONE_ID);
            }
            (Place::Machine, Account::FewCapabilities) => {
                command.args(["setpriv", "--bounding-set", FEW_CAPABILITIES]);
                command.arg(&self.program);
            }
            (Place::MaskedProc, _) => {
                command.args(["unshare", "--mount", "sh", "-c", MASK_PROC]);
                command.arg(&self.program).args([uid, gid]);
            }
            (Place::Container, _) => {
                self.make_container(place);
                command.args(["unshare", "--mount", "sh", "-c", ENTER_CONTAINER, "sh"]);
                command.arg(place).env(STATE_VARIABLE, "/kaniko/state");
            }
        }
        match setup.account {
            Account::User => chown(&state, Some(self.uid), Some(self.gid)).unwrap(),
            Account::LoneUser => chown(&state, Some(LONE_ID), Some(LONE_ID)).unwrap(),
            Account::Root | Account::FewCapabilities => {}
        }
        (command, state)
    }

    /// Makes a container's root directory: mount points, the tool, and some files of its own.
    fn make_container(&self, root: &Path) {
        for name in [
            "proc",
            "dev",
            "usr",
            "lib",
            "lib64",
            "kaniko/state",
            "etc/container",
            "own/files",
            "own/kept",
        ] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        std::fs::hard_link(&self.program, root.join("kaniko/case")).unwrap();
        for (name, contents) in [
            ("etc/hosts", ""),
            ("etc/resolv.conf", ""),
            ("etc/container/hosts", "127.0.0.1 localhost the-container\n"),
            ("etc/container/resolv.conf", "nameserver 127.0.0.1\n"),
            ("etc/passwd", "root:x:0:0:the container's::\n"),
            ("own/files/one", "of the container\n"),
            ("own/kept/two", "of the builder\n"),
        ] {
            std::fs::write(root.join(name), contents).unwrap();
        }
    }
}

fn owner(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
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

/// Returns the machine's mounts at a directory and below: those of others come and go.
fn mounts_below(dir: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_below = |mount: &&str| {
        let mut words = mount.split([' ', '=', ':', ',']);
        words.any(|word| Path::new(word).starts_with(dir))
    };
    mounts.lines().filter(is_below).map(str::to_owned).collect()
}
