//! Images that a build starts from or copies from: found in the cache directory or in their registry, fetched and unpacked
//! only when a step needs their files, and each layer once.

mod again;
mod fetch;
mod layout;
mod lend;
mod stack;
mod tree;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::cache::{BaseImageCache, ImageName};
use crate::image::blob_store::BlobStore;
use crate::image::{Digest, ImageConfig, Manifest, Platform, Reference};
use crate::sandbox::{LayerDir, Sandbox, StorageKind};

use super::draft::ImageDraft;
use super::files::{StageFiles, StageTree, StageView};
use super::halt::Halt;
use super::keeper::Keeper;
use super::layers::{LayerContent, LayerOrigin, StageLayer, StoredLayer};
use super::named_contexts::LayoutImage;
use super::once::Once;
use super::unpacked_bases::UnpackedBases;
use super::unpacking::UnpackedLayer;
use super::{Event, Progress};

pub use again::BaseRetries;

/// An image, of which manifest and config are here. Its layers are in a registry, or among the blobs, or both.
#[derive(Debug)]
pub(super) struct BaseImage {
    /// Digest of its manifest. `None` for what is no image's.
    pub(super) digest: Option<Digest>,
    /// The image's config.
    pub(super) config: ImageConfig,
    /// Base first.
    pub(super) layers: Vec<StageLayer>,
}

impl BaseImage {
    /// Returns the image as a stage starts with it. One without layers is as good as `scratch`.
    pub(super) fn draft(&self) -> ImageDraft {
        ImageDraft::from_base(self.config.clone())
    }
}

/// The images of a build.
pub struct BaseImages {
    cache: Arc<BaseImageCache>,
    keeper: Keeper,
    /// `None` where layers are not kept unpacked.
    unpacked_bases: Option<UnpackedBases>,
    blobs: Arc<BlobStore>,
    sandbox: Sandbox,
    halt: Halt,
    progress: Progress,
    names: Mutex<BTreeMap<String, Arc<ImageName>>>,
    retries: BaseRetries,
    resolved: Once<(String, String), Arc<BaseImage>>,
    in_layouts: Once<(LayoutImage, String), Arc<BaseImage>>,
    /// Blobs of layouts that are what they should be.
    borrowed: Once<Digest, ()>,
    /// Layers by the digests of those below and their own: what a layer leaves out, it takes from
    /// those below.
    unpacked: Once<Digest, Arc<UnpackedLayer>>,
    /// Where they lie once they are complete.
    completed: Once<Digest, LayerDir>,
    /// Blobs that are here.
    fetched: Once<Digest, ()>,
    /// Trees of images that files are only copied from, by the chain ID of the topmost layer.
    trees_to_read: Once<Option<Digest>, Arc<StageTree>>,
}

impl BaseImages {
    /// Makes an empty collection. Blobs that are fetched go into `blobs`, and those that the cache has are lent to it. With
    /// `keeps_unpacked`, layers are unpacked into the cache where that is possible. Must be called in the runtime.
    pub fn new(
        cache: Arc<BaseImageCache>,
        keeps_unpacked: bool,
        blobs: Arc<BlobStore>,
        sandbox: Sandbox,
        halt: Halt,
        progress: Progress,
        retries: BaseRetries,
    ) -> Self {
        let local = cache.local.as_ref().filter(|_| keeps_unpacked);
        Self {
            unpacked_bases: local.and_then(|local| UnpackedBases::open(local, &sandbox)),
            keeper: Keeper::new(Arc::clone(&cache), Arc::clone(&blobs)),
            cache,
            blobs,
            sandbox,
            halt,
            progress,
            names: Mutex::default(),
            retries,
            resolved: Once::default(),
            in_layouts: Once::default(),
            borrowed: Once::default(),
            unpacked: Once::default(),
            completed: Once::default(),
            fetched: Once::default(),
            trees_to_read: Once::default(),
        }
    }

    /// Returns where blobs of this build are.
    pub(super) fn blobs(&self) -> Arc<BlobStore> {
        Arc::clone(&self.blobs)
    }

    /// Finds an image for a platform: asks once for each image, however many stages and platforms use it.
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

    async fn fetch_image(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>> {
        let name = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            let name = names.entry(reference.to_string());
            Arc::clone(name.or_insert_with(|| Arc::new(ImageName::new(reference))))
        };
        let asking = || self.cache.resolve(&name, platform);
        let image = self.asked_again(reference, asking).await?;
        image
            .config
            .check_layer_count(image.manifest.layers.len())?;
        let origin = LayerOrigin::Registry(image.origin.clone());
        let layers = stored_layers(&image.manifest, &image.config, &origin);
        self.want_unpacked(&layers)?;
        let base = BaseImage {
            digest: Some(image.descriptor.digest.clone()),
            config: image.config.clone(),
            layers,
        };
        let image = Arc::new(image);
        self.lend(Arc::clone(&image)).await?;
        self.keeper.note(image);
        Ok(Arc::new(base))
    }

    /// Has the layers of an image kept unpacked once they are.
    fn want_unpacked(&self, layers: &[StageLayer]) -> Result<()> {
        if let Some(unpacked) = &self.unpacked_bases {
            let layers = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
            unpacked.want(chain_ids(&layers));
        }
        Ok(())
    }

