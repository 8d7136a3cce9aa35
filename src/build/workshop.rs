//! What all stages of a build share.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::context::BuildContext;
use crate::image::LayerCompression;
use crate::image::layer_writer::{Compression, Layer, LayerOptions};
use crate::sandbox::{FrozenStep, Rootfs, Sandbox, Stop};
use crate::snapshot;

use super::base::BaseImages;
use super::layers::{LayerContent, StageLayer, pending};
use super::scope::GlobalScope;
use super::{BuildOptions, DockerfileText, Event, Progress, StepName};

/// Layers that are written at the same time. Each compresses on all processors; a second one fills
/// the gaps while the first waits for the disk.
const LAYER_WRITERS: usize = 2;

/// What all stages of a build share.
pub(super) struct Workshop {
    pub(super) text: DockerfileText,
    /// The Dockerfile's escape character.
    pub(super) escape: char,
    pub(super) context: BuildContext,
    pub(super) global: GlobalScope,
    pub(super) images: Arc<BaseImages>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) stop: Stop,
    progress: Progress,
    layer_options: LayerOptions,
    epoch: Option<Timestamp>,
    runtime: Handle,
    layer_writers: Arc<Semaphore>,
}

impl Workshop {
    /// Tells the user something.
    pub(super) fn report(&self, event: Event<'_>) {
        (self.progress)(event);
    }

    /// Returns a directory for files of the build that belong into no image.
    pub(super) fn scratch_dir(&self) -> &Path {
        self.sandbox.scratch_dir()
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

    fn start_writing(&self, frozen: FrozenStep, name: &StepName) -> super::layers::PendingLayer {
        let options = self.layer_options;
        let blobs = self.images.blobs();
        let writers = Arc::clone(&self.layer_writers);
        let (progress, name) = (Arc::clone(&self.progress), name.clone());
        let write = move || -> Result<Layer> {
            let layer = snapshot::into_layer(&frozen, &blobs, options)
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
            tokio::task::spawn_blocking(write).await
        });
        pending(async move { task.await.context("the layer writer stopped")?.context("the layer writer stopped")? })
    }
}
