//! Delivering a finished image everywhere it was asked for.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tracing::warn;

use crate::image::AssembledImage;
use crate::image::blob_store::BlobStore;
use crate::registry::Registries;

use super::DeliveryOptions;
use super::digest_files::write_digest_files;
use super::error::PushFailures;
use super::export::{Export, LocalImage};
use super::layer_blobs::LayerBlobs;
use super::parcel::Parcel;
use super::push::{Pusher, Receipt};
use super::result_files::{Delivered, write_result_files};
use super::unpushed;

/// Delivers an image: files first, then the registries, then the files that say what was delivered. These name all
/// destinations, so they are written only if all were pushed to. `on_receipt` hears of each push that is done, also
/// where another one fails.
pub async fn deliver(
    image: AssembledImage,
    options: &DeliveryOptions,
    registries: Arc<Registries>,
    store: Arc<BlobStore>,
    on_receipt: &(dyn Fn(&Receipt) + Sync),
) -> Result<()> {
    let image = Arc::new(image);
    let blobs = LayerBlobs { store, registries };
    let mut exports = options.exports.clone();
    exports.extend(options.oci_layout_path.clone().map(Export::Layout));
    if !exports.is_empty() {
        write_exports(&image, exports, &blobs).await?;
    }
    let parcel = Parcel::of_image(&image);
    let delivered = Delivered::of_image(&image)?;
    deliver_parcel(&parcel, &delivered, options, &blobs, on_receipt).await
}

/// Pushes, and writes the files that say what was pushed. What cannot be pushed is kept.
pub(super) async fn deliver_parcel(
    parcel: &Parcel,
    delivered: &Delivered,
    options: &DeliveryOptions,
    blobs: &LayerBlobs,
    on_receipt: &(dyn Fn(&Receipt) + Sync),
) -> Result<()> {
    if options.push {
        let pusher = Pusher {
            parcel,
            blobs,
            rules: options.push_rules,
            on_receipt,
        };
        let failures = pusher.push_everywhere(&options.destinations).await;
        let kept = match failures.is_empty() {
            true => None,
            false => kept(parcel, options, blobs).await,
        };
        PushFailures::check(failures, options.destinations.len(), kept)?;
    }
    write_digest_files(options, parcel.digest())?;
    write_result_files(options, delivered)?;
    if let Some(upload) = &options.digest_upload {
        let sent = upload.send(parcel.digest()).await;
        sent.context("cannot send the digest to the server of --digest-file")?;
    }
    Ok(())
}

/// Returns the layout that has the image, which the user wanted or which is made now. `None` if there can be none.
async fn kept(parcel: &Parcel, options: &DeliveryOptions, blobs: &LayerBlobs) -> Option<PathBuf> {
    if let Some(path) = &options.oci_layout_path {
        return Some(path.clone());
    }
    let parent = options.unpushed_parent.as_ref()?;
    match unpushed::keep(parcel, parent, blobs).await {
        Ok(path) => Some(path),
        Err(error) => {
            warn!("the image that was not pushed cannot be kept: {error:#}");
            None
        }
    }
}

/// Writes the image as files. Every layer's bytes are needed here for them.
async fn write_exports(
    image: &Arc<AssembledImage>,
    exports: Vec<Export>,
    blobs: &LayerBlobs,
) -> Result<()> {
    let mut files = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        files.push(blobs.local(layer).await?);
    }
    let image = Arc::clone(image);
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
