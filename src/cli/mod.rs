//! What a user types and reads: flags, options, progress, errors, exit codes.
//!
//! The only room that prints, and that reads arguments or the environment.

mod annotation_options;
mod cache_options;
mod context_options;
pub mod debug;
mod delivery_options;
mod dry_run;
mod environment;
mod execute;
mod executor;
mod existing_image;
mod flags;
mod inspect;
mod lint;
mod log;
mod mount_options;
mod options;
mod output_options;
mod output_spec;
mod progress;
mod registry_options;
mod remote_context;
mod report;
mod step_cache_options;
mod unpack;
mod upkeep;
mod warm;

pub use executor::run_executor;
pub use warm::run_warmer;
