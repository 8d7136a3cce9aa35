//! Layers in a repository of a registry: one tag per key, as kaniko keeps them.
//!
//! A lookup is one request for a manifest, and all keys are asked for at once. Whatever goes wrong is a miss: a registry
//! that does not answer is asked no further, so that the build waits for it once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use thiserror::Error;
use tracing::{debug, warn};

use super::entry::{CacheEntry, EntryDocuments, EntryError, EntryLooks};
use super::key::CacheKey;
use super::lookup::{Lookup, Miss, fresh};
use crate::image::BlobOrigin;
use crate::image::Manifest;
use crate::image::manifest::ManifestDocument;
use crate::registry::push::{BlobDelivery, BlobSource};
use crate::registry::{ErrorKind, RegistryError, Repository};

/// Lookups under way at the same time. The client holds fewer connections; these wait for them.
const LOOKUPS: usize = 16;

/// How long one lookup may take, retries included: waiting longer costs more than most steps do.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(20);

/// A cache repository.
#[derive(Debug)]
pub struct RegistryCache {
    repository: Repository,
    /// Entries that are older count as not there.
    oldest: Timestamp,
    /// Why the registry is not asked any more; `None` as long as it answers.
    trouble: Mutex<Option<String>>,
}

/// Why an entry was not stored.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The entry itself.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl RegistryCache {
    /// Uses `repository`, whose client must be one for pushing: reading and writing then go the same way. Entries made
    /// before `oldest` are not used.
    pub fn new(repository: Repository, oldest: Timestamp) -> Self {
        Self {
            repository,
            oldest,
            trouble: Mutex::default(),
        }
    }

    /// Returns the repository.
    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns where the layers of its entries are.
    pub fn origin(&self) -> BlobOrigin {
        BlobOrigin {
            registry: self.repository.registry().host().to_owned(),
            repository: self.repository.name().to_owned(),
        }
    }

    /// Looks for the keys, all at once, and answers in their order. A key that comes twice is asked for once.
    pub async fn look_up(&self, keys: &[CacheKey]) -> Vec<Lookup<CacheEntry>> {
        let distinct: BTreeMap<&CacheKey, ()> = keys.iter().map(|key| (key, ())).collect();
        let asking = distinct.into_keys().map(|key| async move {
            let found = self.look_up_one(key).await;
            (key, found)
        });
        let found: BTreeMap<&CacheKey, Result<CacheEntry, Miss>> = stream::iter(asking)
            .buffer_unordered(LOOKUPS)
            .collect()
            .await;
        let answer = |key: &CacheKey| match &found[key] {
            Ok(entry) => Lookup::Hit(entry.clone()),
            Err(miss) => Lookup::Miss(miss.clone()),
        };
        keys.iter().map(answer).collect()
    }

    async fn look_up_one(&self, key: &CacheKey) -> Result<CacheEntry, Miss> {
        if let Some(reason) = self.trouble() {
            return Err(Miss::Unreachable { reason });
        }
        let found = match tokio::time::timeout(LOOKUP_PATIENCE, self.fetch(key)).await {
            Ok(found) => found,
            Err(_) => {
                let seconds = LOOKUP_PATIENCE.as_secs();
                return Err(self.give_up(format!("no answer within {seconds} s")));
            }
        };
        match found {
            Ok(entry) => fresh(entry, self.oldest),
            Err(LookupError::Registry(error)) => Err(self.judge(key, &error)),
            Err(LookupError::Entry(error)) => Err(self.unusable(key, &error)),
        }
    }

    /// Reads the entry under a key, and makes sure that its layer is there: the image would name it unseen.
    async fn fetch(&self, key: &CacheKey) -> Result<CacheEntry, LookupError> {
        let fetched = self.repository.fetch_manifest(key.as_str()).await?;
        let manifest: Box<Manifest> = match fetched.document {
            ManifestDocument::Image(manifest) => manifest,
            ManifestDocument::Index(_) => return Err(EntryError::Index.into()),
        };
        let entry = CacheEntry::read(&manifest, key)?;
        match self.repository.has_blob(&entry.layer).await? {
            true => Ok(entry),
            false => Err(EntryError::NoLayer.into()),
        }
    }

    /// Says what an error means for a key, and for those that are asked for after it.
    fn judge(&self, key: &CacheKey, error: &RegistryError) -> Miss {
        match error.kind() {
            ErrorKind::NotFound => Miss::Absent,
            ErrorKind::Corrupt => self.unusable(key, error),
            ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::TooManyRequests
            | ErrorKind::TagImmutable
            | ErrorKind::UnsupportedMediaType
            | ErrorKind::ContentTooLarge
            | ErrorKind::Unreachable
            | ErrorKind::Tls
            | ErrorKind::NotTls
            | ErrorKind::Interrupted
            | ErrorKind::Server
            | ErrorKind::NoPlatform
            | ErrorKind::Local
            | ErrorKind::Refused => self.give_up(with_causes(error)),
        }
    }

    fn unusable(&self, key: &CacheKey, error: &dyn std::error::Error) -> Miss {
        let reason = with_causes(error);
        warn!("cache entry `{}` is not used: {reason}", self.name(key));
        Miss::Unusable { reason }
    }

    /// Asks the registry no further, and warns of it once.
    fn give_up(&self, reason: String) -> Miss {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            let BlobOrigin {
                registry,
                repository,
            } = self.origin();
            warn!("the cache `{registry}/{repository}` is not used: {reason}");
            *trouble = Some(reason.clone());
        }
        Miss::Unreachable { reason }
    }

    fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores an entry under all of its keys. The blob is mounted from `mount_from`, a repository of the same registry,
    /// where that has it. Blobs go first: nobody finds an entry whose layer is not there.
    pub async fn store(
        &self,
        entry: &CacheEntry,
        looks: &EntryLooks,
        layer: &BlobSource,
        mount_from: Option<&str>,
    ) -> Result<BlobDelivery, StoreError> {
        let documents = entry.documents(looks)?;
        let repository = &self.repository;
        let pushing = repository.push_blob(&entry.layer, layer, mount_from);
        let (delivery, written) =
            futures_util::future::join(pushing, self.push_config(&documents)).await;
        let (delivery, ()) = (delivery?, written?);
        self.put_all(entry, &documents).await?;
        Ok(delivery)
    }

    /// Stores an entry whose layer was found here under all of its keys.
    pub async fn store_found(
        &self,
        entry: &CacheEntry,
        looks: &EntryLooks,
    ) -> Result<(), StoreError> {
        let documents = entry.documents(looks)?;
        self.push_config(&documents).await?;
        self.put_all(entry, &documents).await
    }

    async fn push_config(&self, documents: &EntryDocuments) -> Result<(), StoreError> {
        let config = BlobSource::Bytes(documents.config.clone());
        let pushing = self
            .repository
            .push_blob(&documents.config_descriptor, &config, None);
        pushing.await?;
        Ok(())
    }

    async fn put_all(
        &self,
        entry: &CacheEntry,
        documents: &EntryDocuments,
    ) -> Result<(), StoreError> {
        for key in &entry.keys {
            self.put(key, documents).await?;
        }
        Ok(())
    }

    async fn put(&self, key: &CacheKey, documents: &EntryDocuments) -> Result<(), StoreError> {
        let media_type = &documents.manifest_descriptor.media_type;
        let repository = &self.repository;
        let putting = repository.put_manifest(key.as_str(), media_type, &documents.manifest);
        match putting.await {
            Ok(_) => Ok(()),
            // Somebody has stored the same step before, and the registry lets nobody replace it.
            Err(error) if error.kind() == ErrorKind::TagImmutable => {
                debug!("`{}` stays as it is: {error}", self.name(key));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn name(&self, key: &CacheKey) -> String {
        let BlobOrigin {
            registry,
            repository,
        } = self.origin();
        format!("{registry}/{repository}:{key}")
    }
}

enum LookupError {
    Registry(RegistryError),
    Entry(EntryError),
}

impl From<RegistryError> for LookupError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<EntryError> for LookupError {
    fn from(error: EntryError) -> Self {
        Self::Entry(error)
    }
}

/// Returns an error and what caused it in one line, for warnings.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
