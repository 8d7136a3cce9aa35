//! The programs, from their arguments to their exit code.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::build::{self, BaseImages, BuildInput, DockerfileText, Tools};
use crate::image::blob_store::BlobStore;
use crate::output::{self, Receipt};
use crate::registry::Registries;
use crate::sandbox::{Sandbox, Stop};

use super::flags::{DebugCommand, ExecutorCommand, ExecutorFlags, NOT_YET_SUPPORTED};
use super::options::ExecutorOptions;
use super::progress::{Level, LogStyle, printer};
use super::report::{EXIT_FAILURE, Interrupted, report};
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
    let sandbox = crate::sandbox::enter(&options.sandbox)?;
    style.print(
        Level::Info,
        &format!("isolation: {}", sandbox.description()),
    );
    let result = in_runtime(options, input, &sandbox, style);
    let closed = sandbox.close().context("cannot remove the build's files");
    result.and(closed)
}

/// How long a build may take to end once it is asked to stop: a step's own grace, and a little more.
const LONGEST_END: Duration = Duration::from_secs(15);

fn in_runtime(
    options: ExecutorOptions,
    input: BuildInput,
    sandbox: &Sandbox,
    style: LogStyle,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let stop = Stop::new()?;
    let result = runtime.block_on(async {
        let work = build_and_deliver(options, input, sandbox.clone(), stop.clone(), style);
        tokio::pin!(work);
        let interruption = tokio::select! {
            result = &mut work => return result,
            interruption = interruption() => interruption?,
        };
        style.print(
            Level::Warning,
            &format!("warning: {interruption}: stopping"),
        );
        stop.request();
        // Steps end within their grace; what waits for the network is left behind.
        let _ = tokio::time::timeout(LONGEST_END, work).await;
        Err(interruption.into())
    });
    runtime.shutdown_timeout(LONGEST_END);
    result
}

async fn build_and_deliver(
    options: ExecutorOptions,
    input: BuildInput,
    sandbox: Sandbox,
    stop: Stop,
    style: LogStyle,
) -> Result<()> {
    let registries = Arc::new(Registries::new(options.registry));
    if options.checks_push_permission {
        output::check_push_access(&registries, &options.delivery.destinations).await?;
    }
    let store = Arc::new(BlobStore::open(&sandbox.work_dir().join("blob-store"))?);
    let progress = printer(style);
    let images = BaseImages::new(
        Arc::clone(&registries),
        Arc::clone(&store),
        sandbox.clone(),
        Arc::clone(&progress),
    );
    let tools = Tools {
        images: Arc::new(images),
        sandbox,
        stop,
        progress,
    };
    let image = build::build(input, &options.build, tools).await?;
    style.print(Level::Info, &format!("built {}", image.digest()));
    let receipts = output::deliver(image, &options.delivery, registries, store).await?;
    for receipt in receipts {
        style.print(Level::Info, &show_receipt(&receipt));
    }
    Ok(())
}

fn show_receipt(receipt: &Receipt) -> String {
    let Receipt {
        destination,
        digest,
        reused,
        sent,
    } = receipt;
    format!("pushed {destination}@{digest} ({sent} blobs sent, {reused} already there)")
}

/// Waits until somebody asks the program to end.
async fn interruption() -> Result<Interrupted> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = terminate.recv() => Interrupted { name: "SIGTERM", number: 15 },
        _ = interrupt.recv() => Interrupted { name: "SIGINT", number: 2 },
        _ = hang_up.recv() => Interrupted { name: "SIGHUP", number: 1 },
    })
}
