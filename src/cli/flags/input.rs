//! The executor's flags for what is built, word for word.

use clap::Args;

use super::values::go_bool;

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(in crate::cli) struct InputFlags {
    /// Dockerfile, relative to the current directory or else to the context; a URL, or - for standard input
    #[arg(short = 'f', long, value_name = "FILE", default_value = "Dockerfile")]
    pub(in crate::cli) dockerfile: String,
    /// Build context: a directory, dir://DIRECTORY, an archive (tar://FILE, tar://stdin, s3://BUCKET/KEY,
    /// gs://BUCKET/OBJECT, https://), a git repository (git://, https://….git, ssh://, user@host:path), or a Dockerfile
    /// behind https://
    #[arg(
        short = 'c',
        long,
        value_name = "CONTEXT",
        default_value = "/workspace/"
    )]
    pub(in crate::cli) context: String,
    /// Old name for a context in a bucket of Google's: BUCKET[/OBJECT]
    #[arg(
        short = 'b',
        long,
        value_name = "BUCKET",
        default_value = "",
        hide = true
    )]
    pub(in crate::cli) bucket: String,
    /// Directory inside the context that is used as the context
    #[arg(
        long,
        value_name = "DIR",
        default_value = "",
        hide_default_value = true
    )]
    pub(in crate::cli) context_sub_path: String,
    /// What stands in for an image or a stage of the Dockerfile, as NAME=DIR, NAME=docker-image://IMAGE or NAME=oci-layout://DIR[:TAG][@DIGEST]; repeatable
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub(in crate::cli) build_context: Vec<String>,
    /// How a git repository is fetched: branch=NAME, recurse-submodules=BOOL, insecure-skip-tls=BOOL, single-branch=BOOL, depth=NUMBER; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(in crate::cli) git: Vec<String>,
    /// Build argument NAME=VALUE, or NAME with its value from the environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) build_arg: Vec<String>,
    /// Do not build a Dockerfile that lint warns of
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) check_error: bool,
    /// Stage to build; with several, the first is the one that is pushed
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(in crate::cli) target: Vec<String>,
    /// Platform to build for, as OS/ARCH[/VARIANT]; several give an index of images [default: the machine's]
    #[arg(
        long,
        visible_alias = "platform",
        alias = "customPlatform",
        value_name = "PLATFORM",
        value_delimiter = ','
    )]
    pub(in crate::cli) custom_platform: Vec<String>,
    /// Secret for RUN --mount=type=secret: id=ID[,src=FILE][,env=VARIABLE][,type=file|env]; repeatable
    #[arg(long, value_name = "SECRET")]
    pub(in crate::cli) secret: Vec<String>,
    /// SSH agent for RUN --mount=type=ssh: ID with the agent of SSH_AUTH_SOCK, ID=SOCKET, or ID=KEY[,KEY] with key files; repeatable
    #[arg(long, value_name = "ID[=SOCKET|KEY[,KEY]]")]
    pub(in crate::cli) ssh: Vec<String>,
    /// Label NAME=VALUE of the image; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(in crate::cli) label: Vec<String>,
}
