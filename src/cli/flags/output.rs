//! The executor's flags for where the image goes and what it looks like, word for word.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::push::{DigestFileFlags, PushFlags};
use super::values::{go_bool, path_or_empty};

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct OutputFlags {
    /// Reference to push the image to; repeatable
    #[arg(short = 'd', long, value_name = "REFERENCE")]
    pub(in crate::cli) destination: Vec<String>,
    /// Print what a build would do: no step is executed, no layer pulled, nothing pushed
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) dryrun: bool,
    /// Build without pushing
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) no_push: bool,
    /// Write the image as a `docker save` archive
    #[arg(long, alias = "tarPath", value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) tar_path: Option<PathBuf>,
    /// Write the image as an OCI image layout
    #[arg(long, value_name = "DIR", value_parser = path_or_empty())]
    pub(in crate::cli) oci_layout_path: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) digest_files: DigestFileFlags,
    /// Give every new file, layer and history entry the time 0
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) reproducible: bool,
    /// Compression of new layers
    #[arg(long, value_name = "KIND", value_enum)]
    pub(in crate::cli) compression: Option<CompressionName>,
    /// Compression level; below 1: the default
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "-1",
        allow_negative_numbers = true
    )]
    pub(in crate::cli) compression_level: i32,
    /// Media types of the image [default: oci]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(in crate::cli) image_format: Option<FormatName>,
    #[command(flatten)]
    pub(in crate::cli) push: PushFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum CompressionName {
    Gzip,
    Zstd,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum FormatName {
    Docker,
    Oci,
}
