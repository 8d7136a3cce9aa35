//! The words of `executor cache`: looking after a cache directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::cache_options::DEFAULT_DIR;
use super::flag_values::{go_duration, path_or_empty, size};

/// What is done with a cache directory. All of it is safe while builds use the directory.
#[derive(Debug, Subcommand)]
pub(super) enum UpkeepCommand {
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
pub(super) struct DirFlag {
    /// The cache directory
    #[arg(long, value_name = "DIR", value_parser = path_or_empty(), default_value = DEFAULT_DIR)]
    pub(super) cache_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct PruneFlags {
    #[command(flatten)]
    pub(super) dir: DirFlag,
    /// Remove what was last of use so long ago, such as 336h or 90m
    #[arg(long, value_name = "DURATION", value_parser = go_duration)]
    pub(super) older_than: Option<SignedDuration>,
    /// Remove what was of use longest ago until so much remains, such as 10GB or 512m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) keep_size: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct VerifyFlags {
    #[command(flatten)]
    pub(super) dir: DirFlag,
    /// Remove what is damaged, so that it is made anew when it is needed
    #[arg(long)]
    pub(super) repair: bool,
}
