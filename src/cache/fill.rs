//! Filling the local directory with base images ahead of time: what is there and fresh is not pulled again.

use std::io;
use std::sync::Arc;

use futures_util::future::try_join_all;
use thiserror::Error;
use tokio_util::io::SyncIoBridge;

use super::base_images::{BaseImageCache, ImageLayers, PulledDocuments, ResolvedImage, pull};
use super::local_cache::{HeldBlob, LocalCache, LocalCacheError};
use super::lookup::{Lookup, Miss};
use crate::image::{Descriptor, Digest, Platform, Reference};
use crate::registry::{RegistryError, Repository};

/// What was done for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// It was not there.
    Pulled,
    /// It was there and fresh; only its digest was asked for.
    AlreadyThere,
    /// It was there and too old, or damaged, or the user wanted it pulled again.
    Refreshed,
}

/// An image that is in the directory now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledImage {
    /// Digest of the manifest for the platform.
    pub digest: Digest,
    /// What was done for it.
    pub filled: Filled,
    /// Bytes of the layers that were fetched.
    pub fetched: u64,
    /// What it asks every stage built on it to begin with: its ONBUILD instructions.
    pub triggers: Vec<String>,
}

/// Why an image is not in the directory.
#[derive(Debug, Error)]
pub enum FillError {
    /// There is no directory to fill.
    #[error("there is no cache directory")]
    NoDirectory,
    /// The registry did not give what was asked for.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The directory could not be read or written.
    #[error(transparent)]
    Local(#[from] LocalCacheError),
    /// A layer's bytes did not come, or could not be written.
    #[error("cannot fetch layer `{digest}`")]
    Layer {
        /// The layer.
        digest: Digest,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The program is ending.
    #[error("fetching stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

impl BaseImageCache {
    /// Makes sure that an image is in the directory, as its registry has it now. With `pulls_again`, all of it is pulled
    /// whatever is there.
    pub async fn fill(
        &self,
        reference: &Reference,
        platform: &Platform,
        pulls_again: bool,
    ) -> Result<FilledImage, FillError> {
        let local = self.local.as_ref().ok_or(FillError::NoDirectory)?;
        let (repository, descriptor) = self.registries.resolve(reference).await?;
        let filled = match find(local, &descriptor.digest, platform).await? {
            Lookup::Hit(found) if !pulls_again => {
                return Ok(FilledImage {
                    digest: found.digest,
                    filled: Filled::AlreadyThere,
                    fetched: 0,
                    triggers: found.triggers,
                });
            }
            Lookup::Hit(_) | Lookup::Miss(Miss::Expired { .. } | Miss::Unusable { .. }) => {
                Filled::Refreshed
            }
            Lookup::Miss(Miss::Absent | Miss::Unreachable { .. }) => Filled::Pulled,
        };
        // By digest: the tag may have moved since.
        let fetched = repository
            .fetch_manifest(descriptor.digest.as_str())
            .await?;
        let image = pull(&repository, fetched, platform).await?;
        let layers = fetch_layers(local, &repository, &image, pulls_again).await?;
        let fetched = layers.iter().filter(|layer| layer.is_new);
        let fetched = fetched.map(|layer| layer.held.size()).sum();
        match image.layers {
            ImageLayers::Registry(documents) => store(local, *documents, layers).await?,
            ImageLayers::Here(_) => unreachable!("it was pulled"),
        }
        Ok(FilledImage {
            digest: image.descriptor.digest,
            filled,
            fetched,
            triggers: image.config.config.on_build,
        })
    }
}

/// An image that is in the directory already.
struct FoundImage {
    /// Digest of the manifest for the platform.
    digest: Digest,
    triggers: Vec<String>,
}

async fn find(
    local: &Arc<LocalCache>,
    digest: &Digest,
    platform: &Platform,
) -> Result<Lookup<FoundImage>, FillError> {
    let (local, digest, platform) = (Arc::clone(local), digest.clone(), platform.clone());
    let finding = tokio::task::spawn_blocking(move || local.find_image(&digest, &platform));
    Ok(match finding.await? {
        Lookup::Hit(image) => Lookup::Hit(FoundImage {
            digest: image.descriptor.digest,
            triggers: image.config.config.on_build,
        }),
        Lookup::Miss(miss) => Lookup::Miss(miss),
    })
}

/// A layer that is in the directory, and held there.
struct FetchedLayer {
    held: HeldBlob,
    is_new: bool,
}

/// Fetches the layers, as many at a time as the registry's client allows.
async fn fetch_layers(
    local: &Arc<LocalCache>,
    repository: &Repository,
    image: &ResolvedImage,
    fetches_again: bool,
) -> Result<Vec<FetchedLayer>, FillError> {
    let layers = image.manifest.layers.iter();
    let layers = layers.filter(|layer| !layer.media_type.is_foreign_layer());
    try_join_all(layers.map(|layer| fetch_layer(local, repository, layer, fetches_again))).await
}

async fn fetch_layer(
    local: &Arc<LocalCache>,
    repository: &Repository,
    layer: &Descriptor,
    fetches_again: bool,
) -> Result<FetchedLayer, FillError> {
    if !fetches_again && let Some(held) = hold(local, layer).await? {
        let is_new = false;
        return Ok(FetchedLayer { held, is_new });
    }
    let reader = repository.open_blob(layer).await?;
    let mut source = SyncIoBridge::new(reader.into_async_read());
    let (local, digest) = (Arc::clone(local), layer.digest.clone());
    let fetching = tokio::task::spawn_blocking(move || -> Result<HeldBlob, FillError> {
        let mut blob = local.write_blob(&digest)?;
        io::copy(&mut source, &mut blob).map_err(|source| FillError::Layer { digest, source })?;
        Ok(blob.commit()?)
    });
    let held = fetching.await??;
    let is_new = true;
    Ok(FetchedLayer { held, is_new })
}

/// Holds a layer that is there already and whole.
async fn hold(local: &Arc<LocalCache>, layer: &Descriptor) -> Result<Option<HeldBlob>, FillError> {
    let (local, layer) = (Arc::clone(local), layer.clone());
    let holding = tokio::task::spawn_blocking(move || local.hold_if_whole(&layer));
    Ok(holding.await??)
}

async fn store(
    local: &Arc<LocalCache>,
    documents: PulledDocuments,
    layers: Vec<FetchedLayer>,
) -> Result<(), FillError> {
    let local = Arc::clone(local);
    let layers: Vec<HeldBlob> = layers.into_iter().map(|layer| layer.held).collect();
    let storing = tokio::task::spawn_blocking(move || documents.store_in(&local, &layers));
    Ok(storing.await??)
}
