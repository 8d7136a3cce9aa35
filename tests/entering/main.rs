//! Entering the sandbox as each kind of process that it has a mode for: root with all capabilities and
//! with those of a container, users with and without subordinate ids, and nobody at all.
//!
//! Entering needs a process without threads, which no test of the usual harness is. This one starts
//! itself once for each case: `main` is the runner, or the case that the environment names.

mod cases;
mod runner;

/// Of what the end-to-end tests stand on, the part that makes users.
#[allow(dead_code, reason = "made for the end-to-end tests")]
#[path = "../support"]
mod support {
    pub(crate) mod account;
    pub(crate) mod cache;
    pub(crate) mod tool;
}

fn main() {
    match std::env::var(runner::CASE_VARIABLE) {
        Ok(name) => runner::run_case(&name),
        Err(_) => runner::run_all(),
    }
}
