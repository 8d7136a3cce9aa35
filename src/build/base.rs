//! Images that a build starts from or copies from: found in their registry, fetched and unpacked only
//! when a step needs their files, and each layer once.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
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
    BlobOrigin, Descriptor, DiffId, Digest, ImageConfig, OverlayXattrs, Platform, Reference,
};
use crate::registry::{Purpose, Registries, Repository};
use crate::sandbox::{LayerDir, Rootfs, Sandbox, StorageKind};

use super::draft::ImageDraft;
use super::halt::Halt;
use super::layers::{LayerContent, StageLayer, StoredLayer};
use super::{Event, Progress};

/// An image in a registry, of which nothing but manifest and config is here.
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
        ImageDraft::from_base(self.config.clone(), self.layers.clone())
    }
}

/// The images of a build.
pub struct BaseImages {
    registries: Arc<Registries>,
    blobs: Arc<BlobStore>,
    sandbox: Sandbox,
    halt: Halt,
    progress: Progress,
    resolved: Once<(String, String), Arc<BaseImage>>,
    /// Layers by the digests of those below and their own: what a layer leaves out, it takes from
    /// those below.
    unpacked: Once<Digest, Arc<UnpackedLayer>>,
    completed: Once<Digest, ()>,
}

impl BaseImages {
    /// Makes an empty collection. Blobs that are fetched go into `blobs`.
    pub fn new(
        registries: Arc<Registries>,
        blobs: Arc<BlobStore>,
        sandbox: Sandbox,
        halt: Halt,
        progress: Progress,
    ) -> Self {
        Self {
            registries,
            blobs,
            sandbox,
            halt,
            progress,
            resolved: Once::default(),
            unpacked: Once::default(),
            completed: Once::default(),
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
        self.warn_of_platform(reference, &config.platform(), platform);
        let layers = stored_layers(&manifest.layers, &config, &repository);
        Ok(Arc::new(BaseImage { config, layers }))
    }

    /// A name that stands for one image gives that image, whatever it was made for.
    fn warn_of_platform(&self, reference: &Reference, found: &Platform, wanted: &Platform) {
        let found = found.normalised();
        if wanted.preference_of(&found).is_none() {
            let text = format!("`{reference}` is for {found}, not for {wanted}");
            (self.progress)(Event::Warning(&text));
        }
    }

    /// Fetches and unpacks the layers that are not here yet, several at a time, and stacks them.
    pub(super) async fn open(self: &Arc<Self>, layers: &[StageLayer]) -> Result<Rootfs> {
        let layers = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
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
            self.completed.get(id, complete).await?;
            stack.push(layer.dir.clone());
        }
        let mut rootfs = Rootfs::new(&self.sandbox);
        for layer in stack {
            rootfs.push_layer(layer);
        }
        Ok(rootfs)
    }

    async fn unpacked(
        self: Arc<Self>,
        id: Digest,
        layer: Arc<StoredLayer>,
    ) -> Result<Arc<UnpackedLayer>> {
        let fetch = || self.fetch_layer(&layer);
        self.unpacked.get(id, fetch).await
    }

    /// Fetches a layer, keeps its blob and unpacks it into a directory of its own, all in one pass.
    async fn fetch_layer(&self, layer: &StoredLayer) -> Result<Arc<UnpackedLayer>> {
        let start = Instant::now();
        let registry = self
            .registries
            .registry(&layer.origin.registry, Purpose::Pull)?;
        let repository = registry.repository(&layer.origin.repository);
        let name = format!("{}/{}", layer.origin.registry, layer.origin.repository);
        let descriptor = &layer.descriptor;
        let failed = || format!("cannot unpack layer {} of `{name}`", descriptor.digest);
        let opening = self.halt.or_halt(repository.open_blob(descriptor)).await;
        let reader = opening.with_context(failed)?.with_context(failed)?;
        let source = SyncIoBridge::new(self.halt.reader(reader.into_async_read()));
        let work = LayerWork {
            dir: self.sandbox.new_layer_dir()?,
            blob: self.blobs.writer_for(&descriptor.digest)?,
            digest: descriptor.digest.clone(),
            diff_id: layer.diff_id.clone(),
            xattrs: overlay_xattrs(&self.sandbox),
        };
        let task = tokio::task::spawn_blocking(move || work.unpack(source));
        let unpacked = task
            .await
            .context("unpacking stopped")?
            .with_context(failed)?;
        (self.progress)(Event::Unpacked {
            image: &name,
            digest: descriptor.digest.as_str(),
            size: descriptor.size,
            duration: start.elapsed(),
        });
        Ok(Arc::new(unpacked))
    }

