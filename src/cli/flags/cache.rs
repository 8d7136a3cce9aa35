//! The executor's flags for what is kept between builds, word for word.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::SignedDuration;

use super::values::{go_bool, go_duration, path_or_empty, size};

#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub(in crate::cli) struct CacheFlags {
    /// Use the layers of former builds, and keep those of this one [default: only in --cache-dir, if that is given]
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(in crate::cli) cache: Option<bool>,
    /// Repository where layers are kept for all jobs, or oci:DIR for a directory [default: with --cache, the first destination's repository followed by /cache]
    #[arg(long, value_name = "REPOSITORY")]
    pub(in crate::cli) cache_repo: Option<String>,
    /// Directory where base images and layers are kept between builds; made if missing [default: /cache, if there is one and --cache is given]
    #[arg(long, value_name = "DIR", value_parser = path_or_empty())]
    pub(in crate::cli) cache_dir: Option<PathBuf>,
    /// How long what was kept is used, such as 336h or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = go_duration, default_value = "336h", allow_hyphen_values = true)]
    pub(in crate::cli) cache_ttl: SignedDuration,
    /// Cache the layers of RUN and WORKDIR
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(in crate::cli) cache_run_layers: bool,
    /// Cache the layers of COPY and ADD [default: in --cache-dir only]
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(in crate::cli) cache_copy_layers: Option<bool>,
    /// Do not push layers to the cache repository
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) no_push_cache: bool,
    /// Where the contents of RUN --mount=type=cache are kept after a build that has succeeded [default: dir, if the cache directory can be written]
    #[arg(long, value_name = "PLACE", value_enum)]
    pub(in crate::cli) cache_mounts: Option<CacheMountsPlace>,
    /// What one of them may have: more is not kept
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2GB")]
    pub(in crate::cli) cache_mounts_max_size: u64,
    /// Say of each step why it was found in the cache or not
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) explain_cache: bool,
    /// Keep layers of base images unpacked in the cache directory, where it can be written and steps run on overlays
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(in crate::cli) cache_unpacked: bool,
}

/// Where cache mounts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CacheMountsPlace {
    /// Nowhere.
    Off,
    /// In the cache directory.
    Dir,
    /// In the cache repository.
    Registry,
}

impl CacheFlags {
    /// Returns the directory that was named. An empty value is an unset one: scripts write `--cache-dir=$DIR`.
    pub(in crate::cli) fn dir(&self) -> Option<&Path> {
        let given = self.cache_dir.as_deref();
        given.filter(|path| !path.as_os_str().is_empty())
    }
}
