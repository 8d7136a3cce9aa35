//! How both programs log, word for word.

use clap::{Args, ValueEnum};

use super::values::go_bool;

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(in crate::cli) struct LogFlags {
    /// Least severe messages to show
    #[arg(
        short = 'v',
        long,
        value_name = "LEVEL",
        value_enum,
        // As logrus reads it: `--verbosity=INFO`.
        ignore_case = true,
        default_value = "info"
    )]
    pub(in crate::cli) verbosity: Verbosity,
    /// Form of the log
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "color")]
    pub(in crate::cli) log_format: LogFormat,
    /// Show the time with each line
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) log_timestamp: bool,
}

/// How much is logged, by kaniko's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(in crate::cli) enum Verbosity {
    Panic,
    Fatal,
    Error,
    #[value(alias = "warning")]
    Warn,
    Info,
    Debug,
    Trace,
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    Text,
    Color,
    Json,
}
