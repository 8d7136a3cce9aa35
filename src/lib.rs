//! Sawagani builds container images from a Dockerfile, without a daemon and without privileges.
//!
//! The way data takes, top to bottom:
//!
//! ```text
//! argv, env ──cli──▶ BuildOptions
//! Dockerfile text ──dockerfile──▶ stages of instructions, with their places
//!                  ──build::plan──▶ the stages that the target needs, each with its steps
//! steps ──sandbox──▶ Rootfs: RUN in it, COPY into it
//! Rootfs ──snapshot──▶ changes ──image::layer_writer──▶ layer: tar → diff ID → gzip|zstd → digest
//! layers + config ──output──▶ registry, OCI layout, docker archive, digest files
//! ```
//!
//! Each module imports only from those below it; `tests/imports.rs` holds the order.

// A build that waits for a push that waits for an answer is a future of many futures: 128 levels are not enough.
#![recursion_limit = "256"]

pub mod cli;

pub mod build;

pub mod cache;
pub mod output;

pub mod context;
pub mod registry;
pub mod remote;
pub mod sandbox;
pub mod snapshot;

pub mod cloud;
pub mod image;

pub mod fs;
pub mod http;

pub mod dockerfile;
pub mod sys;
