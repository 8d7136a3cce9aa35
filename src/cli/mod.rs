//! What a user types and reads: flags, options, progress, errors, exit codes.
//!
//! The only room that prints, and that reads arguments or the environment.

mod annotation_options;
mod cache_options;
mod cloud_options;
mod context_options;
mod credential_files;
mod credential_options;
pub mod debug;
mod delivery_options;
mod dry_run;
mod environment;
mod execute;
mod executor;
mod existing_image;
mod flags;
mod git_options;
mod index;
mod inspect;
mod kaniko_variables;
mod lint;
mod lint_input;
mod log;
mod login;
mod manual;
mod mount_options;
mod options;
mod output_options;
mod output_spec;
mod platform_options;
mod progress;
mod push;
mod push_options;
mod registry_hint;
mod registry_options;
mod remote_context;
mod report;
mod runtime;
mod step_cache_options;
mod unpack;
mod upkeep;
mod warm;

pub use executor::run_executor;
pub use warm::run_warmer;
