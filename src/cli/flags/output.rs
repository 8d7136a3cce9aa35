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
    /// Write what was built elsewhere than to a registry, as buildx does; repeatable: a directory for the image's files,
    /// `-` for a tar of them on standard output, or type=local|tar|oci|docker|image|registry with dest=, name=, push=, …
    #[arg(short = 'o', long, value_name = "OUTPUT")]
    pub(in crate::cli) output: Vec<String>,
    /// Write the image as a `docker save` archive; `-`: to standard output
    #[arg(long, alias = "tarPath", value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) tar_path: Option<PathBuf>,
    /// Write the image as an OCI image layout
    #[arg(long, value_name = "DIR", value_parser = path_or_empty())]
    pub(in crate::cli) oci_layout_path: Option<PathBuf>,
    /// Annotation KEY=VALUE of the image's manifest, or as in buildx of what stands before it: manifest[PLATFORM]:,
    /// manifest-descriptor[PLATFORM]:, index: or index-descriptor:; repeatable
    #[arg(long, value_name = "[TYPE:]KEY=VALUE")]
    pub(in crate::cli) annotation: Vec<String>,
    /// Write what was built to a file as JSON, with BuildKit's keys
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) metadata_file: Option<PathBuf>,
    /// Write the image's ID, the digest of its config or of the index, to a file
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) iidfile: Option<PathBuf>,
    /// Write IMAGE_REF, IMAGE_NAME, IMAGE_TAG, IMAGE_DIGEST and IMAGE_ID to a file that GitLab takes variables from
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) dotenv_file: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) digest_files: DigestFileFlags,
    /// Give every new file, layer and history entry the time 0
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) reproducible: bool,
    /// Give each stage one layer, of what its instructions change together: what is deleted again is in no layer
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) single_snapshot: bool,
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
