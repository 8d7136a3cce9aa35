//! The words of `executor lint`: those of a build, as far as they change what a Dockerfile means.

use clap::{Args, ValueEnum};

use super::values::go_bool;

#[derive(Debug, Args)]
#[command(next_help_heading = "Lint")]
pub(in crate::cli) struct LintFlags {
    /// Form of what is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(in crate::cli) format: LintFormat,
    /// Dockerfile, relative to the current directory or else to the context; a URL, or - for standard input
    #[arg(short = 'f', long, value_name = "FILE", default_value = "Dockerfile")]
    pub(in crate::cli) dockerfile: String,
    /// Build context, for its ignore file: a directory, dir://DIRECTORY, or one that is fetched, as of a build
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
    /// How a git repository is fetched: branch=NAME, recurse-submodules=BOOL, single-branch=BOOL; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(in crate::cli) git: Vec<String>,
    /// Secret that opens the server of what is fetched, such as GIT_AUTH_TOKEN: id=ID[,src=FILE][,env=VARIABLE]; repeatable
    #[arg(long, value_name = "SECRET")]
    pub(in crate::cli) secret: Vec<String>,
    /// SSH agent for a git repository: default, default=SOCKET, or default=KEY[,KEY] with key files; repeatable
    #[arg(long, value_name = "ID[=SOCKET|KEY[,KEY]]")]
    pub(in crate::cli) ssh: Vec<String>,
    /// Certificate authority of a server, as HOST=FILE; repeatable
    #[arg(long, value_name = "HOST=FILE")]
    pub(in crate::cli) registry_certificate: Vec<String>,
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
