//! `executor`: builds a container image from a Dockerfile and pushes it.

use std::process::ExitCode;

fn main() -> ExitCode {
    sawagani::cli::run_executor(std::env::args_os())
}
