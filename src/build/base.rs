//! Images that a build starts from or copies from: found in the cache directory or in their registry, fetched and unpacked
//! only when a step needs their files, and each layer once.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio_util::io::SyncIoBridge;

use crate::cache::local_cache::{HeldBlob, NewTree};
use crate::cache::{BaseImageCache, ImageLayers, LocalCache, ResolvedImage};
use crate::fs::Root;
use crate::image::blob_store::{BlobError, BlobStore, LentGuard};
use crate::image::decompress::{Compression, LayerDecompressor};
use crate::image::unpack;
use crate::image::{Digest, ImageConfig, OverlayXattrs, Platform, Reference};
use crate::registry::Purpose;
use crate::sandbox::{LayerDir, Rootfs, Sandbox, StorageKind};

use super::draft::ImageDraft;
use super::files::{StageFiles, StageTree, StageView};
use super::halt::Halt;
use super::keeper::Keeper;
use super::layers::{LayerContent, StageLayer, StoredLayer};
use super::once::Once;
use super::unpacked_bases::UnpackedBases;
use super::unpacking::{LayerPlace, LayerWork, UnpackedLayer, check_diff_id, root_of};
use super::{Event, Progress};

/// An image, of which manifest and config are here. Its layers are in a registry, or among the blobs, or both.
#[derive(Debug)]
pub(super) struct BaseImage {
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
    resolved: Once<(String, String), Arc<BaseImage>>,
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
            resolved: Once::default(),
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

