//! The executor's command line, word for word: types as typed, nothing checked against anything else.
//!
//! Names, short forms and defaults are kaniko's (its README, "Additional Flags"), so that a job's
//! `script:` works unchanged. What the values mean is decided once, in `options`.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use super::flag_values::{go_bool, go_duration, path_or_empty, size};
use super::lint_flags::LintFlags;
use super::no_effect::NoEffectFlags;
use super::registry_flags::RegistryFlags;
use super::upkeep_flags::UpkeepCommand;

/// Builds a container image from a Dockerfile and pushes it, without a daemon.
#[derive(Debug, Parser)]
#[command(
    name = "executor",
    version,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  executor --context . --dockerfile Dockerfile --destination registry.example/team/app:1.0"
)]
pub(super) struct ExecutorFlags {
    #[command(subcommand)]
    pub(super) command: Option<ExecutorCommand>,
    #[command(flatten)]
    pub(super) input: InputFlags,
    #[command(flatten)]
    pub(super) output: OutputFlags,
    #[command(flatten)]
    pub(super) registry: RegistryFlags,
    #[command(flatten)]
    pub(super) cache: CacheFlags,
    #[command(flatten)]
    pub(super) place: PlaceFlags,
    #[command(flatten)]
    pub(super) log: LogFlags,
    #[command(flatten)]
    pub(super) no_effect: NoEffectFlags,
}

/// What the executor does instead of a build.
#[derive(Debug, Subcommand)]
pub(super) enum ExecutorCommand {
    /// Print the version
    Version,
    /// Say what could be better in a Dockerfile, without building it or asking a registry
    Lint(LintFlags),
    /// Look after a cache directory
    #[command(subcommand)]
    Cache(UpkeepCommand),
    /// Show how a Dockerfile, a word or an ignore file is read
    #[command(hide = true, subcommand)]
    Debug(DebugCommand),
}

/// What the hidden `debug` command shows.
#[derive(Debug, Subcommand)]
pub(super) enum DebugCommand {
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
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(super) struct InputFlags {
    /// Dockerfile, relative to the current directory or else to the context; a URL, or - for standard input
    #[arg(short = 'f', long, value_name = "FILE", default_value = "Dockerfile")]
    pub(super) dockerfile: String,
    /// Build context: a directory, dir://DIRECTORY, a git repository (git://, https://….git, ssh://, user@host:path), or
    /// an archive or a Dockerfile behind https://
    #[arg(
        short = 'c',
        long,
        value_name = "CONTEXT",
        default_value = "/workspace/"
    )]
    pub(super) context: String,
    /// Directory inside the context that is used as the context
    #[arg(long, value_name = "DIR", default_value = "")]
    pub(super) context_sub_path: String,
    /// What stands in for an image or a stage of the Dockerfile, as NAME=DIR, NAME=docker-image://IMAGE or NAME=oci-layout://DIR[:TAG][@DIGEST]; repeatable
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub(super) build_context: Vec<String>,
    /// How a git repository is fetched: branch=NAME, recurse-submodules=BOOL, single-branch=BOOL; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) git: Vec<String>,
    /// Build argument NAME=VALUE, or NAME with its value from the environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) build_arg: Vec<String>,
    /// Do not build a Dockerfile that lint warns of
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) check_error: bool,
    /// Stage to build; with several, the first is the one that is pushed
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(super) target: Vec<String>,
    /// Platform to build for, as OS/ARCH[/VARIANT] [default: the machine's]
    #[arg(
        long,
        visible_alias = "platform",
        alias = "customPlatform",
        value_name = "PLATFORM"
    )]
    pub(super) custom_platform: Option<String>,
    /// Secret for RUN --mount=type=secret: id=ID[,src=FILE][,env=VARIABLE][,type=file|env]; repeatable
    #[arg(long, value_name = "SECRET")]
    pub(super) secret: Vec<String>,
    /// SSH agent for RUN --mount=type=ssh: ID with the agent of SSH_AUTH_SOCK, ID=SOCKET, or ID=KEY[,KEY] with key files; repeatable
    #[arg(long, value_name = "ID[=SOCKET|KEY[,KEY]]")]
    pub(super) ssh: Vec<String>,
    /// Label NAME=VALUE of the image; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) label: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputFlags {
    /// Reference to push the image to; repeatable
    #[arg(short = 'd', long, value_name = "REFERENCE")]
    pub(super) destination: Vec<String>,
    /// Print what a build would do: no step is executed, no layer pulled, nothing pushed
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) dryrun: bool,
    /// Build without pushing
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) no_push: bool,
    /// Write the image as a `docker save` archive
    #[arg(long, alias = "tarPath", value_name = "FILE", value_parser = path_or_empty())]
    pub(super) tar_path: Option<PathBuf>,
    /// Write the image as an OCI image layout
    #[arg(long, value_name = "DIR", value_parser = path_or_empty())]
    pub(super) oci_layout_path: Option<PathBuf>,
    /// Write the manifest's digest to a file
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(super) digest_file: Option<PathBuf>,
    /// Write a line REPOSITORY@DIGEST for each destination to a file
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(super) image_name_with_digest_file: Option<PathBuf>,
    /// Write a line REPOSITORY:TAG@DIGEST for each destination to a file
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(super) image_name_tag_with_digest_file: Option<PathBuf>,
    /// Give every new file, layer and history entry the time 0
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) reproducible: bool,
    /// Compression of new layers
    #[arg(long, value_name = "KIND", value_enum)]
    pub(super) compression: Option<CompressionName>,
    /// Compression level; below 1: the default
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "-1",
        allow_negative_numbers = true
    )]
    pub(super) compression_level: i32,
    /// Media types of the image [default: oci]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(super) image_format: Option<FormatName>,
    /// Do not check before the build that the destinations may be pushed to
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) skip_push_permission_check: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CompressionName {
    Gzip,
    Zstd,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FormatName {
    Docker,
    Oci,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub(super) struct CacheFlags {
    /// Use the layers of former builds, and keep those of this one [default: only in --cache-dir, if that is given]
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(super) cache: Option<bool>,
    /// Repository where layers are kept for all jobs, or oci:DIR for a directory [default: with --cache, the first destination's repository followed by /cache]
    #[arg(long, value_name = "REPOSITORY")]
    pub(super) cache_repo: Option<String>,
    /// Directory where base images and layers are kept between builds; made if missing [default: /cache, if there is one and --cache is given]
    #[arg(long, value_name = "DIR", value_parser = path_or_empty())]
    pub(super) cache_dir: Option<PathBuf>,
    /// How long what was kept is used, such as 336h or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = go_duration, default_value = "336h", allow_hyphen_values = true)]
    pub(super) cache_ttl: SignedDuration,
    /// Cache the layers of RUN and WORKDIR
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(super) cache_run_layers: bool,
    /// Cache the layers of COPY and ADD [default: in --cache-dir only]
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(super) cache_copy_layers: Option<bool>,
    /// Do not push layers to the cache repository
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) no_push_cache: bool,
    /// Where the contents of RUN --mount=type=cache are kept after a build that has succeeded [default: dir, if the cache directory can be written]
    #[arg(long, value_name = "PLACE", value_enum)]
    pub(super) cache_mounts: Option<CacheMountsPlace>,
    /// What one of them may have: more is not kept
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2GB")]
    pub(super) cache_mounts_max_size: u64,
    /// Say of each step why it was found in the cache or not
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) explain_cache: bool,
    /// Keep layers of base images unpacked in the cache directory, where it can be written and steps run on overlays
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(super) cache_unpacked: bool,
}

