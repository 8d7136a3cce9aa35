//! Starts each case as a process of its own and looks at what it left behind.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, exit};

use crate::cases::{CASES, Case, HELPERS};

/// Names the case that a process is.
pub(crate) const CASE_VARIABLE: &str = "SAWAGANI_TEST_CASE";
/// The isolation that a case enters.
pub(crate) const ISOLATION_VARIABLE: &str = "SAWAGANI_TEST_ISOLATION";
/// The directory for a case's files.
pub(crate) const STATE_VARIABLE: &str = "SAWAGANI_TEST_STATE";

/// A case that hangs must not hang the others.
const SECONDS_MAX: &str = "60";

const USER: &str = "sawagani-test";

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
    let isolations = ["ns", "userns"];
    let tests: Vec<(&str, &Case)> = isolations
        .into_iter()
        .flat_map(|isolation| CASES.iter().map(move |case| (isolation, case)))
        .filter(|(isolation, case)| is_wanted(&format!("{isolation}::{}", case.name)))
        .collect();
    if has("--list") {
        if !has("--ignored") {
            tests
                .iter()
                .for_each(|(isolation, case)| println!("{isolation}::{}: test", case.name));
        }
        return;
    }
    let stage = Stage::set();
    let failed = tests
        .iter()
        .filter(|(isolation, case)| !stage.passes(isolation, case))
        .count();
    stage.clear();
    let passed = tests.len() - failed;
    println!("\ntest result: {passed} passed, {failed} failed");
    exit(i32::from(failed > 0));
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

    fn passes(&self, isolation: &str, case: &Case) -> bool {
        let name = format!("{isolation}::{}", case.name);
        let state = self.dir.join(isolation).join(case.name);
        std::fs::create_dir_all(&state).unwrap();
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", SECONDS_MAX])
            .arg(&self.program)
            .env(CASE_VARIABLE, case.name)
            .env(ISOLATION_VARIABLE, isolation)
            .env(STATE_VARIABLE, &state)
            .current_dir("/");
        if isolation == "userns" {
            chown(&state, Some(self.uid), Some(self.gid)).unwrap();
            command.uid(self.uid).gid(self.gid);
        }
        let output = command.output().unwrap();
        let mut complaints = Vec::new();
        if !output.status.success() {
            complaints.push(format!("{}\n{}", output.status, text(&output)));
        }
        let left = names_in(&state);
        if !left.is_empty() {
            complaints.push(format!("left in its directory: {left:?}"));
        }
        let mounts = mounts_below(&self.dir);
        if !mounts.is_empty() {
            complaints.push(format!("left mounts: {mounts:?}"));
        }
        if complaints.is_empty() {
            println!("test {name} ... ok");
            // What a case says although it passed is a measurement.
            let said = String::from_utf8_lossy(&output.stdout);
            said.lines().for_each(|line| println!("     {line}"));
        } else {
            println!("test {name} ... FAILED\n{}", complaints.join("\n"));
        }
        complaints.is_empty()
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

/// Returns the machine's mounts below a directory: those of others come and go.
fn mounts_below(dir: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = dir.to_str().unwrap();
    let is_below = |mount: &&str| mount.contains(dir);
    mounts.lines().filter(is_below).map(str::to_owned).collect()
}
