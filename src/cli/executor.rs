//! `executor`, from its arguments to its exit code: which command was meant, and what was wrong with the words.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use clap::error::ErrorKind;

use crate::build::DockerfileText;

use super::execute::execute;
use super::flags::{DebugCommand, ExecutorCommand, ExecutorFlags};
use super::progress::LogStyle;
use super::report::{EXIT_FAILURE, report};
use super::{debug, index, inspect, lint, log, login, manual, push, unpack, upkeep};

/// Runs the executor with the program's arguments, its own name first, and returns its exit code.
///
/// Must be called before the process has other threads: the sandbox is entered first.
pub fn run_executor(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let flags = match ExecutorFlags::try_parse_from(&arguments) {
        Ok(flags) => flags,
        Err(error) => return usage(&error, arguments.len() < 2),
    };
    let log_flags = match &flags.command {
        Some(ExecutorCommand::Push(push)) => &push.log,
        Some(ExecutorCommand::Index(index)) => &index.log,
        Some(_) | None => &flags.log,
    };
    let style = LogStyle::new(log_flags, std::io::stderr().is_terminal());
    log::start(style);
    let result = match &flags.command {
        Some(ExecutorCommand::Version) => print_version(),
        Some(ExecutorCommand::Lint(flags)) => lint::run(flags, style),
        Some(ExecutorCommand::Inspect(flags)) => inspect::run(flags),
        Some(ExecutorCommand::Unpack(flags)) => unpack::run(flags),
        Some(ExecutorCommand::Push(flags)) => push::run(flags, style),
        Some(ExecutorCommand::Index(flags)) => index::run(flags, style),
        Some(ExecutorCommand::Login(flags)) => login::log_in(flags, style),
        Some(ExecutorCommand::Logout(flags)) => login::log_out(flags),
        Some(ExecutorCommand::Cache(command)) => upkeep::run(command),
        Some(ExecutorCommand::Completion(flags)) => {
            manual::print_completion::<ExecutorFlags>(flags.shell)
        }
        Some(ExecutorCommand::Debug(command)) => show_debug(command),
        None => execute(&flags, style),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(report(style, &error)),
    }
}

/// Prints what is wrong with the arguments, or the help that they ask for.
pub(super) fn usage(error: &clap::Error, has_no_arguments: bool) -> ExitCode {
    // A closed standard error must not change the exit code.
    let _ = error.print();
    let asks_for_text = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if asks_for_text && !has_no_arguments {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_FAILURE)
    }
}

fn show_debug(command: &DebugCommand) -> Result<()> {
    let read = |path: &PathBuf| {
        std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let text = match command {
        DebugCommand::Ast { file } => {
            let bytes = read(file)?;
            let text = String::from_utf8_lossy(&bytes);
            let text = DockerfileText::new(&file.to_string_lossy(), &text);
            debug::ast(&bytes)
                .map_err(|error| text.error_at(error.span, error.to_string()))?
                .to_string()
        }
        DebugCommand::Expand { word, variables } => debug::expand(word, variables)?,
        DebugCommand::Ignore { file, path } => debug::ignore(&read(file)?, path)?.to_string(),
        DebugCommand::Docs { dir } => return manual::write_all(dir),
    };
    print_line(&text)
}

/// Prints which version this is, in kaniko's form.
pub(super) fn print_version() -> Result<()> {
    print_line(&format!(
        "Sawagani version :  v{}",
        env!("CARGO_PKG_VERSION")
    ))
}

/// Prints what was asked for. Whoever closes standard output does not want it.
pub(super) fn print_line(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// Prints a document exactly as it is. Whoever closes standard output does not want it.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}
