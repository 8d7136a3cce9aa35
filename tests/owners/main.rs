//! Ownership in a user namespace with a single id, tried for real: as a user without privileges, in
//! trees of busybox and of Debian.
//!
//! Entering needs a process without threads, which no test of the usual harness is. This one starts
//! itself once for each case: `main` is the runner, or the case that the environment names.

#[allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its part of what the tests stand on"
)]
#[path = "../support/mod.rs"]
mod support;

mod cases;
mod fixture;
mod runner;
mod trees;

fn main() {
    match std::env::var(runner::CASE_VARIABLE) {
        Ok(name) => runner::run_case(&name),
        Err(_) => runner::run_all(),
    }
}
