//! The words of `executor lint`: those of a build, as far as they change what a Dockerfile means.

use anyhow::{Result, bail};
use clap::{Args, Parser, ValueEnum};

use crate::build::{BuildOptions, DockerfileSource};

use super::environment;
use super::flag_values::go_bool;
use super::flags::ExecutorFlags;
use super::options::build_options;
use super::remote_context::remote_context;

#[derive(Debug, Args)]
pub(super) struct LintFlags {
    /// Form of what is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(super) format: LintFormat,
    /// Dockerfile, relative to the current directory or else to the context
    #[arg(short = 'f', long, value_name = "FILE", default_value = "Dockerfile")]
    dockerfile: String,
    /// Build context, for its ignore file: a directory, or dir://DIRECTORY
    #[arg(short = 'c', long, value_name = "DIR", default_value = ".")]
    context: String,
    /// Directory inside the context that is used as the context
    #[arg(long, value_name = "DIR", default_value = "")]
    context_sub_path: String,
    /// Build argument NAME=VALUE, or NAME with its value from the environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Look only at what this stage needs [default: all stages]
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    target: Vec<String>,
    /// Platform to build for, as OS/ARCH[/VARIANT] [default: the machine's]
    #[arg(
        long,
        visible_alias = "platform",
        alias = "customPlatform",
        value_name = "PLATFORM"
    )]
    custom_platform: Option<String>,
    /// End with an error if there is any warning
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    check_error: bool,
}

/// How warnings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LintFormat {
    /// For people.
    Text,
    /// As BuildKit's lint request answers.
    Json,
}

impl LintFlags {
    /// Checks the flags as those of a build.
    pub(super) fn options(&self) -> Result<BuildOptions> {
        let mut flags = ExecutorFlags::try_parse_from(["executor"])?;
        flags.input.dockerfile.clone_from(&self.dockerfile);
        flags.input.context.clone_from(&self.context);
        flags
            .input
            .context_sub_path
            .clone_from(&self.context_sub_path);
        flags.input.build_arg.clone_from(&self.build_arg);
        flags.input.target.clone_from(&self.target);
        flags
            .input
            .custom_platform
            .clone_from(&self.custom_platform);
        flags.input.check_error = self.check_error;
        if remote_context(&flags.input)?.is_some() {
            bail!("not yet supported: lint with a context from the network");
        }
        let options = build_options(&flags, &environment::current_dir()?)?;
        if matches!(options.dockerfile, DockerfileSource::Url(_)) {
            bail!("not yet supported: lint of a Dockerfile from a URL");
        }
        Ok(options)
    }
}
