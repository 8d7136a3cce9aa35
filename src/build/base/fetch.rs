//! Single layers: from the blob store where it has them, else from their registry.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::task::JoinHandle;
use tokio_util::io::SyncIoBridge;

use crate::build::Event;
use crate::build::layers::StoredLayer;
use crate::build::unpacking::{LayerWork, UnpackedLayer};
use crate::image::OverlayXattrs;
use crate::registry::Purpose;
use crate::sandbox::{LayerDir, Sandbox, StorageKind};

use super::BaseImages;

impl BaseImages {
    /// Fetches the blob of a layer, unless it is here.
    pub(super) async fn fetch_blob(&self, layer: &StoredLayer) -> Result<()> {
        self.borrow(layer).await?;
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

    /// Starts to fetch the blobs of layers that are not here yet, several at a time.
    pub(super) fn fetching(
        self: &Arc<Self>,
        layers: Vec<&Arc<StoredLayer>>,
    ) -> Vec<JoinHandle<Result<Arc<StoredLayer>>>> {
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
        layers.into_iter().map(fetch).collect()
    }

    /// Unpacks a layer into a directory of its own. One that is not here is fetched and its blob kept, all in one pass.
    pub(super) async fn fetch_layer(
        &self,
        layer: &StoredLayer,
        dir: LayerDir,
    ) -> Result<UnpackedLayer> {
        self.borrow(layer).await?;
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
        let Some(origin) = layer.origin.repository() else {
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

    pub(super) fn tell_unpacked(&self, layer: &StoredLayer, start: Instant) {
        (self.progress)(Event::Unpacked {
            image: &layer.place(),
            digest: layer.descriptor.digest.as_str(),
            size: layer.descriptor.size,
            duration: start.elapsed(),
        });
    }
}

pub(super) fn overlay_xattrs(sandbox: &Sandbox) -> OverlayXattrs {
    match sandbox.storage() {
        StorageKind::Layers(xattrs) => xattrs,
        StorageKind::Trees => unreachable!("layers are unpacked alone only for overlays"),
    }
}
