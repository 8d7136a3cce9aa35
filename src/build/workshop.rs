//! What all stages of a build share.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::context::BuildContext;
use crate::image::LayerCompression;
use crate::image::blob_store::BlobStore;
use crate::image::layer_encoder::Compression;
use crate::image::layer_writer::{Layer, LayerOptions, LayerWriter};
use crate::sandbox::{FrozenStep, Rootfs, Sandbox, Stop};
use crate::snapshot::change::Excluded;
use crate::snapshot::{self, OverlayDiff};

use super::base::BaseImages;
use super::layers::{LayerContent, PendingLayer, StageLayer, pending};
use super::scope::GlobalScope;
use super::{BuildInput, BuildOptions, DockerfileText, Event, Progress, StepName};

/// Layers that are written at the same time. Each compresses on all processors; a second one fills
/// the gaps while the first waits for the disk.
const LAYER_WRITERS: usize = 2;

/// What a build works with.
pub struct Tools {
    /// Images to start from, and the blobs of this build.
    pub images: Arc<BaseImages>,
    /// Where steps run.
    pub sandbox: Sandbox,
    /// Asks the steps to stop.
    pub stop: Stop,
    /// Hears what happens.
    pub progress: Progress,
}

/// What all stages of a build share.
pub(super) struct Workshop {
    pub(super) text: DockerfileText,
    /// The Dockerfile's escape character.
    pub(super) escape: char,
    pub(super) context: BuildContext,
    pub(super) global: GlobalScope,
    pub(super) images: Arc<BaseImages>,
    pub(super) sandbox: Sandbox,
    pub(super) stop: Stop,
    progress: Progress,
    layer_options: LayerOptions,
    epoch: Option<Timestamp>,
    runtime: Handle,
    layer_writers: Arc<Semaphore>,
    /// Layers begun so far: part of their temporary names.
    layers_begun: AtomicUsize,
}

impl Workshop {
    /// Equips a build; must be called in its runtime.
    pub(super) fn new(
        input: BuildInput,
        options: &BuildOptions,
        global: GlobalScope,
        tools: Tools,
    ) -> Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let epoch = options.source_date_epoch;
        let epoch_time = epoch.map(Timestamp::from_second).transpose();
        Ok(Self {
            text: input.text,
            escape: input.dockerfile.directives.escape,
            context: input.context,
            global,
            images: tools.images,
            sandbox: tools.sandbox,
            stop: tools.stop,
            progress: tools.progress,
            layer_options: LayerOptions {
                compression: compression(options),
                clamp_mtime: epoch,
                threads: processors,
            },
            epoch: epoch_time.context("SOURCE_DATE_EPOCH is out of range")?,
            runtime: Handle::current(),
            layer_writers: Arc::new(Semaphore::new(LAYER_WRITERS)),
            layers_begun: AtomicUsize::new(0),
        })
    }

    /// Tells the user something.
    pub(super) fn report(&self, event: Event<'_>) {
        (self.progress)(event);
    }

    /// Returns a directory for files of the build that belong into no image.
    pub(super) fn scratch_dir(&self) -> PathBuf {
        self.sandbox.work_dir()
    }

    /// Returns the time that no time in the image is later than.
    pub(super) fn epoch(&self) -> Option<Timestamp> {
        self.epoch
    }

    /// Fetches and unpacks the layers that are not here yet, and stacks them. Blocks.
    pub(super) fn open_layers(&self, layers: &[StageLayer]) -> Result<Rootfs> {
        self.runtime.block_on(self.images.open(layers))
    }

    /// Writes the layer of a step in the background, unless no image needs it.
    pub(super) fn write_layer(
        &self,
        frozen: FrozenStep,
        name: &StepName,
        is_needed: bool,
    ) -> StageLayer {
        let content = if is_needed {
            LayerContent::New(self.start_writing(frozen, name))
        } else {
            LayerContent::Unwritten
        };
        StageLayer {
            created: self.now(),
            content,
        }
    }

    /// Returns the time that a layer made now has.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        self.epoch.map_or(now, |epoch| now.min(epoch))
    }

    /// Writes a layer without any entry.
    pub(super) fn write_empty_layer(&self) -> Result<Layer> {
        let blobs = self.images.blobs();
        let file = self.new_layer_file();
        let layer = LayerWriter::create(&file, self.layer_options)?.finish()?;
        blobs.adopt(&layer.path, &layer.digest)?;
        Ok(layer)
    }

    /// Returns a path that no other layer is written to.
    fn new_layer_file(&self) -> PathBuf {
        let number = self.layers_begun.fetch_add(1, Ordering::Relaxed);
        self.scratch_dir().join(format!("layer-{number}"))
    }

    fn start_writing(&self, frozen: FrozenStep, name: &StepName) -> PendingLayer {
        let options = self.layer_options;
        let blobs = self.images.blobs();
        let writers = Arc::clone(&self.layer_writers);
        let (progress, name) = (Arc::clone(&self.progress), name.clone());
        let file = self.new_layer_file();
        let work = move || -> Result<Layer> {
            let layer = write(&frozen, &file, &blobs, options)
                .with_context(|| format!("{name}: cannot write the layer"))?;
            progress(Event::Layer {
                step: &name,
                digest: layer.digest.as_str(),
                size: layer.size,
                entries: layer.entries,
            });
            Ok(layer)
        };
        // Started at once, not when somebody first asks for the layer.
        let task = self.runtime.spawn(async move {
            let _turn = writers.acquire_owned().await;
            tokio::task::spawn_blocking(work).await
        });
        pending(async move {
            let joined = task.await.and_then(|inner| inner);
            joined.context("writing the layer stopped")?
        })
    }
}

/// Makes a layer of what a step changed, and puts it among the blobs.
fn write(
    frozen: &FrozenStep,
    file: &Path,
    blobs: &BlobStore,
    options: LayerOptions,
) -> Result<Layer> {
    let diff = OverlayDiff {
        upper: &frozen.upper,
        lower: frozen.lower.root(),
        xattrs: frozen.xattrs,
        excluded: &Excluded::default(),
    };
    let writer = LayerWriter::create(file, options)?;
    let (layer, _) = snapshot::write_layer(&diff, writer)?;
    blobs.adopt(&layer.path, &layer.digest)?;
    Ok(layer)
}

fn compression(options: &BuildOptions) -> Compression {
    let level = options.compression_level;
    match options.compression {
        LayerCompression::None => Compression::None,
        LayerCompression::Gzip => Compression::Gzip {
            level: level.unwrap_or(Compression::GZIP_LEVEL),
        },
        LayerCompression::Zstd => Compression::Zstd {
            level: level.map_or(Compression::ZSTD_LEVEL, u32::cast_signed),
        },
    }
}
