//! Delivering a finished image or index everywhere it was asked for.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tracing::warn;

use crate::fs::{Halted, go_on};

use super::DeliveryOptions;
use super::digest_files::write_digest_files;
use super::error::PushFailures;
use super::export::{Export, Exporter};
use super::finished::Finished;
use super::layer_blobs::LayerBlobs;
use super::parcel::Parcel;
use super::push::{Pusher, Receipt};
use super::result_files::{Delivered, write_result_files};
use super::unpushed;

/// Delivers an image, or an index with its images: files first, then the registries, then the files that say what was
/// delivered. These name all destinations, so they are written only if all were pushed to. `on_receipt` hears of each
/// push that is done, also where another one fails. Whatever names a digest names the index's, if there is one.
pub async fn deliver(
    finished: Finished,
    options: &DeliveryOptions,
    blobs: &LayerBlobs,
    on_receipt: &(dyn Fn(&Receipt) + Sync),
) -> Result<()> {
    let mut exports = options.exports.clone();
    exports.extend(options.oci_layout_path.clone().map(Export::Layout));
    if !exports.is_empty() {
        write_exports(&finished, exports, blobs).await?;
    }
    let parcel = Parcel::of(&finished);
    let delivered = Delivered::of(&finished)?;
    deliver_parcel(&parcel, &delivered, options, blobs, on_receipt).await
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
        let pushed = pusher.push_everywhere(&options.destinations);
        let pushed = blobs.halt.run_until_cancelled(pushed).await;
        let failures = pushed.ok_or(Halted)?;
        let kept = match failures.is_empty() {
            true => None,
            false => kept(parcel, options, blobs).await,
        };
        PushFailures::check(failures, options.destinations.len(), kept)?;
    }
    go_on(&blobs.halt)?;
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

/// Writes files. Every layer's bytes are needed here for them.
async fn write_exports(
    finished: &Finished,
    exports: Vec<Export>,
    blobs: &LayerBlobs,
) -> Result<()> {
    let mut files = Vec::with_capacity(finished.images().len());
    for image in finished.images() {
        let mut of_image = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            of_image.push(blobs.local(layer).await?);
        }
        files.push(of_image);
    }
    let finished = finished.clone();
    let temp_dir = blobs.store.temp_dir().to_path_buf();
    let halt = blobs.halt.clone();
    let write = move || -> Result<()> {
        let exporter = Exporter {
            finished: &finished,
            files: &files,
            temp_dir: &temp_dir,
            halt: &halt,
        };
        exports.iter().try_for_each(|export| exporter.write(export))
    };
    tokio::task::spawn_blocking(write)
        .await
        .context("writing stopped")?
}
