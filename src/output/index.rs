//! Delivering an index: as an image is delivered, its images first.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;

use crate::image::blob_store::BlobStore;
use crate::image::layout::Layout;
use crate::image::{AssembledIndex, Reference};
use crate::registry::{Purpose, Registries};

use super::DeliveryOptions;
use super::digest_files::write_digest_files;
use super::layer_blobs::LayerBlobs;
use super::push::{Receipt, push};

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
    if options.push {
        for destination in &options.destinations {
            on_receipt(&push_index(&index, destination, &blobs).await?);
        }
    }
    write_digest_files(options, index.digest())?;
    Ok(())
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

/// Pushes the images under their digests, then the index under the destination's tag.
async fn push_index(
    index: &AssembledIndex,
    destination: &Reference,
    blobs: &LayerBlobs,
) -> Result<Receipt> {
    let (mut reused, mut sent) = (0, 0);
    for image in &index.images {
        let place = destination.with_digest(image.digest().clone());
        let receipt = push(image, &place, &blobs.registries, blobs).await?;
        reused += receipt.reused;
        sent += receipt.sent;
    }
    put_index(index, destination, &blobs.registries)
        .await
        .with_context(|| format!("cannot push to `{destination}`"))?;
    Ok(Receipt {
        destination: destination.clone(),
        digest: index.digest().clone(),
        reused,
        sent,
    })
}

async fn put_index(
    index: &AssembledIndex,
    destination: &Reference,
    registries: &Registries,
) -> Result<()> {
    let repository = registries.repository(destination, Purpose::Push)?;
    let (name, media_type) = (destination.tag_or_digest(), &index.descriptor.media_type);
    let bytes = Bytes::from(index.bytes.clone());
    repository.put_manifest(name, media_type, &bytes).await?;
    Ok(())
}
