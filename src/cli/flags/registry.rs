//! The words that say how registries are spoken to: the executor's, and those for pulling, which both programs have.

use clap::Args;

use super::values::go_bool;

#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub(in crate::cli) struct RegistryFlags {
    /// Push over plain HTTP
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) insecure: bool,
    /// Accept any TLS certificate
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) skip_tls_verify: bool,
    /// How often a base image is asked for again, whatever went wrong
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub(in crate::cli) image_download_retry: i64,
    /// How often the layers of a base image are fetched and unpacked again, whatever went wrong
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub(in crate::cli) image_fs_extract_retry: i64,
    #[command(flatten)]
    pub(in crate::cli) pull: PullFlags,
}

/// What both programs know of pulling.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub(in crate::cli) struct PullFlags {
    /// Pull over plain HTTP
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) insecure_pull: bool,
    /// Registry to speak plain HTTP to; repeatable
    #[arg(long, value_name = "HOST")]
    pub(in crate::cli) insecure_registry: Vec<String>,
    /// Accept any TLS certificate when pulling
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) skip_tls_verify_pull: bool,
    /// Registry whose TLS certificate is not checked; repeatable
    #[arg(long, value_name = "HOST")]
    pub(in crate::cli) skip_tls_verify_registry: Vec<String>,
    /// Certificate authority of a registry, as HOST=FILE; repeatable
    #[arg(long, value_name = "HOST=FILE")]
    pub(in crate::cli) registry_certificate: Vec<String>,
    /// Certificate and key to show to a registry, as HOST=CERTIFICATE,KEY; repeatable
    #[arg(long, value_name = "HOST=FILE,FILE")]
    pub(in crate::cli) registry_client_cert: Vec<String>,
    /// Registry to pull from instead, as HOST=MIRROR[/PREFIX][;HOST=…]; several for a host are asked in their order; repeatable
    #[arg(long, value_name = "HOST=MIRROR")]
    pub(in crate::cli) registry_map: Vec<String>,
    /// Mirror of Docker Hub, as MIRROR[/PREFIX]; repeatable
    #[arg(long, value_name = "MIRROR")]
    pub(in crate::cli) registry_mirror: Vec<String>,
    /// Do not ask a registry itself when its mirrors fail
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) skip_default_registry_fallback: bool,
    /// Where else than in configuration files credentials are looked for: env, google, ecr, acr, gitlab, or nothing; repeatable
    /// [default: all]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) credential_helpers: Option<Vec<String>>,
}
