//! Images that a build starts from or copies from: found in their registry, fetched and unpacked only
//! when a step needs their files, and each layer once.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio_util::io::SyncIoBridge;

use crate::fs::Root;
use crate::image::blob_store::{BlobStore, BlobWriter};
use crate::image::decompress::{Compression, LayerDecompressor};
use crate::image::manifest::ManifestDocument;
use crate::image::unpack::{self, Form, UnpackOptions, Unpacked, unpack};
use crate::image::{
    BlobOrigin, Descriptor, Digest, ImageConfig, Platform, Reference,
};
use crate::registry::{Purpose, Registries, Repository};
use crate::sandbox::{LayerDir, Rootfs, Sandbox};

use super::draft::ImageDraft;
use super::layers::{LayerContent, SharedError, StageLayer, StoredLayer};
use super::{Event, Progress};

/// An image in a registry, of which nothing but manifest and config is here.
#[derive(Debug)]
pub(super) struct BaseImage {
    /// As the Dockerfile names it, with the defaults filled in.
    reference: Reference,
    /// The image's config.
    pub(super) config: ImageConfig,
    /// Base first.
    pub(super) layers: Vec<StageLayer>,
}

impl BaseImage {
    /// Returns the image as a stage starts with it. One without layers is as good as `scratch`.
    pub(super) fn draft(&self, _platform: &Platform) -> ImageDraft {
        ImageDraft::from_base(self.config.clone(), self.layers.clone())
    }
}

/// The images of a build.
pub struct BaseImages {
    registries: Arc<Registries>,
    blobs: Arc<BlobStore>,
    sandbox: Sandbox,
    progress: Progress,
    resolved: Once<(String, String), Arc<BaseImage>>,
    /// Layers by the digests of those below and their own: what a layer leaves out, it takes from
    /// those below.
    unpacked: Once<Digest, LayerDir>,
}

impl BaseImages {
    /// Makes an empty collection. Blobs that are fetched go into `blobs`.
    pub fn new(
        registries: Arc<Registries>,
        blobs: Arc<BlobStore>,
        sandbox: Sandbox,
        progress: Progress,
    ) -> Self {
        Self {
            registries,
            blobs,
            sandbox,
            progress,
            resolved: Once::default(),
            unpacked: Once::default(),
        }
    }

    /// Returns where blobs of this build are.
    pub(super) fn blobs(&self) -> Arc<BlobStore> {
        Arc::clone(&self.blobs)
    }

    /// Finds an image for a platform: asks once for each image, however many stages use it.
    pub(super) async fn resolve(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>> {
        let key = (reference.to_string(), platform.to_string());
        self.resolved
            .get(key, || self.fetch_image(reference, platform))
            .await
    }

    async fn fetch_image(&self, reference: &Reference, platform: &Platform) -> Result<Arc<BaseImage>> {
        let (repository, fetched) = self.registries.fetch_manifest(reference).await?;
        let manifest = match fetched.document {
            ManifestDocument::Image(manifest) => *manifest,
            ManifestDocument::Index(_) => {
                let digest = fetched.descriptor.digest.as_str();
                repository.fetch_image(digest, platform).await?.manifest
            }
        };
        let config = repository.fetch_config(&manifest.config).await?;
        config.check_layer_count(manifest.layers.len())?;
        let layers = stored_layers(&manifest.layers, &config, &repository);
        Ok(Arc::new(BaseImage {
            reference: reference.clone(),
            config,
            layers,
        }))
    }

    /// Fetches and unpacks the layers that are not here yet, several at a time, and stacks them.
    pub(super) async fn open(self: &Arc<Self>, layers: &[StageLayer]) -> Result<Rootfs> {
        let layers = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
        let mut tasks = Vec::with_capacity(layers.len());
        for layer in &layers {
            let (images, layer) = (Arc::clone(self), Arc::clone(layer));
            // A task each: a layer that waits for its turn must not hold up the others.
            tasks.push(tokio::spawn(async move { images.unpack_alone(&layer).await }));
        }
        let mut stack: Vec<LayerDir> = Vec::with_capacity(layers.len());
        for task in tasks {
            stack.push(task.await.context("unpacking stopped")??);
        }
        let mut rootfs = Rootfs::new(&self.sandbox);
        for layer in stack {
            rootfs.push_layer(layer);
        }
        Ok(rootfs)
    }
}

fn stored_layers(
    descriptors: &[Descriptor],
    config: &ImageConfig,
    repository: &Repository,
) -> Vec<StageLayer> {
    let origin = BlobOrigin {
        registry: repository.registry().host().to_owned(),
        repository: repository.name().to_owned(),
    };
    let diff_ids = config.rootfs.diff_ids.iter();
    let stored = descriptors.iter().zip(diff_ids).map(|(descriptor, diff_id)| StoredLayer {
        descriptor: descriptor.clone(),
        diff_id: diff_id.clone(),
        origin: origin.clone(),
    });
    stored
        .map(|layer| StageLayer {
            created: Timestamp::UNIX_EPOCH,
            content: LayerContent::Stored(Arc::new(layer)),
        })
        .collect()
}

fn stored(layer: &StageLayer) -> Result<&Arc<StoredLayer>> {
    match &layer.content {
        LayerContent::Stored(stored) => Ok(stored),
        LayerContent::New(_) | LayerContent::Unwritten => {
            bail!("a layer of this build has no directory of its own")
        }
    }
}