    /// Gives a layer what it takes from those below it.
    async fn complete(&self, layer: Arc<UnpackedLayer>, below: Vec<LayerDir>) -> Result<()> {
        let xattrs = overlay_xattrs(&self.sandbox);
        let task = tokio::task::spawn_blocking(move || -> Result<()> {
            let lowers = below
                .iter()
                .rev()
                .map(root_of)
                .collect::<Result<Vec<Root>>>()?;
            let lowers: Vec<&Root> = lowers.iter().collect();
            let root = root_of(&layer.dir)?;
            Ok(unpack::complete(&layer.unpacked, &root, xattrs, &lowers)?)
        });
        task.await.context("unpacking stopped")?
    }
}

/// A layer in a directory of its own.
struct UnpackedLayer {
    dir: LayerDir,
    unpacked: Unpacked,
}

/// What unpacking one layer takes. Runs on a thread of its own.
struct LayerWork {
    dir: LayerDir,
    blob: BlobWriter,
    digest: Digest,
    diff_id: DiffId,
    xattrs: OverlayXattrs,
}

impl LayerWork {
    fn unpack(self, source: impl Read + Send + 'static) -> Result<UnpackedLayer> {
        // The blob is written by the thread that decompresses it, and finished by this one.
        let blob = Arc::new(Mutex::new(self.blob));
        let tee = Tee {
            source,
            copy: Arc::clone(&blob),
        };
        let (compression, source) = Compression::detect(tee)?;
        let mut tar = LayerDecompressor::spawn(source, compression)?;
        let options = UnpackOptions {
            form: Form::OverlayLayer(self.xattrs),
            owner: None,
        };
        let unpacked = unpack(&mut tar, &root_of(&self.dir)?, &options)?;
        let diff_id = tar.finish()?;
        if diff_id != self.diff_id {
            bail!(
                "the layer's content is {diff_id}, its config says {}",
                self.diff_id
            );
        }
        let blob = Arc::into_inner(blob).context("the layer is still being read")?;
        let blob = blob.into_inner().unwrap_or_else(PoisonError::into_inner);
        blob.commit(Some(&self.digest))?;
        Ok(UnpackedLayer {
            dir: self.dir,
            unpacked,
        })
    }
}

/// Hands on what it reads, and writes a copy of it.
struct Tee<R> {
    source: R,
    copy: Arc<Mutex<BlobWriter>>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}

fn overlay_xattrs(sandbox: &Sandbox) -> OverlayXattrs {
    match sandbox.storage() {
        StorageKind::Layers(xattrs) => xattrs,
        StorageKind::Trees => unreachable!("layers are unpacked alone only for overlays"),
    }
}

fn root_of(layer: &LayerDir) -> Result<Root> {
    Ok(Root::from_dir(layer.open()?))
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

/// Values that are made once, by the first who asks; others wait for it.
struct Once<K, V>(Mutex<BTreeMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Once<K, V> {
    async fn get<F: Future<Output = Result<V>>>(
        &self,
        key: K,
        make: impl FnOnce() -> F,
    ) -> Result<V> {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_try_init(make).await.cloned()
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
    let stored = descriptors
        .iter()
        .zip(diff_ids)
        .map(|(descriptor, diff_id)| StoredLayer {
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
