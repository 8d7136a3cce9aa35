//! What the user decided about files from elsewhere. This module holds decisions; it must not read files, flags or the
//! environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::object::StoreVariables;
use crate::cloud::CloudIdentity;
use crate::http::options::{ClientCertificate, ProxyOptions, RetryPolicy, SystemRoots, Timeouts};

/// How servers of files and repositories are spoken to. Keys of the maps are hosts, with a port where it is not the
/// usual one.
#[derive(Clone, Debug, Default)]
pub struct RemoteOptions {
    /// PEM files with further roots, for that host only.
    pub certificates: BTreeMap<String, Vec<PathBuf>>,
    /// What we show to that host only.
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// Hosts whose certificates go unchecked.
    pub unverified: BTreeSet<String>,
    /// Where the system's roots are.
    pub system_roots: SystemRoots,
    /// Which proxies to go through. Loopback hosts are always reached directly.
    pub proxy: ProxyOptions,
    /// How often, and how patiently.
    pub retry: RetryPolicy,
    /// How long.
    pub timeouts: Timeouts,
    /// The socket of the SSH agent that `ssh` may use. `None` where the user gave none.
    pub ssh_agent: Option<PathBuf>,
    /// Files of private keys that `ssh` is to use, and no others. Empty where the user gave none.
    pub ssh_keys: Vec<PathBuf>,
    /// Where object stores are.
    pub object_stores: StoreVariables,
    /// Who the job is at the clouds whose stores are opened.
    pub cloud: CloudIdentity,
}
