//! The bytes of an image's layers and other blobs, fetched from where they are only when somebody needs them here.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio_util::io::SyncIoBridge;
use tokio_util::sync::CancellationToken;

use crate::fs::{Halted, Halting};
use crate::image::blob_store::BlobStore;
use crate::image::{AssembledLayer, BlobOrigin, Descriptor};
use crate::registry::push::BlobSource;
use crate::registry::{Purpose, Registries};

use super::parcel::{BlobPlace, ParcelBlob};

/// The layers' bytes, for a delivery.
#[derive(Debug, Clone)]
pub struct LayerBlobs {
    /// What is here, and where that goes that has to be fetched.
    pub store: Arc<BlobStore>,
    /// Where it is fetched from, and pushed to.
    pub registries: Arc<Registries>,
    /// The wish that the delivery end. Files that are being written then do not appear, and what was there stays.
    pub halt: CancellationToken,
}

impl LayerBlobs {
    /// Returns a file with the bytes of a layer.
    pub(super) async fn local(&self, layer: &AssembledLayer) -> Result<PathBuf> {
        self.stored(&layer.descriptor, layer.origin.as_ref()).await
    }

    /// Returns where the bytes of a blob are.
    pub(super) async fn source(&self, blob: &ParcelBlob) -> Result<BlobSource> {
        let descriptor = &blob.descriptor;
        match &blob.place {
            BlobPlace::Here(source) => Ok(source.clone()),
            BlobPlace::Store(origin) => {
                let path = self.stored(descriptor, origin.as_ref()).await?;
                Ok(BlobSource::File(path))
            }
            BlobPlace::Elsewhere => bail!("layer {} is not to be had", descriptor.digest),
        }
    }

    async fn stored(
        &self,
        descriptor: &Descriptor,
        origin: Option<&BlobOrigin>,
    ) -> Result<PathBuf> {
        let digest = &descriptor.digest;
        if !self.store.contains(digest) {
            let fetched = self
                .halt
                .run_until_cancelled(self.fetch(descriptor, origin));
            fetched.await.ok_or(Halted)??;
        }
        Ok(self.store.path(digest))
    }

    async fn fetch(&self, descriptor: &Descriptor, origin: Option<&BlobOrigin>) -> Result<()> {
        let digest = descriptor.digest.clone();
        let Some(origin) = origin else {
            bail!("layer {digest} of this build is missing");
        };
        let failed = || format!("cannot fetch layer {digest} of `{}`", origin.repository);
        let registry = self.registries.registry(&origin.registry, Purpose::Pull)?;
        let repository = registry.repository(&origin.repository);
        let reader = repository
            .open_blob(descriptor)
            .await
            .with_context(failed)?;
        let source = SyncIoBridge::new(reader.into_async_read());
        let mut source = Halting::new(source, &self.halt);
        let mut writer = self.store.writer_for(&digest)?;
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
