//! What all stages of a build share.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::cache::inputs::LayerForm;
use crate::context::BuildContext;
use crate::context::digest::ContentDigests;
use crate::dockerfile::Span;
use crate::fs::{Root, remove_tree};
use crate::image::LayerCompression;
use crate::image::layer_encoder::Compression;
use crate::image::layer_writer::{Layer, LayerOptions, LayerWriter};
use crate::remote::RemoteOptions;
use crate::sandbox::{Agent, FrozenStep, Sandbox, Secret};
use crate::snapshot::Excluded;
use crate::snapshot::ScanDiff;

use super::base::BaseImages;
use super::cache_dirs::CacheDirs;
use super::context_files::ContextFiles;
use super::evaluated::EvaluatedStep;
use super::files::{StageFiles, StageView};
use super::halt::{Halt, Halted};
use super::layer_job::LayerJob;
use super::layers::{LayerContent, PendingLayer, SharedError, StageLayer, pending};
use super::mount_carrier::MountCarrier;
use super::plan::Plan;
use super::remotes::Remotes;
use super::scope::GlobalScope;
use super::step_cache::{StepCache, StepCaching};
use super::{BuildInput, BuildOptions, DockerfileText, Event, Progress, StepName};

/// Layers that are written at the same time. Each compresses on all processors; a second one fills
/// the gaps while the first waits for the disk.
const LAYER_WRITERS: usize = 2;

/// What a build works with.
pub struct Tools {
    /// Images to start from, and the blobs of this build.
    pub images: Arc<BaseImages>,
    /// Layers of steps that were executed before. `None` where nothing is cached.
    pub cache: Option<StepCache>,
    /// How servers of files and repositories are spoken to.
    pub remote: RemoteOptions,
    /// Where steps run.
    pub sandbox: Sandbox,
    /// Asks everything to end.
    pub halt: Halt,
    /// Hears what happens.
    pub progress: Progress,
}

/// What all stages of a build share.
pub(super) struct Workshop {
    pub(super) text: DockerfileText,
    /// The Dockerfile's escape character.
    pub(super) escape: char,
    pub(super) context: BuildContext,
    /// What RUNs see of it.
    pub(super) context_files: ContextFiles,
    /// Directories that RUNs share.
    pub(super) caches: CacheDirs,
    /// `None` where cache mounts end with the build.
    pub(super) carrier: Option<MountCarrier>,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) agents: BTreeMap<String, Arc<Agent>>,
    /// Of the first platform: only what `--build-arg` gives is asked of it.
    pub(super) global: GlobalScope,
    pub(super) images: Arc<BaseImages>,
    /// `None` where nothing is cached.
    pub(super) caching: Option<StepCaching>,
    /// Files from the network.
    pub(super) remotes: Arc<Remotes>,
    /// What is known of the bytes of files.
    pub(super) contents: ContentDigests,
    sandbox: Sandbox,
    pub(super) halt: Halt,
    progress: Progress,
    /// How layers of the image are written.
    layer_options: LayerOptions,
    /// How those of steps are.
    step_compression: Compression,
    excluded: Arc<Excluded>,
    epoch: Option<Timestamp>,
    runtime: Handle,
    layer_writers: Arc<Semaphore>,
    /// Layers begun so far: part of their temporary names.
    layers_begun: AtomicUsize,
    /// Why a layer could not be written: the build is in vain from then on.
    layer_failure: Arc<Mutex<Option<SharedError>>>,
}

