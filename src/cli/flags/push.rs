//! The words of pushing: the executor's own, and those of `executor push`.

use std::path::PathBuf;

use clap::Args;

use super::log::LogFlags;
use super::registry::RegistryFlags;
use super::values::{go_bool, path_or_empty};

/// How an image is pushed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct PushFlags {
    /// Do not check beforehand that the destinations may be pushed to
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) skip_push_permission_check: bool,
    /// Further attempts of a push that failed, after 1 s, 2 s, 4 s, …
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub(in crate::cli) push_retry: u32,
    /// Take it for success when a tag exists and cannot be overwritten
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) push_ignore_immutable_tag_errors: bool,
}

/// Files that say what was pushed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct DigestFileFlags {
    /// Write the manifest's digest to a file; a build can also send it to an https:// URL (PUT)
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) digest_file: Option<PathBuf>,
    /// Write a line REPOSITORY@DIGEST for each destination to a file
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) image_name_with_digest_file: Option<PathBuf>,
    /// Write a line REPOSITORY:TAG@DIGEST for each destination to a file
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(in crate::cli) image_name_tag_with_digest_file: Option<PathBuf>,
}

/// `executor push`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PushCommandFlags {
    /// OCI image layout, a tar of one, or a `docker save` archive, with one image or index in it; of several,
    /// oci-layout://PATH:TAG or oci-layout://PATH@DIGEST says which
    pub(in crate::cli) source: PathBuf,
    /// Reference to push the image to; repeatable
    #[arg(short = 'd', long, value_name = "REFERENCE", help_heading = "Output")]
    pub(in crate::cli) destination: Vec<String>,
    /// Push the image for one platform, as OS/ARCH[/VARIANT], instead of a whole index
    #[arg(long, value_name = "PLATFORM", help_heading = "Output")]
    pub(in crate::cli) platform: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) digest_files: DigestFileFlags,
    #[command(flatten)]
    pub(in crate::cli) push: PushFlags,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryFlags,
    #[command(flatten)]
    pub(in crate::cli) log: LogFlags,
}
