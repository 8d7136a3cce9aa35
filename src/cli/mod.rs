//! What a user types and reads: flags, options, progress, errors, exit codes.
//!
//! The only room that prints, and that reads arguments or the environment.

mod cache_options;
mod context_options;
pub mod debug;
mod dry_run;
mod environment;
mod execute;
mod flag_values;
mod flags;
mod lint;
mod lint_flags;
mod log;
mod mount_options;
mod no_effect;
mod options;
mod progress;
mod registry_flags;
mod registry_options;
mod remote_context;
mod report;
mod step_cache_options;
mod upkeep;
mod upkeep_flags;
mod warm;
mod warmer_flags;

pub use execute::run_executor;
pub use warm::run_warmer;
