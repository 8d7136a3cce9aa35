//! Starts each case as a process of its own, as a user who is nobody, in a tree of its own.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, exit};

use crate::cases::{CASES, Case};
use crate::fixture::Fixture;
use crate::support::TestDir;
use crate::trees::Trees;

/// Names the case that a process is.
pub(crate) const CASE_VARIABLE: &str = "SAWAGANI_TEST_CASE";
/// The tree of a case.
const TREE_VARIABLE: &str = "SAWAGANI_TEST_TREE";

/// A case that hangs must not hang the others.
const SECONDS_MAX: &str = "600";

/// The one user and group that a case has: no account, and no subordinate ids.
pub(crate) const ID: u32 = 61_234;

/// Is the case `name`.
pub(crate) fn run_case(name: &str) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("no case is called {name}"));
    let tree = std::env::var(TREE_VARIABLE).unwrap();
    (case.run)(&Fixture::enter(Path::new(&tree)));
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
    let dir = TestDir::new();
    let program = dir.join("case");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let trees = Trees::new(&dir);
    let passes = |case: &&&Case| !passes(&program, &trees, case);
    let failed = cases.iter().filter(passes).count();
    let passed = cases.len() - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    // As the usual harness closes, for those who read its last line.
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s",
        CASES.len() - cases.len(),
        start.elapsed().as_secs_f64()
    );
    drop(dir);
    exit(i32::from(failed > 0));
}

fn passes(program: &Path, trees: &Trees<'_>, case: &Case) -> bool {
    let tree = trees.make(case.base, case.name);
    let mut command = Command::new("timeout");
    command
        .args(["--signal=KILL", SECONDS_MAX])
        .arg(program)
        .env(CASE_VARIABLE, case.name)
        .env(TREE_VARIABLE, &tree)
        .current_dir("/")
        .uid(ID)
        .gid(ID);
    let output = command.output().unwrap();
    let has_passed = output.status.success();
    if has_passed {
        println!("test {} ... ok", case.name);
        // What a case says although it passed is a measurement.
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().for_each(|line| println!("     {line}"));
    } else {
        println!(
            "test {} ... FAILED\n{}\n{}",
            case.name,
            output.status,
            text(&output)
        );
    }
    has_passed
}

fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}
