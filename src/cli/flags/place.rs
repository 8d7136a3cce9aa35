//! The executor's flags for where its steps run, word for word.

use std::path::PathBuf;

use clap::Args;

use super::values::{go_bool, path_or_empty};

#[derive(Debug, Args)]
#[command(next_help_heading = "Where steps run")]
pub(in crate::cli) struct PlaceFlags {
    /// How RUN is isolated: auto, ns, userns, inplace, chroot or none
    #[arg(
        long,
        value_name = "MODE",
        env = "SAWAGANI_ISOLATION",
        default_value = "auto"
    )]
    pub(in crate::cli) isolation: String,
    /// Directory for the files of a build [default: the first of $TMPDIR, /var/tmp, /tmp, the tool's directory and the mounted disks that can hold overlays, else the first that can be written to]
    #[arg(long, value_name = "DIR", value_parser = path_or_empty(), env = "SAWAGANI_STATE_DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
    /// Allow --isolation=inplace in any container: its files are moved aside while a RUN is executed
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) in_place: bool,
    /// The tool's own directory, which stays in place and out of images [default: /kaniko]
    #[arg(long, value_name = "DIR", value_parser = path_or_empty(), env = "KANIKO_DIR")]
    pub(in crate::cli) kaniko_dir: Option<PathBuf>,
    /// Path that is part of no layer, with all below it; its components may be patterns; repeatable
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) ignore_path: Vec<PathBuf>,
    /// How files are kept: auto, overlay or tree
    #[arg(long, value_name = "KIND", default_value = "auto", hide = true)]
    pub(in crate::cli) storage: String,
}
