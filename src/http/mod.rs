//! What everybody needs who speaks HTTP: clients with their TLS, proxies and time limits, trying again, and what may be
//! shown of a request.
//!
//! This room knows no protocol on top of HTTP, and sends nothing itself.

pub mod options;
pub mod retry;

mod call;
mod client;
mod failure;
mod no_proxy;
mod secret;
mod tls;
mod untrusted;

pub use call::Call;
pub use client::{ClientSettings, http_client};
pub use failure::{TlsTrouble, says_nothing, tls_failure, tls_trouble};
pub use secret::{Password, Token};
pub use tls::{TlsSettings, TlsSetupError, system_roots};
pub use untrusted::Untrusted;
