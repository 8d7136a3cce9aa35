//! The warmer's command line, word for word. Names, short forms and defaults are kaniko's.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use jiff::SignedDuration;

use super::super::cache_options::DEFAULT_DIR;
use super::examples;
use super::log::LogFlags;
use super::registry::PullFlags;
use super::shells::CompletionFlags;
use super::values::{go_bool, go_duration, path_or_empty};

/// Pulls images into a directory, from which the executor takes them.
#[derive(Debug, Parser)]
#[command(
    name = "warmer",
    version,
    // As Go's flags: the last of several values counts, where a flag has only one.
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    after_help = examples::WARMER,
    next_help_heading = "Images"
)]
pub(in crate::cli) struct WarmerFlags {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<WarmerCommand>,
    /// Image to pull; repeatable
    #[arg(short = 'i', long, value_name = "REFERENCE")]
    pub(in crate::cli) image: Vec<String>,
    /// Dockerfile, all of whose images are pulled; an http:// or https:// URL, or `-` for standard input, will do
    #[arg(
        short = 'd',
        long,
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    pub(in crate::cli) dockerfile: String,
    /// Build argument NAME=VALUE, or NAME with its value from the environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) build_arg: Vec<String>,
    /// Directory to fill; made if missing
    #[arg(short = 'c', long, help_heading = "Cache", value_name = "DIR", value_parser = path_or_empty(), default_value = DEFAULT_DIR)]
    pub(in crate::cli) cache_dir: PathBuf,
    /// Age from which on an image is pulled again, such as 336h or 1h30m
    #[arg(long, help_heading = "Cache", value_name = "DURATION", value_parser = go_duration, default_value = "336h", allow_hyphen_values = true)]
    pub(in crate::cli) cache_ttl: SignedDuration,
    /// Pull also what is there already
    #[arg(short = 'f', long, help_heading = "Cache", value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) force: bool,
    /// Platforms of the images, as OS/ARCH[/VARIANT] [default: the machine's]
    #[arg(
        long,
        visible_alias = "platform",
        alias = "customPlatform",
        value_name = "PLATFORM",
        value_delimiter = ','
    )]
    pub(in crate::cli) custom_platform: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) registry: PullFlags,
    #[command(flatten)]
    pub(in crate::cli) log: LogFlags,
}

/// What the warmer does instead.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WarmerCommand {
    /// Print the version
    Version,
    /// Print the script that completes this program's words in a shell
    #[command(after_help = examples::WARMER_COMPLETION)]
    Completion(CompletionFlags),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        WarmerFlags::command().debug_assert();
    }

    #[test]
    fn short_forms_and_spellings_are_kanikos() {
        let arguments = [
            "warmer",
            "-i",
            "a",
            "-i",
            "b",
            "-d",
            "f",
            "-c",
            "/d",
            "-f",
            "--customPlatform",
            "linux/arm64",
            "-v",
            "debug",
        ];
        let flags = WarmerFlags::try_parse_from(arguments).unwrap();
        assert_eq!(flags.image, ["a", "b"]);
        assert_eq!((flags.dockerfile.as_str(), flags.force), ("f", true));
        assert_eq!(flags.cache_dir, PathBuf::from("/d"));
        assert_eq!(flags.custom_platform, ["linux/arm64"]);
        let flags = WarmerFlags::try_parse_from(["warmer"]).unwrap();
        assert_eq!(flags.cache_dir, PathBuf::from(DEFAULT_DIR));
        assert_eq!(flags.cache_ttl, SignedDuration::from_hours(336));
    }
}
