//! The words of `executor lint`: those of a build, as far as they change what a Dockerfile means.

use clap::{Args, ValueEnum};

use super::values::go_bool;

#[derive(Debug, Args)]
#[command(next_help_heading = "Lint")]
pub(in crate::cli) struct LintFlags {
    /// Form of what is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(in crate::cli) format: LintFormat,
    /// Dockerfile, relative to the current directory or else to the context
    #[arg(short = 'f', long, value_name = "FILE", default_value = "Dockerfile")]
    pub(in crate::cli) dockerfile: String,
    /// Build context, for its ignore file: a directory, or dir://DIRECTORY
    #[arg(short = 'c', long, value_name = "DIR", default_value = ".")]
    pub(in crate::cli) context: String,
    /// Directory inside the context that is used as the context
    #[arg(
        long,
        value_name = "DIR",
        default_value = "",
        hide_default_value = true
    )]
    pub(in crate::cli) context_sub_path: String,
    /// Build argument NAME=VALUE, or NAME with its value from the environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) build_arg: Vec<String>,
    /// Look only at what this stage needs [default: all stages]
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(in crate::cli) target: Vec<String>,
    /// Platform to build for, as OS/ARCH[/VARIANT]; of several, the first counts [default: the machine's]
    #[arg(
        long,
        visible_alias = "platform",
        alias = "customPlatform",
        value_name = "PLATFORM",
        value_delimiter = ','
    )]
    pub(in crate::cli) custom_platform: Vec<String>,
    /// End with an error if there is any warning
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) check_error: bool,
}

/// How warnings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LintFormat {
    /// For people.
    Text,
    /// As BuildKit's lint request answers.
    Json,
}