/// Where cache mounts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CacheMountsPlace {
    /// Nowhere.
    Off,
    /// In the cache directory.
    Dir,
    /// In the cache repository.
    Registry,
}

impl CacheFlags {
    /// Returns the directory that was named. An empty value is an unset one: scripts write `--cache-dir=$DIR`.
    pub(super) fn dir(&self) -> Option<&Path> {
        let given = self.cache_dir.as_deref();
        given.filter(|path| !path.as_os_str().is_empty())
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where steps run")]
pub(super) struct PlaceFlags {
    /// How RUN is isolated: auto, ns, userns, inplace, chroot or none
    #[arg(
        long,
        value_name = "MODE",
        env = "SAWAGANI_ISOLATION",
        default_value = "auto"
    )]
    pub(super) isolation: String,
    /// Directory for the files of a build [default: the first of $TMPDIR, /var/tmp, /tmp, the tool's directory and the mounted disks that can hold overlays, else the first that can be written to]
    #[arg(long, value_name = "DIR", value_parser = path_or_empty(), env = "SAWAGANI_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Allow --isolation=inplace in any container: its files are moved aside while a RUN is executed
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) in_place: bool,
    /// The tool's own directory, which stays in place and out of images [default: /kaniko]
    #[arg(long, value_name = "DIR", value_parser = path_or_empty(), env = "KANIKO_DIR")]
    pub(super) kaniko_dir: Option<PathBuf>,
    /// Path that is part of no layer; repeatable
    #[arg(long, value_name = "PATH")]
    pub(super) ignore_path: Vec<PathBuf>,
    /// How files are kept: auto, overlay or tree
    #[arg(long, value_name = "KIND", default_value = "auto", hide = true)]
    pub(super) storage: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct LogFlags {
    /// Least severe messages to show
    #[arg(
        short = 'v',
        long,
        value_name = "LEVEL",
        value_enum,
        default_value = "info"
    )]
    pub(super) verbosity: Verbosity,
    /// Form of the log
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "color")]
    pub(super) log_format: LogFormat,
    /// Show the time with each line
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(super) log_timestamp: bool,
}

/// How much is logged, by kaniko's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Verbosity {
    Panic,
    Fatal,
    Error,
    #[value(alias = "warning")]
    Warn,
    Info,
    Debug,
    Trace,
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Color,
    Json,
}

/// kaniko's and BuildKit's flags that are missing here: refused by name, so that nobody is told "ok" about
/// something that was ignored.
pub(super) const NOT_YET_SUPPORTED: [&str; 8] = [
    "annotation",
    "bucket",
    "credential-helpers",
    "image-download-retry",
    "image-fs-extract-retry",
    "push-ignore-immutable-tag-errors",
    "push-retry",
    "single-snapshot",
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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

    #[test]
    fn a_flag_is_either_supported_or_named_as_not_yet() {
        let command = ExecutorFlags::command();
        for name in NOT_YET_SUPPORTED {
            let known = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(name));
            assert!(!known, "--{name} is both");
        }
    }
}
