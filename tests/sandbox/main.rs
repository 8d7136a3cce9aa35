//! The sandbox, tried for real in every mode and with every way to keep files.
//!
//! Entering needs a process without threads, which no test of the usual harness is. This one starts
//! itself once for each case: `main` is the runner, or the case that the environment names.

mod cases;
mod fixture;
#[allow(dead_code, reason = "written for all such test binaries")]
#[path = "../support/harness.rs"]
mod harness;
mod runner;
mod setup;
mod tree;

fn main() {
    match std::env::var(runner::CASE_VARIABLE) {
        Ok(name) => runner::run_case(&name),
        Err(_) => runner::run_all(),
    }
}
