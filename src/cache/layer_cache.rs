//! Where a build looks for layers and keeps them: the local directory, and a repository for all jobs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tracing::warn;

use super::entry::{CacheEntry, EntryLooks};
use super::key::CacheKey;
use super::local_cache::{HeldBlob, LocalCache, LocalCacheError};
use super::lookup::{Lookup, Miss};
use super::registry_cache::{RegistryCache, StoreError, with_causes};
use crate::fs::PathError;
use crate::image::reference::ReferenceError;
use crate::image::{BlobOrigin, Reference};
use crate::registry::push::BlobSource;
use crate::registry::{Purpose, Registries, RegistryError};

/// The caches of a build. Either may be missing, and then nothing is found or kept there.
#[derive(Debug, Default)]
pub struct LayerCache {
    /// `--cache-dir`: asked first.
    pub local: Option<Arc<LocalCache>>,
    /// `--cache-repo`: asked for what is not in the directory.
    pub repository: Option<CacheRepository>,
}

/// A place that several jobs share.
#[derive(Debug)]
pub enum CacheRepository {
    /// A repository of a registry.
    Registry(RegistryCache),
    /// `oci:PATH`: a directory of the same form as the local one.
    Directory(Arc<LocalCache>),
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Under which key.
    pub key: CacheKey,
    /// Whether the repository is asked too, or the local directory only.
    pub in_repository: bool,
}

/// A layer that need not be made.
#[derive(Debug)]
pub struct FoundLayer {
    /// What it is.
    pub entry: CacheEntry,
    /// Where its bytes are.
    pub place: LayerPlace,
}

/// Where a layer's bytes are.
#[derive(Debug)]
pub enum LayerPlace {
    /// In a directory.
    Here {
        /// It stays as long as this is held.
        blob: Arc<HeldBlob>,
        /// The directory.
        cache: Arc<LocalCache>,
    },
    /// In a registry, and not here.
    Registry(BlobOrigin),
}

impl LayerCache {
    /// Looks for all that is wanted at once, and answers in its order. A key that is nowhere gets the answer of the place
    /// that was asked last.
    pub async fn look_up(&self, wanted: &[Wanted]) -> Vec<Lookup<FoundLayer>> {
        let keys: Vec<CacheKey> = wanted.iter().map(|wanted| wanted.key.clone()).collect();
        let mut found: Vec<Lookup<FoundLayer>> = match &self.local {
            Some(local) => look_up_here(local, &keys).await,
            None => keys.iter().map(|_| Lookup::Miss(Miss::Absent)).collect(),
        };
        let Some(repository) = &self.repository else {
            return found;
        };
        let missing = (0..keys.len()).filter(|at| !found[*at].is_hit());
        let missing: Vec<usize> = missing.filter(|at| wanted[*at].in_repository).collect();
        let missing_keys: Vec<CacheKey> = missing.iter().map(|at| keys[*at].clone()).collect();
        let further = repository.look_up(&missing_keys).await;
        for (at, lookup) in missing.into_iter().zip(further) {
            found[at] = lookup;
        }
        found
    }

    /// Keeps what a step has made, in both places at the same time; meant to run beside the build. What goes wrong is a
    /// warning: the build has its layer. Returns a repository that has the layer now.
    ///
    /// `file` is the layer's blob, finished. It goes to the repository only if `in_repository` says so.
    pub async fn store(
        &self,
        entry: &CacheEntry,
        looks: &EntryLooks,
        file: &Path,
        in_repository: bool,
    ) -> Option<BlobOrigin> {
        let here = async {
            match &self.local {
                Some(local) if local.is_writable() => {
                    store_here(local, entry, looks, file).await.err()
                }
                Some(_) | None => None,
            }
        };
        let there = async {
            match self.repository.as_ref().filter(|_| in_repository) {
                None => Ok(None),
                Some(CacheRepository::Directory(directory)) => {
                    let stored = store_here(directory, entry, looks, file).await;
                    stored.map(|()| None)
                }
                Some(CacheRepository::Registry(registry)) => {
                    let source = BlobSource::File(file.to_path_buf());
                    let stored = registry.store(entry, looks, &source, None).await;
                    let stored = stored.map(|_| Some(registry.origin()));
                    stored.map_err(StoreFailure::Registry)
                }
            }
        };
        let (here, there) = futures_util::future::join(here, there).await;
        let (origin, there) = match there {
            Ok(origin) => (origin, None),
            Err(failure) => (None, Some(failure)),
        };
        for failure in here.into_iter().chain(there) {
            warn_of(looks, &failure);
        }
        origin
    }

    /// Keeps a layer that was found there under the keys of `entry` too. What goes wrong is a warning.
    pub async fn store_again(&self, entry: &CacheEntry, looks: &EntryLooks, place: &LayerPlace) {
        let stored = match (place, &self.repository) {
            (LayerPlace::Here { cache, .. }, _) if !cache.is_writable() => Ok(()),
            (LayerPlace::Here { blob, cache }, _) => name_again(cache, entry, looks, blob).await,
            (LayerPlace::Registry(_), Some(CacheRepository::Registry(registry))) => {
                let stored = registry.store_found(entry, looks).await;
                stored.map_err(StoreFailure::Registry)
            }
            (LayerPlace::Registry(_), Some(CacheRepository::Directory(_)) | None) => Ok(()),
        };
        if let Err(failure) = stored {
            warn_of(looks, &failure);
        }
    }
}

