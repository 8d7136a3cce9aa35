//! `warmer`: fills the local cache of base images ahead of time.

use std::process::ExitCode;

fn main() -> ExitCode {
    sawagani::cli::run_warmer(std::env::args_os())
}
