//! The programs, from their arguments to their exit code.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::build::{self, BaseImages, BuildInput, Progress};
use crate::image::blob_store::BlobStore;
use crate::output::{self, Receipt};
use crate::registry::Registries;
use crate::sandbox::{Sandbox, Stop};

use super::flags::{
    DebugCommand, ExecutorCommand, ExecutorFlags, NOT_YET_SUPPORTED,
};
use super::options::ExecutorOptions;
use super::progress::{Level, LogStyle, printer};
use super::report::{EXIT_FAILURE, report};
use super::{debug, log};

/// Runs the executor with the program's arguments, its own name first, and returns its exit code.
///
/// Must be called before the process has other threads: the sandbox is entered first.
pub fn run_executor(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let flags = match ExecutorFlags::try_parse_from(&arguments) {
        Ok(flags) => flags,
        Err(error) => return usage(&error, arguments.len() < 2),
    };
    let style = LogStyle::new(&flags.log, std::io::stderr().is_terminal());
    log::start(style);
    let result = match &flags.command {
        Some(ExecutorCommand::Version) => {
            println!("Sawagani version :  v{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Some(ExecutorCommand::Debug(command)) => show_debug(command),
        None => execute(&flags, style),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(report(style, &error)),
    }
}

/// Runs the warmer.
pub fn run_warmer() -> ExitCode {
    eprintln!("error: not yet supported: the warmer");
    ExitCode::from(EXIT_FAILURE)
}

/// Prints what is wrong with the arguments, or the help that they ask for.
fn usage(error: &clap::Error, has_no_arguments: bool) -> ExitCode {
    if let Some(name) = not_yet_supported(error) {
        eprintln!("error: not yet supported: --{name}");
        return ExitCode::from(EXIT_FAILURE);
    }
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

/// Returns the flag of kaniko's that the user typed and that is missing here.
fn not_yet_supported(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let name = typed.trim_start_matches('-').split('=').next()?;
    NOT_YET_SUPPORTED.contains(&name).then(|| name.to_owned())
}

fn show_debug(command: &DebugCommand) -> Result<()> {
    let text = match command {
        DebugCommand::Ast { file } => debug::ast(file)?,
        DebugCommand::Expand { word, variables } => debug::expand(word, variables)?,
        DebugCommand::Ignore { file, path } => debug::ignore(file, path)?,
    };
    println!("{text}");
    Ok(())
}

/// Builds and delivers an image.
fn execute(flags: &ExecutorFlags, style: LogStyle) -> Result<()> {
    let options = ExecutorOptions::new(flags)?;
    // What is wrong with the files is said before anything is set up for them.
    let input = BuildInput::read(&options.build)?;
    // Enter before any thread exists: unshare(CLONE_NEWUSER) fails otherwise.
    let sandbox = Arc::new(crate::sandbox::enter(&options.sandbox)?);
    style.print(Level::Info, &format!("isolation: {}", sandbox.description()));
    let result = in_runtime(options, input, &sandbox, style);
    let closed = match Arc::try_unwrap(sandbox) {
        Ok(sandbox) => sandbox.close().context("cannot remove the build's files"),
        Err(_) => Err(anyhow!("the build's files are still in use and are not removed")),
    };
    result.and(closed)
}

fn in_runtime(
    options: ExecutorOptions,
    input: BuildInput,
    sandbox: &Arc<Sandbox>,
    style: LogStyle,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let stop = Stop::new()?;
    let work = build_and_deliver(options, input, Arc::clone(sandbox), stop.clone(), printer(style));
    runtime.block_on(async {
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => result,
            name = interruption() => {
                let name = name?;
                style.print(Level::Warning, &format!("warning: {name}: stopping"));
                stop.request();
                // Steps end within their grace; what only waits for the network is dropped.
                let grace = tokio::time::sleep(crate::sandbox::Stop::LONGEST_END);
                tokio::select! {
                    _ = work => {}
                    () = grace => {}
                }
                Err(build::Interrupted { signal: name.number() }.into())
            }
        }
    })
}
