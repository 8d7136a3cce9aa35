//! Sawagani builds container images from a Dockerfile without a daemon.
pub mod build;
pub mod cache;
pub mod cli;
pub mod context;
pub mod dockerfile;
pub mod fs;
pub mod image;
pub mod output;
pub mod registry;
pub mod sandbox;
pub mod snapshot;
pub mod sys;
