//! The words of `executor cache`: looking after a cache directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::super::cache_options::DEFAULT_DIR;
use super::values::{go_duration, path_or_empty, size};

/// What is done with a cache directory. All of it is safe while builds use the directory.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum UpkeepCommand {
    /// List what is kept
    Ls(DirFlag),
    /// Show how much room it takes
    Du(DirFlag),
    /// Remove what is of no use, or was not for long, or takes too much room
    Prune(PruneFlags),
    /// Read everything and name what is damaged
    Verify(VerifyFlags),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cache directory")]
pub(in crate::cli) struct DirFlag {
    /// The cache directory
    #[arg(long, value_name = "DIR", value_parser = path_or_empty(), default_value = DEFAULT_DIR)]
    pub(in crate::cli) cache_dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cache directory")]
pub(in crate::cli) struct PruneFlags {
    #[command(flatten)]
    pub(in crate::cli) dir: DirFlag,
    /// Remove what was last of use so long ago, such as 336h or 90m
    #[arg(long, value_name = "DURATION", value_parser = go_duration)]
    pub(in crate::cli) older_than: Option<SignedDuration>,
    /// Remove what was of use longest ago until so much remains, such as 10GB or 512m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(in crate::cli) keep_size: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cache directory")]
pub(in crate::cli) struct VerifyFlags {
    #[command(flatten)]
    pub(in crate::cli) dir: DirFlag,
    /// Remove what is damaged, so that it is made anew when it is needed
    #[arg(long)]
    pub(in crate::cli) repair: bool,
}
