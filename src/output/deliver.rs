//! Delivering a finished image everywhere it was asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tracing::warn;

use crate::image::blob_store::BlobStore;
use crate::image::docker_archive::{self, ArchivedImage, ArchivedLayer};
use crate::image::layout::Layout;
use crate::image::{AssembledImage, LayerCompression, Reference};
use crate::registry::Registries;

use super::DeliveryOptions;
use super::digest_files::write_digest_files;
use super::error::PushFailures;
use super::layer_blobs::LayerBlobs;
use super::parcel::Parcel;
use super::push::{Pusher, Receipt};
use super::unpushed;

/// The name that kaniko gives an image in an archive where nobody names it.
const UNNAMED: &str = "docker.io/unset-repo/unset-image-name:latest";

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
    if options.oci_layout_path.is_some() || options.tar_path.is_some() {
        write_files(&image, options, &blobs).await?;
    }
    deliver_parcel(&Parcel::of_image(&image), options, &blobs, on_receipt).await
}

/// Pushes, and writes the files that say what was pushed. What cannot be pushed is kept.
pub(super) async fn deliver_parcel(
    parcel: &Parcel,
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

/// Writes the layout and the archive. Every layer's bytes are needed here for them.
async fn write_files(
    image: &Arc<AssembledImage>,
    options: &DeliveryOptions,
    blobs: &LayerBlobs,
) -> Result<()> {
    let mut files = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        files.push(blobs.local(layer).await?);
    }
    let (image, options) = (Arc::clone(image), options.clone());
    let write = move || -> Result<()> {
        if let Some(path) = &options.oci_layout_path {
            write_layout(&image, &files, path)
                .with_context(|| format!("cannot write the image layout `{}`", path.display()))?;
        }
        if let Some(path) = &options.tar_path {
            write_archive(&image, &files, path, &options.destinations)
                .with_context(|| format!("cannot write the archive `{}`", path.display()))?;
        }
        Ok(())
    };
    tokio::task::spawn_blocking(write)
        .await
        .context("writing stopped")?
}

fn write_layout(image: &AssembledImage, files: &[PathBuf], path: &Path) -> Result<()> {
    let mut layout = Layout::create(path)?;
    for (layer, file) in image.layers.iter().zip(files) {
        layout.add_file(file, &layer.descriptor.digest)?;
    }
    layout.add_bytes(&image.config)?;
    layout.add_bytes(&image.manifest)?;
    layout.add_manifest(image.manifest_descriptor.clone())?;
    Ok(())
}

fn write_archive(
    image: &AssembledImage,
    files: &[PathBuf],
    path: &Path,
    destinations: &[Reference],
) -> Result<()> {
    let layers: Vec<ArchivedLayer> = image
        .layers
        .iter()
        .zip(files)
        .map(|(layer, file)| ArchivedLayer {
            digest: layer.descriptor.digest.clone(),
            compression: compression(layer.descriptor.media_type.layer_compression()),
            file: file.clone(),
        })
        .collect();
    let mut tags: Vec<String> = destinations.iter().map(Reference::to_string).collect();
    if tags.is_empty() {
        tags.push(UNNAMED.to_owned());
    }
    let archived = ArchivedImage {
        config: &image.config,
        layers: &layers,
        tags: &tags,
    };
    docker_archive::create(path, &archived)?;
    Ok(())
}

/// A layer of a type that we do not know is what all layers once were.
fn compression(known: Option<LayerCompression>) -> LayerCompression {
    known.unwrap_or(LayerCompression::Gzip)
}
