//! The executor's command line, word for word: types as typed, nothing checked against anything else.
//!
//! Names, short forms and defaults are kaniko's (its README, "Additional Flags"), so that a job's
//! `script:` works unchanged. What the values mean is decided once, in `options`.

mod cache;
mod examples;
mod image;
mod index;
mod input;
mod lint;
mod log;
mod login;
mod no_effect;
mod output;
mod place;
mod push;
mod registry;
mod shells;
mod upkeep;
mod values;
mod warmer;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(in crate::cli) use cache::{CacheFlags, CacheMountsPlace};
pub(in crate::cli) use image::{ImageFlags, InspectFlags, UnpackFlags};
pub(in crate::cli) use index::IndexFlags;
pub(in crate::cli) use input::InputFlags;
pub(in crate::cli) use lint::{LintFlags, LintFormat};
pub(in crate::cli) use log::{LogFlags, LogFormat, Verbosity};
pub(in crate::cli) use login::{LoginFlags, LogoutFlags};
pub(in crate::cli) use no_effect::NoEffectFlags;
pub(in crate::cli) use output::{CompressionName, FormatName, OutputFlags};
pub(in crate::cli) use place::PlaceFlags;
pub(in crate::cli) use push::{DigestFileFlags, PushCommandFlags, PushFlags};
pub(in crate::cli) use registry::{PullFlags, RegistryFlags};
pub(in crate::cli) use shells::CompletionFlags;
pub(in crate::cli) use upkeep::{DirFlag, PruneFlags, UpkeepCommand, VerifyFlags};
pub(in crate::cli) use values::go_bool;
pub(in crate::cli) use warmer::{WarmerCommand, WarmerFlags};

/// Builds a container image from a Dockerfile and pushes it, without a daemon.
#[derive(Debug, Parser)]
#[command(
    name = "executor",
    version,
    // As Go's flags: the last of several values counts, where a flag has only one.
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    after_help = examples::EXECUTOR,
    after_long_help = examples::with_flags_without_effect(examples::EXECUTOR)
)]
pub(in crate::cli) struct ExecutorFlags {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<ExecutorCommand>,
    #[command(flatten)]
    pub(in crate::cli) input: InputFlags,
    #[command(flatten)]
    pub(in crate::cli) output: OutputFlags,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryFlags,
    #[command(flatten)]
    pub(in crate::cli) cache: CacheFlags,
    #[command(flatten)]
    pub(in crate::cli) place: PlaceFlags,
    #[command(flatten)]
    pub(in crate::cli) log: LogFlags,
    #[command(flatten)]
    pub(in crate::cli) no_effect: NoEffectFlags,
}

/// What the executor does instead of a build.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ExecutorCommand {
    /// Print the version
    Version,
    /// Say what could be better in a Dockerfile, without building it or asking a registry
    #[command(after_help = examples::LINT)]
    Lint(LintFlags),
    /// Print what an image in a registry or a file says of itself, as JSON
    #[command(after_help = examples::INSPECT)]
    Inspect(InspectFlags),
    /// Unpack the files of an image into a directory, without any rights
    #[command(after_help = examples::UNPACK)]
    Unpack(UnpackFlags),
    /// Push an image that lies in a file
    #[command(args_override_self = true, after_help = examples::PUSH)]
    Push(Box<PushCommandFlags>),
    /// Join images that were built apart, for a platform each, into one index
    #[command(args_override_self = true, after_help = examples::INDEX)]
    Index(Box<IndexFlags>),
    /// Keep the login of a registry in docker's configuration file
    #[command(after_help = examples::LOGIN)]
    Login(LoginFlags),
    /// Forget the login of a registry
    Logout(LogoutFlags),
    /// Look after a cache directory
    #[command(subcommand, after_help = examples::CACHE)]
    Cache(UpkeepCommand),
    /// Print the script that completes this program's words in a shell
    #[command(after_help = examples::COMPLETION)]
    Completion(CompletionFlags),
    /// Show how a Dockerfile, a word or an ignore file is read
    #[command(hide = true, subcommand)]
    Debug(DebugCommand),
}

/// What the hidden `debug` command shows.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DebugCommand {
    /// Print a Dockerfile's instructions as JSON
    Ast {
        /// The Dockerfile
        file: PathBuf,
    },
    /// Expand the variables of one word
    Expand {
        /// The word
        word: String,
        /// The variables, as NAME=value
        variables: Vec<String>,
    },
    /// Say whether an ignore file excludes a path
    Ignore {
        /// The ignore file
        file: PathBuf,
        /// The path, relative to the context
        path: String,
    },
    /// Write the man pages and completions of both programs below a directory, as packages have them in /usr/share
    Docs {
        /// The directory; made if missing
        dir: PathBuf,
    },
}

#[cfg(test)]
mod help_texts;
#[cfg(test)]
mod spellings;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use jiff::SignedDuration;

    #[test]
    fn the_command_line_is_consistent() {
        ExecutorFlags::command().debug_assert();
    }

    #[test]
    fn booleans_are_read_as_go_reads_them() {
        let cases = [
            (vec!["executor"], false),
            (vec!["executor", "--no-push"], true),
            (vec!["executor", "--no-push=1"], true),
            (vec!["executor", "--no-push=False"], false),
        ];
        for (arguments, expected) in cases {
            let flags = ExecutorFlags::try_parse_from(&arguments).unwrap();
            assert_eq!(flags.output.no_push, expected, "{arguments:?}");
        }
        assert!(ExecutorFlags::try_parse_from(["executor", "--no-push=yes"]).is_err());
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let parse = |value: &str| {
            let flags = ExecutorFlags::try_parse_from(["executor", "--cache-ttl", value]);
            flags.map(|flags| flags.cache.cache_ttl)
        };
        assert_eq!(parse("1h30m").unwrap(), SignedDuration::from_mins(90));
        assert_eq!(parse("300ms").unwrap(), SignedDuration::from_millis(300));
        assert_eq!(parse("-1s").unwrap(), SignedDuration::from_secs(-1));
        assert!(parse("14d").is_err());
        let flags = ExecutorFlags::try_parse_from(["executor"]).unwrap();
        assert_eq!(flags.cache.cache_ttl, SignedDuration::from_hours(336));
    }

    #[test]
    fn a_path_may_be_empty() {
        let flags = [
            "--tar-path",
            "--digest-file",
            "--state-dir",
            "--kaniko-dir",
            "--cache-dir",
        ];
        for flag in flags {
            let argument = format!("{flag}=");
            assert!(ExecutorFlags::try_parse_from(["executor", &argument]).is_ok());
        }
    }
}
