//! Delivering a finished image everywhere it was asked for.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::image::AssembledImage;
use crate::image::blob_store::BlobStore;
use crate::registry::Registries;

use super::DeliveryOptions;
use super::digest_files::write_digest_files;
use super::layer_blobs::LayerBlobs;
use super::push::{Receipt, push};

/// The name that kaniko gives an image in an archive where nobody names it.
const UNNAMED: &str = "docker.io/unset-repo/unset-image-name";

/// Delivers an image: files first, then the registries, one after the other, then the files that say
/// what was delivered, so that they never name what is not there.
pub async fn deliver(
    image: AssembledImage,
    options: &DeliveryOptions,
    registries: Arc<Registries>,
    store: Arc<BlobStore>,
) -> Result<Vec<Receipt>> {
    let image = Arc::new(image);
    let blobs = LayerBlobs { store, registries };
    // FILES
    let mut receipts = Vec::new();
    if options.push {
        for destination in &options.destinations {
            receipts.push(push(&image, destination, &blobs.registries, &blobs).await?);
        }
    }
    write_digest_files(options, image.digest())?;
    Ok(receipts)
}
