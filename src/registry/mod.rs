//! The distribution protocol: how images come from and go to a registry.
//!
//! [`Registries`] makes clients, one [`Registry`] per host; a [`Repository`] is one name on a host and does the work:
//!
//! ```text
//! RegistryOptions ──Registries──▶ Repository ──resolve, fetch_manifest, fetch_config, open_blob──▶ bytes, verified
//!                                            ◀──push_blob, put_manifest────────────────────────── bytes, streamed
//!                    request by request: transport (redirects, connections) ── auth (challenge, token, credentials) ── retry
//! ```
//!
//! This room knows no stage, no cache and no Dockerfile; it reads neither environment nor arguments, and prints nothing:
//! what it has to say is a return value or a `tracing` event.

pub mod credentials;
pub mod error;
pub mod options;
pub mod pull;
pub mod push;

mod auth;
mod blob_reader;
mod certs_dir;
mod challenge;
mod client;
mod exchange;
mod host;
mod pool;
mod referrers;
mod request;
mod response;
mod scope;
#[cfg(test)]
mod scripted_server;
mod token;
mod transport;
mod upload;
mod upload_session;
mod warnings;

pub use crate::http::{Password, TlsSetupError, Token};
pub use blob_reader::BlobReader;
pub use client::{Registry, Repository};
pub use credentials::{DockerConfig, Keychain, Source};
pub use error::{ErrorKind, RegistryError, TlsTrouble};
pub use options::{Purpose, RegistryOptions};
pub use pool::Registries;
