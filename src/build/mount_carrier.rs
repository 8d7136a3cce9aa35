//! Cache mounts that are carried from one build to the next: filled before their first use, and kept after a build that
//! has succeeded.
//!
//! Nothing here fails a build: a cache that cannot be had is empty, and one that cannot be kept is as it was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::cache::cache_mounts::{CacheMounts, Kept, MountName};
use crate::fs::Root;
use crate::image::blob_store::BlobStore;
use crate::image::{Digest, Platform};
use crate::sandbox::Sandbox;

use super::cache_dirs::CacheDirs;
use super::{Event, Progress};

/// Where cache mounts are kept, and how much of each.
pub struct CarriedMounts {
    /// Where their archives are.
    pub mounts: CacheMounts,
    /// What a mount may have, in bytes of files: a larger one is not kept.
    pub limit: u64,
}

/// The cache mounts of one build, on their way.
pub(super) struct MountCarrier {
    carried: CarriedMounts,
    sandbox: Sandbox,
    blobs: Arc<BlobStore>,
    platform: Platform,
    progress: Progress,
    runtime: Handle,
    /// By the names of the caches.
    arriving: Mutex<BTreeMap<String, JoinHandle<Option<Arrived>>>>,
    /// What they were filled with.
    filled: Mutex<BTreeMap<String, Digest>>,
    /// Archives begun so far: part of temporary names.
    packed: AtomicUsize,
}

/// What was kept of a mount, in a directory of its own.
struct Arrived {
    directory: Root,
    tar: Digest,
}

impl MountCarrier {
    /// Must be called in the build's runtime.
    pub(super) fn new(
        carried: CarriedMounts,
        sandbox: &Sandbox,
        blobs: Arc<BlobStore>,
        platform: &Platform,
        progress: &Progress,
    ) -> Self {
        Self {
            carried,
            sandbox: sandbox.clone(),
            blobs,
            platform: platform.clone(),
            progress: Arc::clone(progress),
            runtime: Handle::current(),
            arriving: Mutex::default(),
            filled: Mutex::default(),
            packed: AtomicUsize::new(0),
        }
    }

    /// Begins to fetch what is kept of a cache, beside whatever else goes on.
    pub(super) fn expect(&self, name: &str) {
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        if arriving.contains_key(name) {
            return;
        }
        let directory = match self.sandbox.new_files_dir() {
            Ok(directory) => directory,
            Err(error) => return warn!("cache mount `{name}` is empty: {error}"),
        };
        let mounts = self.carried.mounts.clone();
        let (id, shown) = (self.name(name), name.to_owned());
        let fetching = self.runtime.spawn(async move {
            let fetched = async {
                let dir = directory.dir().try_clone()?;
                anyhow::Ok(mounts.restore(&id, Root::from_dir(dir)).await?)
            };
            match fetched.await {
                Ok(tar) => tar.map(|tar| Arrived { directory, tar }),
                Err(error) => {
                    warn!("cache mount `{shown}` is empty: {error:#}");
                    None
                }
            }
        });
        arriving.insert(name.to_owned(), fetching);
    }

    /// Fills the empty directory of a cache with what was kept of it; says whether anything was. Waits for it, on a thread
    /// that may block.
    pub(super) fn fill(&self, name: &str, root: &Root) -> Result<bool> {
        self.expect(name);
        let arriving = {
            let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
            arriving.remove(name)
        };
        let arrived = arriving.map(|arriving| self.runtime.block_on(arriving));
        let Some(Arrived { directory, tar }) = arrived.transpose()?.flatten() else {
            return Ok(false);
        };
        for entry in directory.dir().names()? {
            directory.dir().rename(&entry, root.dir(), &entry)?;
        }
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        filled.insert(name.to_owned(), tar);
        Ok(true)
    }

    /// Keeps the caches that the build has used. No step may be running.
    pub(super) async fn keep(&self, caches: &CacheDirs) {
        for name in caches.used() {
            let Some(root) = caches.root(&name) else {
                continue;
            };
            match self.keep_one(&name, &root).await {
                Ok(Kept::Unchanged) => {}
                Ok(Kept::Stored { new_bytes, bytes }) => {
                    let text = format!(
                        "cache mount `{name}`: kept {bytes} bytes, {new_bytes} of them new"
                    );
                    (self.progress)(Event::Note(&text));
                }
                Err(error) => warn!("cache mount `{name}` is not kept: {error:#}"),
            }
        }
    }

    async fn keep_one(&self, name: &str, root: &Root) -> Result<Kept> {
        let filled = {
            let filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
            filled.get(name).cloned()
        };
        let number = self.packed.fetch_add(1, Ordering::Relaxed);
        let scratch = self.sandbox.work_dir().join(format!("mount-{number}"));
        let directory = Root::from_dir(root.dir().try_clone()?);
        let CarriedMounts { mounts, limit } = &self.carried;
        let name = self.name(name);
        let keeping = mounts.keep(&name, directory, filled, *limit, &scratch, &self.blobs);
        keeping.await.context("packing it failed")
    }

    fn name(&self, cache: &str) -> MountName {
        MountName::new(cache, &self.platform)
    }
}
