//! The caches as processes and registries meet them: the real registry server, one that says no, and processes that race
//! and are killed.

mod bases;
mod layers;
mod mounts;
mod processes;
mod registry;
#[path = "../registry_server/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod registry_server;
mod scripted;
mod steps;
