//! The words of `executor login` and `executor logout`.

use clap::Args;

use super::values::go_bool;

#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub(in crate::cli) struct LoginFlags {
    /// The registry, as HOST[:PORT]
    pub(in crate::cli) registry: String,
    /// The user's name
    #[arg(short = 'u', long, value_name = "NAME")]
    pub(in crate::cli) username: String,
    /// The password, which lists of processes show: --password-stdin is better
    #[arg(
        short = 'p',
        long,
        value_name = "TEXT",
        conflicts_with = "password_stdin"
    )]
    pub(in crate::cli) password: Option<String>,
    /// Read the password from standard input
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) password_stdin: bool,
    /// Keep the login without asking the registry whether it is right
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) skip_verify: bool,
    /// Ask over plain HTTP
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) insecure: bool,
    /// Accept any TLS certificate
    #[arg(long, value_name = "BOOL", value_parser = go_bool, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    pub(in crate::cli) skip_tls_verify: bool,
    /// Certificate authority of the registry, as HOST=FILE; repeatable
    #[arg(long, value_name = "HOST=FILE")]
    pub(in crate::cli) registry_certificate: Vec<String>,
    /// Certificate and key to show to the registry, as HOST=CERTIFICATE,KEY; repeatable
    #[arg(long, value_name = "HOST=FILE,FILE")]
    pub(in crate::cli) registry_client_cert: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LogoutFlags {
    /// The registry, as HOST[:PORT]
    pub(in crate::cli) registry: String,
}
