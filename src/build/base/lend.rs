//! Layers that the cache directory has, lent to the build's blob store: they are unpacked and pushed from where they lie.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cache::local_cache::HeldBlob;
use crate::cache::{ImageLayers, LocalCache, ResolvedImage};
use crate::image::blob_store::{BlobError, BlobStore, LentGuard};

use super::BaseImages;

impl BaseImages {
    /// Lends the layers that the cache has to the blob store. What cannot be lent is fetched when it is needed.
    pub(super) async fn lend(&self, image: Arc<ResolvedImage>) -> Result<()> {
        let (blobs, local) = (Arc::clone(&self.blobs), self.cache.local.clone());
        let lending = tokio::task::spawn_blocking(move || match (&image.layers, local) {
            (ImageLayers::Here(layers), _) => {
                for layer in layers.iter().flatten() {
                    lend_layer(&blobs, layer, &image);
                }
            }
            // Another image may have had the same layers, or this one before it was too old.
            (ImageLayers::Registry(_), Some(local)) => lend_known(&blobs, &local, &image),
            (ImageLayers::Registry(_), None) => {}
        });
        lending.await.context("looking at the cache stopped")
    }
}

/// Lends a layer, which is held by `image`.
fn lend_layer(blobs: &BlobStore, layer: &HeldBlob, image: &Arc<ResolvedImage>) {
    match layer.path() {
        Some(path) => blobs.lend(layer.digest(), path, Arc::clone(image) as LentGuard),
        None => copy_part(blobs, layer),
    }
}

/// Lends those layers of an image that the directory has, although it has not the image.
fn lend_known(blobs: &BlobStore, local: &LocalCache, image: &ResolvedImage) {
    for layer in &image.manifest.layers {
        if let Ok(Some(held)) = local.hold_if_whole(layer)
            && let Some(path) = held.path().map(Path::to_path_buf)
        {
            blobs.lend(&layer.digest, &path, Arc::new(held));
        }
    }
}

/// Copies a layer that is a part of a larger file, as in an archive of kaniko's.
fn copy_part(blobs: &BlobStore, layer: &HeldBlob) {
    let copied = layer.bytes().map_err(BlobError::Read);
    let copied = copied.and_then(|bytes| blobs.write(bytes, Some(layer.digest())));
    if let Err(error) = copied {
        let digest = layer.digest();
        tracing::warn!("layer {digest} of the cache is not used: {error}");
    }
}
