//! What `executor lint` looks at: its flags as those of a build, and the files, wherever they are.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;

use crate::build::{BuildInput, BuildOptions, DockerfileSource, Halt};
use crate::sandbox::{Sandbox, Stop, enter_holding};

use super::environment;
use super::flags::{ExecutorFlags, LintFlags};
use super::options::{build_options, sandbox_options};
use super::registry_options::registry_options;
use super::remote_context::{ContextFlags, context_remote_options, fetched_context};

/// Nothing is executed: files from the network need no more than a directory.
const ISOLATION: &str = "none";

/// Checks the flags as those of a build.
pub(super) fn lint_options(flags: &LintFlags) -> Result<(ExecutorFlags, BuildOptions)> {
    let mut build = ExecutorFlags::try_parse_from(["executor"])?;
    ISOLATION.clone_into(&mut build.place.isolation);
    let input = &mut build.input;
    input.dockerfile.clone_from(&flags.dockerfile);
    input.context.clone_from(&flags.context);
    input.context_sub_path.clone_from(&flags.context_sub_path);
    input.build_arg.clone_from(&flags.build_arg);
    input.target.clone_from(&flags.target);
    input.custom_platform.clone_from(&flags.custom_platform);
    input.git.clone_from(&flags.git);
    input.secret.clone_from(&flags.secret);
    input.ssh.clone_from(&flags.ssh);
    input.check_error = flags.check_error;
    let certificates = &mut build.registry.pull.registry_certificate;
    certificates.clone_from(&flags.registry_certificate);
    let options = build_options(&build, &environment::current_dir()?)?;
    Ok((build, options))
}

/// Reads the Dockerfile and its ignore file, which are fetched if they are not here.
pub(super) fn read_input(flags: &ExecutorFlags, options: &mut BuildOptions) -> Result<BuildInput> {
    let current_dir = environment::current_dir()?;
    let is_remote = matches!(options.dockerfile, DockerfileSource::Url(_))
        || fetched_context(&flags.input, &current_dir)?.is_some();
    if !is_remote {
        return BuildInput::read(options);
    }
    let sandbox = sandbox_options(flags, &current_dir)?;
    let sandbox = enter_holding(&sandbox, None)?;
    let input = fetch(flags, options, &sandbox);
    // What lint asks of the files has been read by now.
    let closed = sandbox.close().context("cannot remove the fetched files");
    input.and_then(|input| closed.map(|()| input))
}

fn fetch(
    flags: &ExecutorFlags,
    options: &mut BuildOptions,
    sandbox: &Sandbox,
) -> Result<BuildInput> {
    let current_dir = environment::current_dir()?;
    let registry = registry_options(&flags.registry, &current_dir)?;
    let context = fetched_context(&flags.input, &current_dir)?;
    let remote = context_remote_options(&registry, options, context.as_ref())?;
    let sub_path = Path::new(&flags.input.context_sub_path);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let halt = Halt::new(Stop::new()?);
    runtime.block_on(async {
        BuildInput::fetch_dockerfile(options, remote.clone(), sandbox, &halt).await?;
        match context {
            Some(ContextFlags { context, .. }) => {
                BuildInput::fetch(context, sub_path, options, remote, sandbox, &halt).await
            }
            None => BuildInput::read(options),
        }
    })
}
