//! The words of `executor index`.

use std::path::PathBuf;

use clap::Args;

use super::values::path_or_empty;
use super::{DigestFileFlags, FormatName, LogFlags, PushFlags, RegistryFlags};

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct IndexFlags {
    /// Images or indexes: REFERENCE, oci-layout://PATH[:TAG][@DIGEST], or the path of a layout or an archive, which begins with / or .
    #[arg(value_name = "SOURCE", required = true)]
    pub(in crate::cli) sources: Vec<String>,
    /// Reference to push the index to; repeatable
    #[arg(short = 'd', long, value_name = "REFERENCE")]
    pub(in crate::cli) destination: Vec<String>,
    /// Annotation NAME=VALUE of the index, or after `index-descriptor:` or `manifest-descriptor[PLATFORM]:` of what points at
    /// it or at its images; repeatable
    #[arg(long, value_name = "[TYPE:]NAME=VALUE")]
    pub(in crate::cli) annotation: Vec<String>,
    /// Media types that the images must have [default: those of the first]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(in crate::cli) image_format: Option<FormatName>,
    /// Write the index and its images as an OCI image layout
    #[arg(long, value_name = "DIR", value_parser = path_or_empty())]
    pub(in crate::cli) oci_layout_path: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) digest_files: DigestFileFlags,
    #[command(flatten)]
    pub(in crate::cli) push: PushFlags,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryFlags,
    #[command(flatten)]
    pub(in crate::cli) log: LogFlags,
}
