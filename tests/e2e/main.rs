//! Whole builds: the real `executor`, real registries, real base images, and other tools that read the result.
//!
//! One binary for all topics, so that it is linked once. `support` says what the tests stand on.

#[path = "../support/mod.rs"]
mod support;

mod harness;
