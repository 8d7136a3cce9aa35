//! The programs, from their arguments to their exit code.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::build::{
    self, BaseImages, BuildInput, BuildOptions, DockerfileSource, DockerfileText, Halt, Tools,
};
use crate::cache::{BaseImageCache, LocalCache};
use crate::image::blob_store::BlobStore;
use crate::output::{self, Receipt};
use crate::registry::Registries;
use crate::sandbox::{Sandbox, Stop};

use super::flags::{DebugCommand, ExecutorCommand, ExecutorFlags, NOT_YET_SUPPORTED};
use super::options::ExecutorOptions;
use super::progress::{Level, LogStyle, printer};
use super::report::{EXIT_FAILURE, Interrupted, report};
use super::step_cache_options::StepCacheOptions;
use super::{debug, dry_run, environment, lint, log, options, upkeep};

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
        Some(ExecutorCommand::Version) => print_version(),
        Some(ExecutorCommand::Lint(flags)) => lint::run(flags, style),
        Some(ExecutorCommand::Cache(command)) => upkeep::run(command),
        Some(ExecutorCommand::Debug(command)) => show_debug(command),
        None => execute(&flags, style),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(report(style, &error)),
    }
}

/// Prints an error before there is a log. A closed standard error must not change the exit code.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what is wrong with the arguments, or the help that they ask for.
pub(super) fn usage(error: &clap::Error, has_no_arguments: bool) -> ExitCode {
    if let Some(name) = not_yet_supported(error) {
        complain(&format!("error: not yet supported: --{name}"));
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

/// Builds and delivers an image.
fn execute(flags: &ExecutorFlags, style: LogStyle) -> Result<()> {
    // A killed build may have left a stage in the place of what the options are about.
    // The current directory may be among it; where relative names lead to does not matter here.
    let current_dir = environment::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let lock = crate::sandbox::recover_root(&options::sandbox_options(flags, &current_dir)?)?;
    let mut options = ExecutorOptions::new(flags)?;
    for note in flags.no_effect.notes() {
        style.print(Level::Info, &note);
    }
    if environment::has_variable_like("FF_KANIKO_") {
        style.print(
            Level::Info,
            "FF_KANIKO_* have no effect: images are built as BuildKit builds them",
        );
    }
    let local_cache = options.cache.open_dir();
    let step_cache = options.step_cache.as_ref();
    let caches = local_cache.iter().map(|cache| cache.dir().to_path_buf());
    let caches = caches.chain(step_cache.and_then(StepCacheOptions::directory));
    let caches: Vec<PathBuf> = caches.collect();
    options.sandbox.kept = caches.clone();
    // A job may have nowhere else to put them: they must neither get into an image nor change what is copied.
    options.build.left_out = caches;
    // What is wrong with the files is said before anything is set up for them.
    let is_remote = matches!(options.build.dockerfile, DockerfileSource::Url(_))
        || options.remote_context.is_some();
    let input = match is_remote {
        false => Some(BuildInput::read(&options.build)?),
        // It is fetched into the sandbox.
        true => None,
    };
    // Enter before any thread exists: unshare(CLONE_NEWUSER) fails otherwise.
    let sandbox = crate::sandbox::enter_holding(&options.sandbox, lock)?;
    style.print(
        Level::Info,
        &format!("isolation: {}", sandbox.description()),
    );
    for warning in sandbox.warnings() {
        style.print(Level::Warning, &format!("warning: {warning}"));
    }
    let result = in_runtime(options, input, local_cache, &sandbox, style);
    let closed = sandbox.close().context("cannot remove the build's files");
    result.and(closed)
}

/// How long a build may take to end once it is asked to stop: a step's own grace, and a little more.
const LONGEST_END: Duration = Duration::from_secs(15);

/// How long what goes on in the background may take to end once the build has failed.
const FAILED_END: Duration = Duration::from_secs(1);

fn in_runtime(
    options: ExecutorOptions,
    input: Option<BuildInput>,
    local_cache: Option<Arc<LocalCache>>,
    sandbox: &Sandbox,
    style: LogStyle,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let stop = Stop::new()?;
    let result = runtime.block_on(async {
        let halt = Halt::new(stop);
        let work = build_and_deliver(
            options,
            input,
            local_cache,
            sandbox.clone(),
            halt.clone(),
            style,
        );
        tokio::pin!(work);
        let interruption = tokio::select! {
            result = &mut work => return result,
            interruption = interruption() => interruption?,
        };
        style.print(
            Level::Warning,
            &format!("warning: {interruption}: stopping"),
        );
        halt.request();
        // Whoever asks twice does not want to wait for the steps' grace.
        tokio::select! {
            _ = tokio::time::timeout(LONGEST_END, work) => {}
            _ = self::interruption() => {}
        }
        Err(interruption.into())
    });
    // What is left after a failure are layers that nobody needs any more.
    let patience = if result.is_ok() {
        LONGEST_END
    } else {
        FAILED_END
    };
    runtime.shutdown_timeout(patience);
    result
}

async fn build_and_deliver(
    mut options: ExecutorOptions,
    input: Option<BuildInput>,
    local_cache: Option<Arc<LocalCache>>,
    sandbox: Sandbox,
    halt: Halt,
    style: LogStyle,
) -> Result<()> {
    let registries = Arc::new(Registries::new(options.registry));
    if options.checks_push_permission {
        output::check_push_access(&registries, &options.delivery.destinations).await?;
    }
    let remote = options.remote.clone();
    BuildInput::fetch_dockerfile(&mut options.build, remote, &sandbox, &halt).await?;
    let input = match (input, options.remote_context.take()) {
        (Some(input), _) => input,
        (None, Some(context)) => {
            style.print(Level::Info, &format!("fetching {}", context.shown()));
            let (sub_path, remote) = (&options.context_sub_path, options.remote.clone());
            let build = &mut options.build;
            BuildInput::fetch(context, sub_path, build, remote, &sandbox, &halt).await?
        }
        (None, None) => BuildInput::read(&options.build)?,
    };
    let store = Arc::new(BlobStore::open(&sandbox.work_dir().join("blob-store"))?);
    let progress = printer(style);
    let step_cache = options.step_cache.as_ref();
    let step_cache = step_cache
        .map(|step_cache| step_cache.open(local_cache.clone(), &registries))
        .transpose()?;
    let cache = BaseImageCache {
        registries: Arc::clone(&registries),
        local: local_cache,
    };
    let images = Arc::new(BaseImages::new(
        Arc::new(cache),
        options.cache.keeps_unpacked && !options.is_dry_run,
        Arc::clone(&store),
        sandbox.clone(),
        halt.clone(),
        Arc::clone(&progress),
    ));
    let tools = Tools {
        images: Arc::clone(&images),
        cache: step_cache,
        remote: options.remote,
        sandbox,
        halt,
        progress,
    };
    if options.is_dry_run {
        return print_plan(input, &options.build, tools, style).await;
    }
    let delivered = async {
        let image = build::build(input, &options.build, tools).await?;
        style.print(Level::Info, &format!("built {}", image.digest()));
        let tell = |receipt: &Receipt| style.print(Level::Info, &show_receipt(receipt));
        output::deliver(image, &options.delivery, registries, store, &tell).await
    }
    .await;
    // Also after a failure: the next try need not pull the base image again.
    images.finish_keeping().await;
    delivered
}

/// Prints what a build would do.
async fn print_plan(
    input: BuildInput,
    options: &BuildOptions,
    tools: Tools,
    style: LogStyle,
) -> Result<()> {
    let isolation = tools.sandbox.description();
    let preview = build::preview(input, options, tools).await?;
    let lines = dry_run::lines(&preview.stages, &preview.pulls, &isolation);
    print_line(&lines.join("\n"))?;
    if let Some(refusal) = preview.refusal {
        let text = format!("warning: the build would fail here: {refusal:#}");
        style.print(Level::Warning, &text);
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
pub(super) async fn interruption() -> Result<Interrupted> {
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
