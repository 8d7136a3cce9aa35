//! Layers of base images that are kept unpacked in the cache directory, so that the next build need not unpack them.
//!
//! Only layers of images are: what a step made would take the room of many images. Nothing here fails a build.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::cache::LocalCache;
use crate::cache::local_cache::{HeldTree, LocalCacheError, NewTree, TreeKey};
use crate::image::{Digest, OverlayXattrs};
use crate::sandbox::{Mode, OwnerMaps, Sandbox, StorageKind};

/// The unpacked layers that a build uses and makes.
pub(super) struct UnpackedBases {
    cache: Arc<LocalCache>,
    xattrs: OverlayXattrs,
    owners: OwnerMaps,
    mode: Mode,
    /// Chain IDs of the layers that are worth it.
    wanted: Mutex<BTreeSet<Digest>>,
    finishing: Mutex<JoinSet<NewTree>>,
    /// Trees that were made here and are in use until the build ends.
    made: Mutex<Vec<NewTree>>,
}

impl UnpackedBases {
    /// Prepares to use the directory. `None` where layers are no directories of their own, or where overlays cannot be
    /// stacked on what lies in the cache, or where that cannot be written. Must be called in the runtime.
    pub(super) fn open(cache: &Arc<LocalCache>, sandbox: &Sandbox) -> Option<Self> {
        let StorageKind::Layers(xattrs) = sandbox.storage() else {
            return None;
        };
        if !cache.is_writable() {
            return None;
        }
        let dir = cache
            .open_trees()
            .inspect_err(told("no room is made"))
            .ok()?;
        if !sandbox.can_adopt_from(&dir) {
            return None;
        }
        let owners = sandbox.owner_maps();
        let owners = owners.inspect_err(|error| debug!("who owns files is not known: {error}"));
        let stale = Arc::clone(cache);
        // A killed build may have left gigabytes.
        tokio::task::spawn_blocking(move || stale.remove_stale_trees());
        Some(Self {
            cache: Arc::clone(cache),
            xattrs,
            owners: owners.ok()?,
            mode: sandbox.mode(),
            wanted: Mutex::default(),
            finishing: Mutex::default(),
            made: Mutex::default(),
        })
    }

    /// Takes note of the layers of a base image.
    pub(super) fn want(&self, chain_ids: impl IntoIterator<Item = Digest>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.extend(chain_ids);
    }

    /// Finds a layer that is unpacked. Blocks.
    pub(super) fn find(&self, chain_id: &Digest) -> Option<HeldTree> {
        if !self.is_wanted(chain_id) {
            return None;
        }
        self.cache.find_tree(&self.key(chain_id)).hit()
    }

    /// Makes a directory for a layer of so many compressed bytes. Blocks.
    pub(super) fn begin(&self, chain_id: &Digest, size: u64) -> Option<NewTree> {
        if !self.is_wanted(chain_id) {
            return None;
        }
        let key = self.key(chain_id);
        let begun = self.cache.new_tree(chain_id, key, &self.owners, size);
        begun
            .inspect_err(told("a layer is not kept unpacked"))
            .ok()?
    }

    /// Puts a complete layer into its place; it stays usable where that fails. Blocks.
    pub(super) fn publish(&self, tree: &mut NewTree) {
        if let Err(error) = tree.publish() {
            told("a layer is not kept unpacked")(&error);
        }
    }

    /// Makes a layer one that other builds use, beside this one. Must be called in the runtime.
    pub(super) fn finish_later(&self, mut tree: NewTree, is_root_opaque: bool) {
        let mut finishing = self
            .finishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        finishing.spawn_blocking(move || {
            if let Err(error) = tree.finish(is_root_opaque) {
                told("a layer is not kept unpacked")(&error);
            }
            tree
        });
    }

    /// Waits until all are finished.
    pub(super) async fn finish(&self) {
        let finishing = {
            let mut finishing = self
                .finishing
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *finishing)
        };
        let made = finishing.join_all().await;
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(made);
    }

    fn is_wanted(&self, chain_id: &Digest) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.contains(chain_id)
    }

    fn key(&self, chain_id: &Digest) -> TreeKey {
        TreeKey::new(chain_id, self.xattrs, &self.owners, self.mode)
    }
}

/// Warns of what went wrong; the build does without.
fn told(what: &str) -> impl Fn(&LocalCacheError) {
    move |error| {
        let error: &dyn std::error::Error = error;
        let causes = std::iter::successors(Some(error), |error| error.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        warn!("{what}: {}", causes.join(": "));
    }
}