/// Why a cache repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenCacheError {
    /// It is no name of a repository.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// It has a tag or a digest: tags are made of keys.
    #[error("the cache repository `{0}` must have neither tag nor digest")]
    NotARepository(String),
    /// A client for it cannot be made.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] PathError),
}

impl CacheRepository {
    /// What begins the name of a directory, in `--cache-repo` as kaniko has it.
    const DIRECTORY: &str = "oci:";

    /// Returns the directory that `name` stands for, absolute; `None` for a repository.
    pub fn directory_of(name: &str) -> Option<PathBuf> {
        let dir = Path::new(name.strip_prefix(Self::DIRECTORY)?);
        Some(std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf()))
    }

    /// Opens what `--cache-repo` names: a repository, or with `oci:` before it a directory. Nobody is asked anything yet.
    pub fn open(
        name: &str,
        registries: &Registries,
        oldest: Timestamp,
    ) -> Result<Self, OpenCacheError> {
        if let Some(dir) = Self::directory_of(name) {
            let directory = LocalCache::open(&dir, oldest)?;
            return Ok(Self::Directory(Arc::new(directory)));
        }
        let reference = Reference::parse(name)?;
        // A port stands before the last slash.
        let last = name.rsplit('/').next().unwrap_or(name);
        if last.contains([':', '@']) {
            return Err(OpenCacheError::NotARepository(name.to_owned()));
        }
        let repository = registries.repository(&reference, Purpose::Push)?;
        Ok(Self::Registry(RegistryCache::new(repository, oldest)))
    }

    async fn look_up(&self, keys: &[CacheKey]) -> Vec<Lookup<FoundLayer>> {
        match self {
            Self::Directory(directory) => look_up_here(directory, keys).await,
            Self::Registry(registry) => {
                let place = || LayerPlace::Registry(registry.origin());
                let found = registry.look_up(keys).await.into_iter();
                let found = found.map(|lookup| match lookup {
                    Lookup::Hit(entry) => Lookup::Hit(FoundLayer {
                        entry,
                        place: place(),
                    }),
                    Lookup::Miss(miss) => Lookup::Miss(miss),
                });
                found.collect()
            }
        }
    }
}

/// Why a layer was not kept.
#[derive(Debug, thiserror::Error)]
enum StoreFailure {
    #[error(transparent)]
    Registry(StoreError),
    #[error(transparent)]
    Local(#[from] LocalCacheError),
    #[error("writing stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

fn warn_of(looks: &EntryLooks, failure: &StoreFailure) {
    let created_by = &looks.created_by;
    let failure = with_causes(failure);
    warn!("the layer of `{created_by}` is not kept: {failure}");
}

async fn name_again(
    cache: &Arc<LocalCache>,
    entry: &CacheEntry,
    looks: &EntryLooks,
    blob: &Arc<HeldBlob>,
) -> Result<(), StoreFailure> {
    let (cache, blob) = (Arc::clone(cache), Arc::clone(blob));
    let (entry, looks) = (entry.clone(), looks.clone());
    let storing = tokio::task::spawn_blocking(move || cache.store(&entry, &looks, &blob));
    Ok(storing.await??)
}

async fn look_up_here(cache: &Arc<LocalCache>, keys: &[CacheKey]) -> Vec<Lookup<FoundLayer>> {
    let lookups = keys.iter().map(|key| {
        let (cache, key) = (Arc::clone(cache), key.clone());
        tokio::task::spawn_blocking(move || cache.look_up(&key))
    });
    // All are under way before the first is waited for.
    let lookups: Vec<_> = lookups.collect();
    let mut found = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        found.push(match lookup.await {
            Ok(Lookup::Hit((entry, held))) => Lookup::Hit(FoundLayer {
                entry,
                place: LayerPlace::Here {
                    blob: Arc::new(held),
                    cache: Arc::clone(cache),
                },
            }),
            Ok(Lookup::Miss(miss)) => Lookup::Miss(miss),
            Err(error) => {
                let reason = error.to_string();
                warn!("the cache directory is not used: {reason}");
                Lookup::Miss(Miss::Unreachable { reason })
            }
        });
    }
    found
}

async fn store_here(
    cache: &Arc<LocalCache>,
    entry: &CacheEntry,
    looks: &EntryLooks,
    file: &Path,
) -> Result<(), StoreFailure> {
    let (cache, file) = (Arc::clone(cache), file.to_path_buf());
    let (entry, looks) = (entry.clone(), looks.clone());
    let storing = tokio::task::spawn_blocking(move || {
        let layer = cache.add_file(&file, &entry.layer)?;
        cache.store(&entry, &looks, &layer)
    });
    Ok(storing.await??)
}
