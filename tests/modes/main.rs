//! The Dockerfile suite in every mode that this machine can run without containers, held against the reference.
//!
//! `cargo test --test modes -- NAME…` builds the cases whose names contain one of the words; `SAWAGANI_TEST_MODES`
//! (`chroot,userns`) leaves out the other modes. A case is a folder: nothing here knows one by name.

#[path = "../suite/mod.rs"]
mod suite;
#[allow(
    dead_code,
    unused_imports,
    reason = "written for all test binaries, and no binary needs all of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod one_case;
mod runner;

fn main() {
    runner::run();
}
