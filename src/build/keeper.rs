//! Base images that were pulled, on their way into the cache directory: beside the build, and without ever failing it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::cache::{BaseImageCache, ImageLayers, ResolvedImage};
use crate::image::blob_store::BlobStore;

/// Keeps images once their layers are here. Nothing is fetched for that.
pub(super) struct Keeper {
    cache: Arc<BaseImageCache>,
    blobs: Arc<BlobStore>,
    /// Images whose layers are not all here yet.
    waiting: Mutex<Vec<Arc<ResolvedImage>>>,
    running: Mutex<JoinSet<()>>,
}

impl Keeper {
    pub(super) fn new(cache: Arc<BaseImageCache>, blobs: Arc<BlobStore>) -> Self {
        Self {
            cache,
            blobs,
            waiting: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Takes note of an image. One that lies in the directory needs no keeping.
    pub(super) fn note(&self, image: Arc<ResolvedImage>) {
        let can_keep = self
            .cache
            .local
            .as_ref()
            .is_some_and(|local| local.is_writable());
        match image.layers {
            ImageLayers::Registry(_) if can_keep => {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.push(image);
            }
            ImageLayers::Registry(_) | ImageLayers::Here(_) => {}
        }
    }

    /// Starts to keep those images whose layers are all here. Must be called in the runtime.
    pub(super) fn keep_what_is_here(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let whole: Vec<Arc<ResolvedImage>> = waiting
            .extract_if(.., |image| self.is_whole(image))
            .collect();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for image in whole {
            let (cache, blobs) = (Arc::clone(&self.cache), Arc::clone(&self.blobs));
            running.spawn(async move {
                cache.keep(&image, |digest| blobs.path(digest)).await;
            });
        }
    }

    fn is_whole(&self, image: &ResolvedImage) -> bool {
        let layers = &image.manifest.layers;
        let mut own = layers
            .iter()
            .filter(|layer| !layer.media_type.is_foreign_layer());
        own.all(|layer| self.blobs.contains(&layer.digest))
    }

    /// Waits until nothing is being kept any more.
    pub(super) async fn finish(&self) {
        let running = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
        };
        running.join_all().await;
    }
}
