//! Delivering an index: as an image is delivered, its images first.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::image::AssembledIndex;
use crate::image::blob_store::BlobStore;
use crate::image::layout::Layout;
use crate::registry::Registries;

use super::DeliveryOptions;
use super::deliver::deliver_parcel;
use super::layer_blobs::LayerBlobs;
use super::parcel::Parcel;
use super::push::Receipt;
use super::result_files::Delivered;

/// Delivers an index and its images, as [`super::deliver`] does one image. Whatever names a digest names the index's.
pub async fn deliver_index(
    index: AssembledIndex,
    options: &DeliveryOptions,
    registries: Arc<Registries>,
    store: Arc<BlobStore>,
    on_receipt: &(dyn Fn(&Receipt) + Sync),
) -> Result<()> {
    let index = Arc::new(index);
    let blobs = LayerBlobs { store, registries };
    if let Some(path) = &options.oci_layout_path {
        write_layout(&index, path, &blobs)
            .await
            .with_context(|| format!("cannot write the image layout `{}`", path.display()))?;
    }
    let parcel = Parcel::of_index(&index);
    let delivered = Delivered::without_id(&index.descriptor);
    deliver_parcel(&parcel, &delivered, options, &blobs, on_receipt).await
}

/// Writes a layout with the images, and the index of them as the one thing that it lists.
async fn write_layout(index: &Arc<AssembledIndex>, path: &Path, blobs: &LayerBlobs) -> Result<()> {
    let mut files = Vec::new();
    for layer in index.images.iter().flat_map(|image| &image.layers) {
        files.push((blobs.local(layer).await?, layer.descriptor.digest.clone()));
    }
    let (index, path) = (Arc::clone(index), path.to_path_buf());
    let write = move || -> Result<()> {
        let mut layout = Layout::create(&path)?;
        for (file, digest) in &files {
            layout.add_file(file, digest)?;
        }
        for image in &index.images {
            layout.add_bytes(&image.config)?;
            layout.add_bytes(&image.manifest)?;
        }
        layout.add_bytes(&index.bytes)?;
        layout.add_manifest(index.descriptor.clone())?;
        Ok(())
    };
    let written = tokio::task::spawn_blocking(write).await;
    written.context("writing stopped")?
}