impl Workshop {
    /// Equips a build; must be called in its runtime.
    pub(super) fn new(
        input: BuildInput,
        options: &BuildOptions,
        plans: &[Plan],
        tools: Tools,
    ) -> Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let (global, epoch) = (plans[0].global.clone(), plans[0].epoch);
        if plans.iter().any(|plan| plan.epoch != epoch) {
            bail!("SOURCE_DATE_EPOCH is not the same for all platforms");
        }
        let epoch_time = epoch.map(Timestamp::from_second).transpose();
        let form = LayerForm {
            compression: compression(options),
            clamp_mtime: epoch,
        };
        let mut cache = tools.cache;
        let carried = cache.as_mut().and_then(|cache| cache.mounts.take());
        let carrier = carried.map(|carried| {
            let (sandbox, blobs) = (&tools.sandbox, tools.images.blobs());
            let platform = &options.platforms[0];
            MountCarrier::new(carried, sandbox, blobs, platform, &tools.progress)
        });
        let caching =
            cache.map(|cache| StepCaching::new(cache, tools.images.blobs(), form, options));
        let keeps_layers = caching.as_ref().is_some_and(StepCaching::keeps);
        Ok(Self {
            remotes: Arc::clone(&plans[0].remotes),
            caching,
            carrier,
            contents: ContentDigests::new(processors),
            text: input.text,
            escape: input.dockerfile.directives.escape,
            context: input.context,
            context_files: ContextFiles::default(),
            caches: CacheDirs::new({
                let sandbox = tools.sandbox.clone();
                move || sandbox.new_files_dir()
            }),
            secrets: options.secrets.clone(),
            agents: options.agents.clone(),
            global,
            images: tools.images,
            sandbox: tools.sandbox,
            halt: tools.halt,
            progress: tools.progress,
            layer_options: LayerOptions {
                compression: compression(options),
                clamp_mtime: epoch,
                threads: processors,
            },
            step_compression: match options.is_single_snapshot && !keeps_layers {
                // Nobody gets them but the one layer that is made of them.
                true => Compression::None,
                false => compression(options),
            },
            excluded: Arc::new(options.ignored_paths.clone()),
            epoch: epoch_time.context("SOURCE_DATE_EPOCH is out of range")?,
            runtime: Handle::current(),
            layer_writers: Arc::new(Semaphore::new(LAYER_WRITERS)),
            layers_begun: AtomicUsize::new(0),
            layer_failure: Arc::default(),
        })
    }

    /// Tells the user that a step begins.
    pub(super) fn announce(&self, step: &EvaluatedStep) {
        self.report(Event::Started {
            step: &step.name,
            text: &step.text,
        });
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Tells the user something.
    pub(super) fn report(&self, event: Event<'_>) {
        (self.progress)(event);
    }

    /// Returns where steps run.
    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Returns a directory for files of the build that belong into no image.
    pub(super) fn scratch_dir(&self) -> PathBuf {
        self.sandbox.work_dir()
    }

    /// Returns the time that no time in the image is later than.
    pub(super) fn epoch(&self) -> Option<Timestamp> {
        self.epoch
    }

    /// Fails if the build is in vain: a layer could not be written, or somebody asked it to end.
    pub(super) fn check_going(&self) -> Result<()> {
        let failure = self
            .layer_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &*failure {
            return Err(error.clone().into());
        }
        if self.halt.is_requested() {
            return Err(Halted.into());
        }
        Ok(())
    }

    /// Fetches and unpacks the layers that are not here yet, and stacks them. Blocks.
    pub(super) fn open_layers(&self, layers: &[StageLayer]) -> Result<StageFiles> {
        self.runtime.block_on(self.images.open(layers))
    }

    /// Fetches layers and puts them on top of files. Blocks.
    pub(super) fn apply_layers(
        &self,
        files: StageFiles,
        layers: &[StageLayer],
    ) -> Result<StageFiles> {
        self.runtime.block_on(self.images.apply(files, layers))
    }

    /// Waits for something, on a thread that may block.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Fetches and unpacks the layers that are not here yet, and shows their files. Blocks.
    pub(super) fn view_layers(&self, layers: &[StageLayer]) -> Result<StageView> {
        self.runtime.block_on(self.images.view(layers))
    }

    /// Returns the paths that belong into no layer.
    pub(super) fn excluded(&self) -> &Excluded {
        &self.excluded
    }

    /// Writes the layer of a step in the background. `None` is a step whose layer no image needs.
    pub(super) fn write_layer(
        &self,
        frozen: Option<FrozenStep>,
        name: &StepName,
        span: Span,
    ) -> StageLayer {
        match frozen {
            Some(frozen) => {
                let job = self.layer_job(name, span);
                let excluded = Arc::clone(&self.excluded);
                let write = move || job.write_step(&frozen, &excluded);
                self.layer(LayerContent::New(self.start_writing(write)))
            }
            None => self.no_layer(),
        }
    }

    /// Writes a layer of all `files` in the background; they are gone after that. One that no image needs is not
    /// compressed.
    pub(super) fn layer_of_files(
        &self,
        files: Root,
        is_needed: bool,
        name: &StepName,
        span: Span,
    ) -> StageLayer {
        let mut job = self.layer_job(name, span);
        if !is_needed {
            job.options.compression = Compression::None;
        }
        let excluded = Arc::clone(&self.excluded);
        let write = move || {
            let layer = job.write_files(&files, &excluded)?;
            for name in files.dir().names()? {
                remove_tree(files.dir(), &name)?;
            }
            Ok(layer)
        };
        self.layer(LayerContent::New(self.start_writing(write)))
    }

    /// Writes a layer of all that is in the directory of one, which stays, in the background.
    pub(super) fn layer_of_dir(&self, dir: Root, name: &StepName, span: Span) -> StageLayer {
        let job = self.layer_job(name, span);
        let excluded = Arc::clone(&self.excluded);
        let write = move || job.write_files(&dir, &excluded);
        self.layer(LayerContent::New(self.start_writing(write)))
    }

    /// Writes a layer for a stage that is one plain directory, where that has more than the image: also what is part of no
    /// layer. The files stay.
    pub(super) fn layer_for_tree(&self, dir: Root, name: &StepName, span: Span) -> StageLayer {
        let mut job = self.layer_job(name, span);
        job.options.compression = Compression::None;
        let write = move || job.write_files(&dir, &Excluded::new());
        self.layer(LayerContent::New(self.start_writing(write)))
    }

    /// Says whether there are paths that are part of no layer.
    pub(super) fn leaves_paths_out(&self) -> bool {
        !self.excluded.is_empty()
    }

    /// Stands for a step whose layer no image needs.
    pub(super) fn no_layer(&self) -> StageLayer {
        self.layer(LayerContent::Unwritten)
    }

    /// Writes the layer of a step at once.
    pub(super) fn write_layer_now(
        &self,
        diff: &ScanDiff<'_>,
        name: &StepName,
        span: Span,
    ) -> Result<StageLayer> {
        let job = self.layer_job(name, span);
        let layer = job.write(&diff.into())?;
        Ok(self.layer(LayerContent::New(pending(async { Ok(layer) }))))
    }

    fn layer(&self, content: LayerContent) -> StageLayer {
        StageLayer {
            // The history takes it back where it is later than the epoch; a cache must know how old the layer is.
            created: Some(Timestamp::now()),
            content,
            keeping: None,
        }
    }

    /// Writes a layer without any entry.
    pub(super) fn write_empty_layer(&self) -> Result<Layer> {
        let blobs = self.images.blobs();
        let file = self.new_layer_file();
        let layer = LayerWriter::create(&file, self.layer_options)?.finish()?;
        blobs.adopt(&layer.path, &layer.digest)?;
        Ok(layer)
    }

    /// Returns how layers of the image are written.
    pub(super) fn layer_options(&self) -> LayerOptions {
        self.layer_options
    }

    /// Says whether the layers of steps are written as those of the image are to be.
    pub(super) fn step_layers_are_final(&self) -> bool {
        self.step_compression == self.layer_options.compression
    }

    /// Returns a path that no other layer is written to.
    pub(super) fn new_layer_file(&self) -> PathBuf {
        let number = self.layers_begun.fetch_add(1, Ordering::Relaxed);
        self.scratch_dir().join(format!("layer-{number}"))
    }

    fn start_writing(
        &self,
        write: impl FnOnce() -> Result<Layer> + Send + 'static,
    ) -> PendingLayer {
        let writers = Arc::clone(&self.layer_writers);
        let failure = Arc::clone(&self.layer_failure);
        let work = move || -> Result<Layer, SharedError> {
            write().map_err(|error| {
                let error = SharedError::from(error);
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
                error
            })
        };
        // Started at once, not when somebody first asks for the layer.
        let task = self.runtime.spawn(async move {
            let _turn = writers.acquire_owned().await;
            tokio::task::spawn_blocking(work).await
        });
        pending(async move {
            let joined = task.await.and_then(|inner| inner);
            Ok(joined.context("writing the layer stopped")??)
        })
    }

    fn layer_job(&self, name: &StepName, span: Span) -> LayerJob {
        LayerJob {
            file: self.new_layer_file(),
            blobs: self.images.blobs(),
            options: LayerOptions {
                compression: self.step_compression,
                ..self.layer_options
            },
            halt: self.halt.clone(),
            progress: Arc::clone(&self.progress),
            name: name.clone(),
            text: self.text.clone(),
            span,
        }
    }
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