    /// Keeps what was pulled and is here, and waits until that is done.
    pub async fn finish_keeping(&self) {
        self.keeper.keep_what_is_here();
        // Nobody waits for it once the build is asked to end.
        let finish = async {
            self.keeper.finish().await;
            if let Some(unpacked) = &self.unpacked_bases {
                unpacked.finish().await;
            }
        };
        let _ = self.halt.or_halt(finish).await;
    }

    /// A name that stands for one image gives that image, whatever it was made for. Of a FROM, lint warns.
    pub(super) fn warn_of_platform(&self, name: &dyn Display, found: &Platform, wanted: &Platform) {
        let found = found.normalised();
        if wanted.preference_of(&found).is_none() {
            let text = format!("`{name}` is for {found}, not for {wanted}");
            (self.progress)(Event::Warning(&text));
        }
    }

    /// Fetches and unpacks the layers that are not here yet, for a stage to start with.
    pub(super) async fn open(self: &Arc<Self>, layers: &[StageLayer]) -> Result<StageFiles> {
        let layers = settled(layers).await?;
        let layers = layers.iter().collect();
        let files = match self.sandbox.storage() {
            StorageKind::Layers(_) => StageFiles::Layers(self.stack(layers).await?),
            StorageKind::Trees => StageFiles::Tree(Box::new(self.tree(layers).await?)),
        };
        self.keeper.keep_what_is_here();
        Ok(files)
    }

    /// Fetches layers, several at a time, and puts them on top of files that may be no image's.
    pub(super) async fn apply(
        self: &Arc<Self>,
        files: StageFiles,
        layers: &[StageLayer],
    ) -> Result<StageFiles> {
        let layers = settled(layers).await?;
        let layers = layers.iter().collect();
        match files {
            StageFiles::Layers(rootfs) => Ok(StageFiles::Layers(self.pile(rootfs, layers).await?)),
            StageFiles::Tree(tree) => {
                let tree = self.unpack_all(*tree, layers).await?;
                Ok(StageFiles::Tree(Box::new(tree)))
            }
        }
    }

    /// Fetches the blobs of layers that are not here yet, several at a time.
    pub(super) async fn gather(self: &Arc<Self>, layers: &[Arc<StoredLayer>]) -> Result<()> {
        let gather = || async {
            for task in self.fetching(layers.iter().collect()) {
                task.await.context("fetching stopped")??;
            }
            Ok(())
        };
        self.unpacked_again(gather).await
    }

    /// Fetches and unpacks the layers that are not here yet, to be read.
    pub(super) async fn view(self: &Arc<Self>, layers: &[StageLayer]) -> Result<StageView> {
        let layers = settled(layers).await?;
        let layers: Vec<_> = layers.iter().collect();
        let view = match self.sandbox.storage() {
            StorageKind::Layers(_) => {
                let mut rootfs = self.stack(layers).await?;
                StageView::Layers(rootfs.view()?)
            }
            StorageKind::Trees => {
                let id = chain_ids(&layers).pop();
                let unpack = async || Ok(Arc::new(self.tree(layers).await?));
                self.trees_to_read.get(id, unpack).await?.view()?
            }
        };
        self.keeper.keep_what_is_here();
        Ok(view)
    }
}

/// Returns the chain IDs of layers, base first (image-spec, config.md "Layer ChainID").
fn chain_ids(layers: &[&Arc<StoredLayer>]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(layers.len());
    for layer in layers {
        let own = layer.diff_id.as_digest();
        let id = match chain.last() {
            None => own.clone(),
            Some(below) => Digest::of(format!("{below} {own}").as_bytes()),
        };
        chain.push(id);
    }
    chain
}

fn stored_layers(
    manifest: &Manifest,
    config: &ImageConfig,
    origin: &LayerOrigin,
) -> Vec<StageLayer> {
    let diff_ids = config.rootfs.diff_ids.iter();
    let stored = manifest
        .layers
        .iter()
        .zip(diff_ids)
        .map(|(descriptor, diff_id)| StoredLayer {
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
            origin: origin.clone(),
        });
    stored
        .map(|layer| StageLayer {
            created: None,
            content: LayerContent::Stored(Arc::new(layer)),
            keeping: None,
        })
        .collect()
}

/// Waits until layers that are being written are among the blobs.
pub(super) async fn settled(layers: &[StageLayer]) -> Result<Vec<Arc<StoredLayer>>> {
    let mut settled = Vec::with_capacity(layers.len());
    for layer in layers {
        settled.push(match &layer.content {
            LayerContent::New(layer) => Arc::new(StoredLayer::written(&*layer.clone().await?)),
            LayerContent::Stored(_) | LayerContent::Unwritten => Arc::clone(stored(layer)?),
        });
    }
    Ok(settled)
}

fn stored(layer: &StageLayer) -> Result<&Arc<StoredLayer>> {
    match &layer.content {
        LayerContent::Stored(stored) => Ok(stored),
        LayerContent::New(_) | LayerContent::Unwritten => {
            bail!("a layer of this build has no directory of its own")
        }
    }
}
