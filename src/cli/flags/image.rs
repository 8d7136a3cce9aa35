//! The words of `executor inspect` and `executor unpack`: an image that is there already.

use std::path::PathBuf;

use clap::Args;

use super::registry::PullFlags;

/// Which image.
#[derive(Debug, Args)]
#[command(next_help_heading = "Image")]
pub(in crate::cli) struct ImageFlags {
    /// Reference in a registry; an OCI layout (directory or tar) or a tar of `docker save`, by its path; or
    /// oci-layout://PATH[:TAG][@DIGEST] for one image of several
    #[arg(value_name = "IMAGE")]
    pub(in crate::cli) image: String,
    /// Platform whose image is meant, as OS/ARCH[/VARIANT], where there are several
    #[arg(
        long,
        visible_alias = "platform",
        alias = "customPlatform",
        value_name = "PLATFORM"
    )]
    pub(in crate::cli) custom_platform: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) registry: PullFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct InspectFlags {
    #[command(flatten)]
    pub(in crate::cli) image: ImageFlags,
    /// Print the manifest or index exactly as it is stored
    #[arg(long, conflicts_with = "config", help_heading = "Output")]
    pub(in crate::cli) raw: bool,
    /// Print the config exactly as it is stored
    #[arg(long, help_heading = "Output")]
    pub(in crate::cli) config: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct UnpackFlags {
    #[command(flatten)]
    pub(in crate::cli) image: ImageFlags,
    /// Directory for the files; must be empty or not there
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Output")]
    pub(in crate::cli) output: PathBuf,
}
