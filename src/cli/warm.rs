//! The warmer, from its arguments to its exit code.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::build::{self, DockerfileSource, WarmOptions, WarmedImage};
use crate::cache::{BaseImageCache, Filled, LocalCache};
use crate::registry::{Registries, RegistryOptions};

use super::cache_options::{self, DEFAULT_DIR};
use super::environment::{self, absolute};
use super::execute::interruption;
use super::executor::{print_version, usage};
use super::flags::{WarmerCommand, WarmerFlags};
use super::options::{build_args, dockerfile_source};
use super::platform_options::{or_host, platforms};
use super::progress::{Level, LogStyle, show_bytes};
use super::registry_options::{pull_options, server_options};
use super::report::report;
use super::{log, manual};

/// How long layers that are being written may take to end once the program is asked to.
const LONGEST_END: Duration = Duration::from_secs(1);

/// Runs the warmer with the program's arguments, its own name first, and returns its exit code.
pub fn run_warmer(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let flags = match WarmerFlags::try_parse_from(&arguments) {
        Ok(flags) => flags,
        Err(error) => return usage(&error, arguments.len() < 2),
    };
    let style = LogStyle::new(&flags.log, std::io::stderr().is_terminal());
    log::start(style);
    let result = match &flags.command {
        Some(WarmerCommand::Version) => print_version(),
        Some(WarmerCommand::Completion(given)) => {
            manual::print_completion::<WarmerFlags>(given.shell)
        }
        None => warm(&flags, style),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(report(style, &error)),
    }
}

fn warm(flags: &WarmerFlags, style: LogStyle) -> Result<()> {
    let current_dir = environment::current_dir()?;
    let registry = pull_options(&flags.registry, &current_dir)?;
    let mut options = warm_options(flags, &registry, &current_dir)?;
    // Removed when this function ends.
    let scratch = match options.dockerfile {
        Some(DockerfileSource::Url(_)) => Some(environment::scratch_dir(&current_dir)?),
        Some(DockerfileSource::Path(_) | DockerfileSource::Text { .. }) | None => None,
    };
    if let Some(scratch) = &scratch {
        options.scratch_dir = scratch.path().to_path_buf();
    }
    let local = open_dir(flags, &current_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = fill(&options, registry, local, style) => result,
            interruption = interruption() => Err(interruption?.into()),
        }
    });
    runtime.shutdown_timeout(LONGEST_END);
    result
}

fn warm_options(
    flags: &WarmerFlags,
    registry: &RegistryOptions,
    current_dir: &Path,
) -> Result<WarmOptions> {
    // An empty value is an unset one: scripts write `--image=$IMAGE`.
    let images: Vec<String> = flags
        .image
        .iter()
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    let dockerfile = match flags.dockerfile.as_str() {
        "" => None,
        text => Some(match dockerfile_source(text)? {
            DockerfileSource::Path(path) => DockerfileSource::Path(absolute(&path, current_dir)),
            other => other,
        }),
    };
    if images.is_empty() && dockerfile.is_none() {
        bail!("there is nothing to pull: give --image or --dockerfile");
    }
    Ok(WarmOptions {
        images,
        dockerfile,
        remote: server_options(registry),
        scratch_dir: PathBuf::new(),
        build_args: build_args(&flags.build_arg),
        platforms: or_host(platforms(&flags.custom_platform)?),
        pulls_again: flags.force,
    })
}

/// Opens the directory, which must be one that can be written.
fn open_dir(flags: &WarmerFlags, current_dir: &Path) -> Result<LocalCache> {
    let dir = match flags.cache_dir.as_os_str().is_empty() {
        true => PathBuf::from(DEFAULT_DIR),
        false => absolute(&flags.cache_dir, current_dir),
    };
    let failed = || format!("cannot use the cache directory `{}`", dir.display());
    let oldest = cache_options::oldest(flags.cache_ttl);
    let local = LocalCache::open(&dir, oldest).with_context(failed)?;
    if !local.is_writable() {
        bail!("the cache directory `{}` cannot be written", dir.display());
    }
    Ok(local)
}

async fn fill(
    options: &WarmOptions,
    registry: RegistryOptions,
    local: LocalCache,
    style: LogStyle,
) -> Result<()> {
    let cache = BaseImageCache {
        registries: Arc::new(Registries::new(registry)),
        local: Some(Arc::new(local)),
    };
    let tell = |image: WarmedImage<'_>| {
        let level = match image.outcome {
            Ok(_) => Level::Info,
            Err(_) => Level::Error,
        };
        style.print(level, &show(&image));
    };
    build::warm(options, &cache, &tell).await
}

/// Returns one line on an image.
fn show(image: &WarmedImage<'_>) -> String {
    let WarmedImage {
        name,
        platform,
        outcome,
    } = image;
    let done = match outcome {
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            return format!("{name} ({platform}): failed: {}", causes.join(": "));
        }
        Ok(done) => done,
    };
    let (digest, size) = (&done.digest, show_bytes(done.fetched));
    match done.filled {
        Filled::Pulled => format!("{name} ({platform}): pulled {digest}, {size}"),
        Filled::AlreadyThere => format!("{name} ({platform}): already there, {digest}"),
        Filled::Refreshed => format!("{name} ({platform}): refreshed {digest}, {size}"),
    }
}
