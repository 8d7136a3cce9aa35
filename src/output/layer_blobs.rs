//! The bytes of an image's layers, fetched from where they are only when somebody needs them here.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio_util::io::SyncIoBridge;

use crate::image::AssembledLayer;
use crate::image::blob_store::BlobStore;
use crate::registry::{Purpose, Registries};

/// The layers' bytes.
pub(super) struct LayerBlobs {
    pub(super) store: Arc<BlobStore>,
    pub(super) registries: Arc<Registries>,
}

impl LayerBlobs {
    /// Returns a file with the bytes of a layer.
    pub(super) async fn local(&self, layer: &AssembledLayer) -> Result<PathBuf> {
        let digest = &layer.descriptor.digest;
        if !self.store.contains(digest) {
            self.fetch(layer).await?;
        }
        Ok(self.store.path(digest))
    }

    async fn fetch(&self, layer: &AssembledLayer) -> Result<()> {
        let digest = layer.descriptor.digest.clone();
        let Some(origin) = &layer.origin else {
            bail!("layer {digest} of this build is missing");
        };
        let failed = || format!("cannot fetch layer {digest} of `{}`", origin.repository);
        let registry = self.registries.registry(&origin.registry, Purpose::Pull)?;
        let repository = registry.repository(&origin.repository);
        let reader = repository
            .open_blob(&layer.descriptor)
            .await
            .with_context(failed)?;
        let mut source = SyncIoBridge::new(reader.into_async_read());
        let mut writer = self.store.writer()?;
        let expected = digest.clone();
        let copy = move || -> Result<()> {
            io::copy(&mut source, &mut writer)?;
            writer.commit(Some(&expected))?;
            Ok(())
        };
        let copied = tokio::task::spawn_blocking(copy).await;
        copied.context("the copy stopped")?.with_context(failed)
    }
}
