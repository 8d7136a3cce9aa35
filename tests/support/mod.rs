//! What the end-to-end tests stand on: real registries, real base images, the real programs, and an oracle.
//!
//! Nothing here uses the library under test: images are made and read by other tools (skopeo, umoci, runc, tar)
//! or by code of its own, so that a mistake of ours cannot agree with itself.
//!
//! A test reads: start a `Registry`, push a base, write a `Context`, run the `Executor` as root or as an ordinary
//! user, and end with `check_image`. All of it needs root and the packages that `.ci/run` installs; whatever is
//! missing fails the test by name.

pub(crate) mod account;
pub(crate) mod base_image;
pub(crate) mod cache;
pub(crate) mod cache_dir;
pub(crate) mod container;
pub(crate) mod context;
pub(crate) mod crafted;
pub(crate) mod entry;
pub(crate) mod executor;
pub(crate) mod file_server;
pub(crate) mod forward_proxy;
pub(crate) mod git_repository;
pub(crate) mod harness;
pub(crate) mod image;
pub(crate) mod index;
pub(crate) mod layer_rules;
pub(crate) mod leaks;
pub(crate) mod nginx;
pub(crate) mod oracle;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod site;
pub(crate) mod small_disk;
pub(crate) mod stores;
pub(crate) mod test_dir;
pub(crate) mod token_server;
pub(crate) mod tool;
pub(crate) mod tree;

pub(crate) use account::Who;
pub(crate) use base_image::{Base, BaseImage};
pub(crate) use context::Context;
pub(crate) use crafted::{CraftedImage, Encoding, Family, LayerTar};
pub(crate) use entry::Kind;
pub(crate) use executor::Executor;
pub(crate) use file_server::{FileServer, GitDaemon};
pub(crate) use forward_proxy::ForwardProxy;
pub(crate) use git_repository::GitRepository;
pub(crate) use image::Image;
pub(crate) use nginx::Nginx;
pub(crate) use oracle::check_image;
pub(crate) use proxy::{Proxy, Verdict};
pub(crate) use registry::Registry;
pub(crate) use site::Site;
pub(crate) use test_dir::TestDir;
pub(crate) use token_server::TokenServer;
pub(crate) use tree::Tree;
