//! What a user types and reads: flags, options, progress, errors, exit codes.
//!
//! The only room that prints, and that reads arguments or the environment.

mod environment;
mod flags;
mod progress;
mod report;
