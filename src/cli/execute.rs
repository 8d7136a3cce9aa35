//! A build, from its options to what is delivered.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::build::{
    self, BaseImages, BuildInput, BuildOptions, DockerfileSource, Halt, Product, Tools,
};
use crate::cache::{BaseImageCache, LocalCache};
use crate::image::blob_store::BlobStore;
use crate::output::{self, Finished, LayerBlobs, Receipt};
use crate::registry::Registries;
use crate::sandbox::{Sandbox, Stop};

use super::executor::print_line;
use super::flags::ExecutorFlags;
use super::options::ExecutorOptions;
use super::progress::{Level, LogStyle, printer};
use super::report::Interrupted;
use super::step_cache_options::StepCacheOptions;
use super::{dry_run, environment, kaniko_variables, options};

/// Builds and delivers an image.
pub(super) fn execute(flags: &ExecutorFlags, style: LogStyle) -> Result<()> {
    // A killed build may have left a stage in the place of what the options are about.
    // The current directory may be among it; where relative names lead to does not matter here.
    let current_dir = environment::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let lock = crate::sandbox::recover_root(&options::sandbox_options(flags, &current_dir)?)?;
    let mut options = ExecutorOptions::new(flags)?;
    for note in flags.no_effect.notes() {
        style.print(Level::Info, &note);
    }
    if let Some(warning) = options.warning {
        style.print(Level::Warning, &format!("warning: {warning}"));
    }
    for note in kaniko_variables::notes() {
        style.print(Level::Info, &note);
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
        || options.fetched_context.is_some();
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
pub(super) const LONGEST_END: Duration = Duration::from_secs(15);

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
    // Beside the build's files, which are removed in the end.
    options.delivery.unpushed_parent = sandbox.work_dir().parent().map(Path::to_path_buf);
    let remote = options.remote.clone();
    BuildInput::fetch_dockerfile(&mut options.build, remote, &sandbox, &halt).await?;
    let input = match (input, options.fetched_context.take()) {
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
    let progress = printer(style, options.stdout_is_taken);
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
        options.base_retries,
    ));
    let blobs = LayerBlobs {
        store,
        registries,
        halt: halt.token(),
    };
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
        let product = build::build(input, &options.build, tools).await?;
        style.print(Level::Info, &format!("built {}", product.digest()));
        let tell = |receipt: &Receipt| style.print(Level::Info, &show_receipt(receipt));
        let finished = match product {
            Product::Image(image) => Finished::from(*image),
            Product::Index(index) => Finished::from(*index),
        };
        output::deliver(finished, &options.delivery, &blobs, &tell).await
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
    let previews = build::preview(input, options, tools).await?;
    print_line(&dry_run::lines(&previews, &isolation, options.is_single_snapshot).join("\n"))?;
    for refusal in previews
        .iter()
        .filter_map(|preview| preview.refusal.as_ref())
    {
        let text = format!("warning: the build would fail here: {refusal:#}");
        style.print(Level::Warning, &text);
    }
    Ok(())
}

pub(super) fn show_receipt(receipt: &Receipt) -> String {
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
