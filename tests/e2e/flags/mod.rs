//! Every flag of both of kaniko's forks has an effect that a test has seen, or says that there is nothing left for it to do.
//!
//! The flags are those of `testdata/flags/kaniko.txt`, whose spellings `src/cli/flags/spellings.rs` reads. `table` says
//! which test sees what a flag does; the tests here are of the flags that no other topic has.

mod image;
mod logs;
mod manual;
mod named_host;
mod places;
mod registries;
mod table;
mod variables;

use crate::support::{Executor, Who};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use table::{Proof, ROWS};

const LIST: &str = include_str!("../../../testdata/flags/kaniko.txt");

/// Program and flag of every line of the list.
fn listed() -> BTreeSet<(&'static str, &'static str)> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    words
        .filter_map(|words| Some((*words.first()?, *words.get(1)?)))
        .collect()
}

/// Whether the repository has the test: `FILE FUNCTION`, or a path alone for a case that is no code.
fn is_there(test: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (file, function) = test.split_once(' ').unwrap_or((test, ""));
    match function {
        "" => root.join(file).is_dir(),
        name => fs::read_to_string(root.join(file))
            .is_ok_and(|text| text.contains(&format!("fn {name}()"))),
    }
}

#[test]
fn every_flag_of_kanikos_has_a_row_and_every_row_a_test_that_is_there() {
    let mut complaints = Vec::new();
    let mut rows = BTreeSet::new();
    for (program, flag, proof) in ROWS {
        if !rows.insert((*program, *flag)) {
            complaints.push(format!("{program} --{flag} has two rows"));
        }
        if let Proof::Tests(tests) = proof {
            let missing = tests.iter().filter(|test| !is_there(test));
            complaints.extend(missing.map(|test| format!("--{flag}: there is no test `{test}`")));
            if tests.is_empty() {
                complaints.push(format!("{program} --{flag} names no test"));
            }
        }
    }
    let listed = listed();
    assert!(listed.len() > 90, "the list was not read");
    for (program, flag) in listed.symmetric_difference(&rows) {
        complaints.push(format!(
            "{program} --{flag} is in the list or the table alone"
        ));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_flag_without_effect_is_told_once_and_the_image_is_built() {
    let rows = ROWS.iter();
    let rows = rows.filter(|(_, _, proof)| matches!(proof, Proof::NoEffect));
    let flags: Vec<&str> = rows.map(|(_, flag, _)| *flag).collect();
    assert!(flags.len() > 10, "{flags:?}");
    let context = crate::support::Context::new("FROM scratch\nLABEL a=b\n");
    let given = flags.iter().map(|flag| match *flag {
        "snapshot-mode" => "--snapshot-mode=redo".to_owned(),
        flag => format!("--{flag}"),
    });
    let build = Executor::new(Who::User)
        .context(&context)
        .arg("--no-push")
        .args(given)
        .run();
    build.assert_success();
    for flag in flags {
        let line = format!("--{flag} has no effect: ");
        assert_eq!(
            build.stderr().matches(&line).count(),
            1,
            "{flag}\n{}",
            build.report()
        );
    }
    assert!(
        build.stderr().contains("built sha256:"),
        "{}",
        build.report()
    );
}