    async fn fetch_image(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>> {
        let image = self.cache.resolve(reference, platform).await?;
        image
            .config
            .check_layer_count(image.manifest.layers.len())?;
        self.warn_of_platform(reference, &image.config.platform(), platform);
        let layers = stored_layers(&image);
        if let Some(unpacked) = &self.unpacked_bases {
            let layers = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
            unpacked.want(chain_ids(&layers));
        }
        let base = BaseImage {
            config: image.config.clone(),
            layers,
        };
        let image = Arc::new(image);
        self.lend(Arc::clone(&image)).await?;
        self.keeper.note(image);
        Ok(Arc::new(base))
    }

    /// Lends the layers that the cache has to the blob store. What cannot be lent is fetched when it is needed.
    async fn lend(&self, image: Arc<ResolvedImage>) -> Result<()> {
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

    /// A name that stands for one image gives that image, whatever it was made for.
    fn warn_of_platform(&self, reference: &Reference, found: &Platform, wanted: &Platform) {
        let found = found.normalised();
        if wanted.preference_of(&found).is_none() {
            let text = format!("`{reference}` is for {found}, not for {wanted}");
            (self.progress)(Event::Warning(&text));
        }
    }

    /// Fetches and unpacks the layers that are not here yet, for a stage to start with.
    pub(super) async fn open(self: &Arc<Self>, layers: &[StageLayer]) -> Result<StageFiles> {
        let layers = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
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
        let layers = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
        match files {
            StageFiles::Layers(rootfs) => Ok(StageFiles::Layers(self.pile(rootfs, layers).await?)),
            StageFiles::Tree(tree) => {
                let tree = self.unpack_all(*tree, layers).await?;
                Ok(StageFiles::Tree(Box::new(tree)))
            }
        }
    }

    /// Fetches and unpacks the layers that are not here yet, to be read.
    pub(super) async fn view(self: &Arc<Self>, layers: &[StageLayer]) -> Result<StageView> {
        let layers = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
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

    /// Makes a directory of the layers.
    async fn tree(self: &Arc<Self>, layers: Vec<&Arc<StoredLayer>>) -> Result<StageTree> {
        self.unpack_all(StageTree::new(&self.sandbox)?, layers)
            .await
    }

    /// Fetches the layers, several at a time, and applies them to a directory, one after the other.
    async fn unpack_all(
        self: &Arc<Self>,
        mut tree: StageTree,
        layers: Vec<&Arc<StoredLayer>>,
    ) -> Result<StageTree> {
        let fetch = |layer: &Arc<StoredLayer>| {
            let (images, layer) = (Arc::clone(self), Arc::clone(layer));
            // A task each: a layer that waits for its turn must not hold up the others.
            tokio::spawn(async move {
                let fetch = || images.fetch_blob(&layer);
                images
                    .fetched
                    .get(layer.descriptor.digest.clone(), fetch)
                    .await?;
                anyhow::Ok(layer)
            })
        };
        let tasks: Vec<_> = layers.into_iter().map(fetch).collect();
        for task in tasks {
            let layer = task.await.context("fetching stopped")??;
            let images = Arc::clone(self);
            let unpacking = tokio::task::spawn_blocking(move || {
                images.unpack_into(&mut tree, &layer)?;
                anyhow::Ok(tree)
            });
            tree = unpacking.await.context("unpacking stopped")??;
        }
        Ok(tree)
    }

    /// Fetches the blob of a layer, unless it is here.
    async fn fetch_blob(&self, layer: &StoredLayer) -> Result<()> {
        if self.blobs.contains(&layer.descriptor.digest) {
            return Ok(());
        }
        let failed = || format!("cannot fetch layer {}", layer.name());
        let mut source = self.open_remote(layer).await.with_context(failed)?;
        let mut blob = self.blobs.writer_for(&layer.descriptor.digest)?;
        let digest = layer.descriptor.digest.clone();
        let task = tokio::task::spawn_blocking(move || -> Result<()> {
            io::copy(&mut source, &mut blob)?;
            blob.commit(Some(&digest))?;
            Ok(())
        });
        task.await.context("fetching stopped")?.with_context(failed)
    }

    /// Applies a layer, whose blob is here, to a tree.
    fn unpack_into(&self, tree: &mut StageTree, layer: &StoredLayer) -> Result<()> {
        let start = Instant::now();
        let mut work = || -> Result<()> {
            let blob = self.blobs.read(&layer.descriptor.digest)?;
            let (compression, source) = Compression::detect(self.halt.file(blob))?;
            let mut tar = LayerDecompressor::spawn(source, compression)?;
            tree.unpack(&mut tar)?;
            check_diff_id(&tar.finish()?, &layer.diff_id)
        };
        work().with_context(|| format!("cannot unpack layer {}", layer.name()))?;
        self.tell_unpacked(layer, start);
        Ok(())
    }

    /// Fetches and unpacks the layers that are not here yet, several at a time, and stacks them.
    async fn stack(self: &Arc<Self>, layers: Vec<&Arc<StoredLayer>>) -> Result<Rootfs> {
        let chain = chain_ids(&layers);
        let mut tasks = Vec::with_capacity(layers.len());
        for (layer, id) in layers.into_iter().zip(&chain) {
            let (images, layer, id) = (Arc::clone(self), Arc::clone(layer), id.clone());
            // A task each: a layer that waits for its turn must not hold up the others.
            tasks.push(tokio::spawn(
                async move { images.unpacked(id, layer).await },
            ));
        }
        let mut stack: Vec<LayerDir> = Vec::with_capacity(tasks.len());
        for (task, id) in tasks.into_iter().zip(chain) {
            let layer = task.await.context("unpacking stopped")??;
            if layer.unpacked.is_root_opaque {
                stack.clear();
            }
            let complete = || self.complete(Arc::clone(&layer), stack.clone());
            stack.push(self.completed.get(id, complete).await?);
        }
        let mut rootfs = Rootfs::new(&self.sandbox);
        for layer in stack {
            rootfs.push_layer(layer);
        }
        Ok(rootfs)
    }

    /// Fetches and unpacks layers, several at a time, and puts them on top of a stack which may have layers of this build.
    async fn pile(
        self: &Arc<Self>,
        mut rootfs: Rootfs,
        layers: Vec<&Arc<StoredLayer>>,
    ) -> Result<Rootfs> {
        let fetch = |layer: &Arc<StoredLayer>| {
            let (images, layer) = (Arc::clone(self), Arc::clone(layer));
            tokio::spawn(async move {
                let dir = images.sandbox.new_layer_dir()?;
                images.fetch_layer(&layer, dir).await.map(Arc::new)
            })
        };
        let tasks: Vec<_> = layers.into_iter().map(fetch).collect();
        for task in tasks {
            let layer = task.await.context("unpacking stopped")??;
            if layer.unpacked.is_root_opaque {
                rootfs = Rootfs::new(&self.sandbox);
            }
            let below = rootfs.layers().to_vec();
            rootfs.push_layer(self.complete(layer, below).await?);
        }
        Ok(rootfs)
    }

    async fn unpacked(
        self: Arc<Self>,
        id: Digest,
        layer: Arc<StoredLayer>,
    ) -> Result<Arc<UnpackedLayer>> {
        let fetch = || self.unpack_layer(&id, &layer);
        self.unpacked.get(id.clone(), fetch).await
    }

    /// Finds a layer that is unpacked in the cache, or unpacks it there; where that is not possible, in the work directory.
    async fn unpack_layer(
        self: &Arc<Self>,
        id: &Digest,
        layer: &StoredLayer,
    ) -> Result<Arc<UnpackedLayer>> {
        match self.place_in_cache(id, layer).await? {
            LayerPlace::Own => {}
            LayerPlace::Kept(tree) => {
                let (place, digest) = (layer.place(), &layer.descriptor.digest);
                (self.progress)(Event::Note(&format!(
                    "{place}: {digest} is unpacked in the cache"
                )));
                let dir = self.sandbox.adopt_layer_dir(&tree.root())?;
                return Ok(Arc::new(UnpackedLayer::kept(tree, dir)));
            }
            LayerPlace::New(tree) => match self.unpack_into_cache(layer, tree).await {
                Ok(unpacked) => return Ok(Arc::new(unpacked)),
                Err(error) if self.halt.is_requested() => return Err(error),
                Err(error) => tracing::warn!("a layer is not kept unpacked: {error:#}"),
            },
        }
        let dir = self.sandbox.new_layer_dir()?;
        Ok(Arc::new(self.fetch_layer(layer, dir).await?))
    }

    async fn place_in_cache(
        self: &Arc<Self>,
        id: &Digest,
        layer: &StoredLayer,
    ) -> Result<LayerPlace> {
        let (images, id, size) = (Arc::clone(self), id.clone(), layer.descriptor.size);
        let looking = tokio::task::spawn_blocking(move || {
            let Some(unpacked) = &images.unpacked_bases else {
                return LayerPlace::Own;
            };
            if let Some(tree) = unpacked.find(&id) {
                return LayerPlace::Kept(tree);
            }
            match unpacked.begin(&id, size) {
                Some(tree) => LayerPlace::New(Mutex::new(Some(tree))),
                None => LayerPlace::Own,
            }
        });
        looking.await.context("looking at the cache stopped")
    }

    async fn unpack_into_cache(
        &self,
        layer: &StoredLayer,
        tree: Mutex<Option<NewTree>>,
    ) -> Result<UnpackedLayer> {
        let root = {
            let tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
            tree.as_ref().map(NewTree::root)
        };
        let root = root.context("the directory is gone")?;
        let unpacked = self
            .fetch_layer(layer, self.sandbox.adopt_layer_dir(&root)?)
            .await?;
        Ok(UnpackedLayer {
            place: LayerPlace::New(tree),
            ..unpacked
        })
    }

    /// Unpacks a layer into a directory of its own. One that is not here is fetched and its blob kept, all in one pass.
    async fn fetch_layer(&self, layer: &StoredLayer, dir: LayerDir) -> Result<UnpackedLayer> {
        let start = Instant::now();
        let failed = || format!("cannot unpack layer {}", layer.name());
        let digest = &layer.descriptor.digest;
        let is_here = self.blobs.contains(digest);
        let source: Box<dyn Read + Send> = match is_here {
            true => Box::new(self.halt.file(self.blobs.read(digest)?)),
            false => Box::new(self.open_remote(layer).await.with_context(failed)?),
        };
        let copy = match is_here {
            true => None,
            false => Some(self.blobs.writer_for(digest)?),
        };
        let work = LayerWork {
            dir,
            copy,
            digest: digest.clone(),
            diff_id: layer.diff_id.clone(),
            xattrs: overlay_xattrs(&self.sandbox),
        };
        let task = tokio::task::spawn_blocking(move || work.unpack(source));
        let unpacked = task
            .await
            .context("unpacking stopped")?
            .with_context(failed)?;
        self.tell_unpacked(layer, start);
        Ok(unpacked)
    }

    /// Asks the registry for a layer.
    async fn open_remote(&self, layer: &StoredLayer) -> Result<impl Read + Send + use<>> {
        let Some(origin) = &layer.origin else {
            bail!("it is neither here nor in a registry");
        };
        let registries = &self.cache.registries;
        let registry = registries.registry(&origin.registry, Purpose::Pull)?;
        let repository = registry.repository(&origin.repository);
        let opening = repository.open_blob(&layer.descriptor);
        let reader = self.halt.or_halt(opening).await??;
        let reader = self.halt.reader(reader.into_async_read());
        Ok(SyncIoBridge::new(reader))
    }

    fn tell_unpacked(&self, layer: &StoredLayer, start: Instant) {
        (self.progress)(Event::Unpacked {
            image: &layer.place(),
            digest: layer.descriptor.digest.as_str(),
            size: layer.descriptor.size,
            duration: start.elapsed(),
        });
    }

    /// Gives a layer what it takes from those below it, and returns where it lies from then on.
    async fn complete(
        self: &Arc<Self>,
        layer: Arc<UnpackedLayer>,
        below: Vec<LayerDir>,
    ) -> Result<LayerDir> {
        if let LayerPlace::Kept(_) = layer.place {
            return Ok(layer.dir.clone());
        }
        let (images, unfinished) = (Arc::clone(self), Arc::clone(&layer));
        let xattrs = overlay_xattrs(&self.sandbox);
        let task = tokio::task::spawn_blocking(move || -> Result<Option<NewTree>> {
            let layer = unfinished;
            let lowers = below
                .iter()
                .rev()
                .map(root_of)
                .collect::<Result<Vec<Root>>>()?;
            let lowers: Vec<&Root> = lowers.iter().collect();
            let root = root_of(&layer.dir)?;
            unpack::complete(&layer.unpacked, &root, xattrs, &lowers)?;
            let mut tree = layer.take_new_tree();
            if let (Some(tree), Some(unpacked)) = (&mut tree, &images.unpacked_bases) {
                unpacked.publish(tree);
            }
            Ok(tree)
        });
        let tree = task.await.context("unpacking stopped")??;
        let (Some(tree), Some(unpacked)) = (tree, &self.unpacked_bases) else {
            return Ok(layer.dir.clone());
        };
        let dir = self.sandbox.adopt_layer_dir(&tree.root())?;
        unpacked.finish_later(tree, layer.unpacked.is_root_opaque);
        Ok(dir)
    }
}

fn overlay_xattrs(sandbox: &Sandbox) -> OverlayXattrs {
    match sandbox.storage() {
        StorageKind::Layers(xattrs) => xattrs,
        StorageKind::Trees => unreachable!("layers are unpacked alone only for overlays"),
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

fn stored_layers(image: &ResolvedImage) -> Vec<StageLayer> {
    let diff_ids = image.config.rootfs.diff_ids.iter();
    let stored = image
        .manifest
        .layers
        .iter()
        .zip(diff_ids)
        .map(|(descriptor, diff_id)| StoredLayer {
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
            origin: Some(image.origin.clone()),
        });
    stored
        .map(|layer| StageLayer {
            created: None,
            content: LayerContent::Stored(Arc::new(layer)),
            keeping: None,
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
