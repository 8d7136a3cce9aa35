//! Layers of steps, by their keys.

use tracing::warn;

use super::blob::{BlobProblem, HeldBlob};
use super::names::{self, NameKind};
use super::{LocalCache, LocalCacheError};
use crate::cache::entry::{CacheEntry, EntryError, EntryLooks};
use crate::cache::key::CacheKey;
use crate::cache::lookup::{Lookup, Miss, fresh};
use crate::cache::registry_cache::with_causes;
use crate::fs::PathError;
use crate::image::{Descriptor, Manifest};

/// Why an entry that is there cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Blob(#[from] BlobProblem),
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error("its manifest or config cannot be read")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    File(#[from] PathError),
}

impl LocalCache {
    /// Looks for a key. What is found is whole, and stays as long as the blob is held.
    ///
    /// Costs the reading of two small files, and of the layer where it has no stamp.
    pub fn look_up(&self, key: &CacheKey) -> Lookup<(CacheEntry, HeldBlob)> {
        match self.find_entry(key) {
            Ok(Some((entry, layer))) => match fresh(entry, self.oldest) {
                Ok(entry) => {
                    self.touch(&self.name_path(NameKind::Layer, key.as_str()));
                    Lookup::Hit((entry, layer))
                }
                Err(miss) => Lookup::Miss(miss),
            },
            Ok(None) => Lookup::Miss(Miss::Absent),
            Err(error) => {
                let reason = with_causes(&error);
                let dir = self.dir.display();
                warn!("entry `{key}` of the cache `{dir}` is not used: {reason}");
                Lookup::Miss(Miss::Unusable { reason })
            }
        }
    }

    fn find_entry(&self, key: &CacheKey) -> Result<Option<(CacheEntry, HeldBlob)>, Unusable> {
        let path = self.name_path(NameKind::Layer, key.as_str());
        // The manifest and what it lists are held before the name's lock is given up: nothing is removed in between.
        let lock = self.lock_shared()?;
        let Some((descriptor, _)) = names::read::<Descriptor>(&path)? else {
            return Ok(None);
        };
        let manifest = self.open_blob(&descriptor)?.read()?;
        let manifest: Manifest = serde_json::from_slice(&manifest)?;
        let entry = CacheEntry::read(&manifest, key)?;
        let opened = self.open_blob(&entry.layer);
        drop(lock);
        let layer = match opened {
            Ok(layer) => self.checked(layer),
            Err(problem) => Err(problem),
        };
        match layer {
            Ok(layer) => Ok(Some((entry, layer))),
            Err(problem) => {
                self.discard_if_damaged(&problem)?;
                Err(problem.into())
            }
        }
    }

    /// Stores an entry under all of its keys. `layer` is its blob, from [`add_file`](Self::add_file) or one of its kind.
    pub fn store(
        &self,
        entry: &CacheEntry,
        looks: &EntryLooks,
        layer: &HeldBlob,
    ) -> Result<(), LocalCacheError> {
        self.check_writable()?;
        if layer.digest() != &entry.layer.digest {
            return Err(LocalCacheError::Mismatch {
                expected: entry.layer.digest.clone(),
                found: layer.digest().clone(),
            });
        }
        let documents = entry.documents(looks)?;
        // Held until the names lead to them.
        let _config = self.add_document(&documents.config, &documents.config_descriptor)?;
        let _manifest = self.add_document(&documents.manifest, &documents.manifest_descriptor)?;
        let _lock = self.lock_shared()?;
        for key in &entry.keys {
            self.write_name(
                NameKind::Layer,
                key.as_str(),
                &documents.manifest_descriptor,
            )?;
        }
        Ok(())
    }
}
