//! Delivering a finished image everywhere it was asked for.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::image::AssembledImage;
use crate::image::blob_store::BlobStore;
use crate::registry::Registries;

use super::DeliveryOptions;
use super::digest_files::write_digest_files;
use super::export::{Export, LocalImage};
use super::layer_blobs::LayerBlobs;
use super::push::{Receipt, push};
use super::result_files::write_result_files;

/// Delivers an image: files first, then the registries, one after the other, then the files that say
/// what was delivered, so that they never name what is not there. `on_receipt` hears of each push that
/// is done, also where a later one fails.
pub async fn deliver(
    image: AssembledImage,
    options: &DeliveryOptions,
    registries: Arc<Registries>,
    store: Arc<BlobStore>,
    on_receipt: &(dyn Fn(&Receipt) + Sync),
) -> Result<()> {
    let image = Arc::new(image);
    let blobs = LayerBlobs { store, registries };
    if !options.exports.is_empty() {
        write_exports(&image, &options.exports, &blobs).await?;
    }
    if options.push {
        for destination in &options.destinations {
            on_receipt(&push(&image, destination, &blobs.registries, &blobs).await?);
        }
    }
    write_digest_files(options, image.digest())?;
    write_result_files(options, &image)?;
    if let Some(upload) = &options.digest_upload {
        let sent = upload.send(image.digest()).await;
        sent.context("cannot send the digest to the server of --digest-file")?;
    }
    Ok(())
}

/// Writes the image as files. Every layer's bytes are needed here for them.
async fn write_exports(
    image: &Arc<AssembledImage>,
    exports: &[Export],
    blobs: &LayerBlobs,
) -> Result<()> {
    let mut files = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        files.push(blobs.local(layer).await?);
    }
    let (image, exports) = (Arc::clone(image), exports.to_vec());
    let temp_dir = blobs.store.temp_dir().to_path_buf();
    let write = move || -> Result<()> {
        let local = LocalImage {
            image: &image,
            files: &files,
            temp_dir: &temp_dir,
        };
        exports.iter().try_for_each(|export| local.write(export))
    };
    tokio::task::spawn_blocking(write)
        .await
        .context("writing stopped")?
}
