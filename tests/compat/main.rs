//! The Dockerfile, to the letter: small Dockerfiles whose whole result is written down, and written from the reference.
//!
//! `cargo test --test compat -- NAME…` builds the cases whose names contain one of the words. A case is a folder of
//! `tests/compat/cases`; `tests/compat/README.md` says what it may hold. Nothing here knows a case by name.

#[allow(
    dead_code,
    unused_imports,
    reason = "written for all test binaries, and no binary needs all of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod archive;
mod bases;
mod case;
mod config_check;
mod escapes;
mod expected;
mod file_line;
mod files;
mod one_case;
mod sections;
mod server;
mod setup;
mod table;
mod tree_check;

use bases::Bases;
use case::Case;
use std::process::exit;
use std::time::Instant;
use support::harness::{self, Arguments};

fn main() {
    let arguments = Arguments::of_this_process();
    let all = Case::all();
    let total = all.len();
    let wanted = all.into_iter().filter(|case| arguments.wants(&case.name));
    let cases: Vec<Case> = wanted.collect();
    if arguments.lists {
        cases
            .iter()
            .for_each(|case| println!("{}: test", case.name));
        return;
    }
    let start = Instant::now();
    let wrong_names = table::complaints();
    assert!(wrong_names.is_empty(), "{}", wrong_names.join("\n"));
    // Opened where there is something to build, by the thread that lives longest: the registry ends with it.
    let bases = (!cases.is_empty()).then(Bases::open);
    let failed = bases.map_or(0, |bases| {
        harness::failures(
            &cases,
            arguments.threads,
            |case| &case.name,
            |case| one_case::complaints(&bases, case),
        )
    });
    harness::print_sum(
        cases.len() - failed,
        failed,
        total - cases.len(),
        start.elapsed().as_secs_f64(),
    );
    exit(i32::from(failed > 0));
}
