//! Sawagani builds container images from a Dockerfile without a daemon.
pub mod cli;
pub mod build;
pub mod output;
pub mod cache;
pub mod context;
pub mod snapshot;
pub mod sandbox;
pub mod registry;
pub mod image;
pub mod fs;
pub mod dockerfile;
pub mod sys;
