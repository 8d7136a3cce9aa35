//! Pushing: every blob first, then the manifest, so that no reference ever names an image that is not
//! complete.

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::image::{AssembledImage, AssembledLayer, Digest, Reference};
use crate::registry::push::{BlobDelivery, BlobSource, Lookup};
use crate::registry::{Purpose, Registries, Repository};

use super::layer_blobs::LayerBlobs;

/// What was delivered where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The reference that now names the image.
    pub destination: Reference,
    /// The manifest's digest.
    pub digest: Digest,
    /// Blobs that were there before, or that the registry took from another repository.
    pub reused: usize,
    /// Blobs that were sent.
    pub sent: usize,
}

/// Finds out whether images may be pushed to the destinations, before a build is made in vain.
pub async fn check_push_access(registries: &Registries, destinations: &[Reference]) -> Result<()> {
    let mut asked: Vec<String> = Vec::new();
    for destination in destinations {
        if asked.contains(&destination.name()) {
            continue;
        }
        asked.push(destination.name());
        let repository = registries.repository(destination, Purpose::Push)?;
        repository
            .check_push_access()
            .await
            .with_context(|| format!("cannot push to `{destination}`"))?;
    }
    Ok(())
}

/// Pushes an image to one destination.
pub(super) async fn push(
    image: &AssembledImage,
    destination: &Reference,
    registries: &Registries,
    blobs: &LayerBlobs,
) -> Result<Receipt> {
    let failed = || format!("cannot push to `{destination}`");
    let repository = registries.repository(destination, Purpose::Push)?;
    let deliveries = match has_manifest(&repository, image.digest()).await {
        true => vec![BlobDelivery::AlreadyThere; image.layers.len() + 1],
        false => push_blobs(image, &repository, blobs)
            .await
            .with_context(failed)?,
    };
    let manifest = Bytes::from(image.manifest.clone());
    let media_type = &image.manifest_descriptor.media_type;
    repository
        .put_manifest(destination.tag_or_digest(), media_type, &manifest)
        .await
        .with_context(failed)?;
    let sent = deliveries
        .iter()
        .filter(|delivery| **delivery == BlobDelivery::Uploaded)
        .count();
    Ok(Receipt {
        destination: destination.clone(),
        digest: image.digest().clone(),
        reused: deliveries.len() - sent,
        sent,
    })
}

/// Says whether the repository has the image, under whatever tag: then it has all that the manifest lists, which no registry
/// gives up before it.
async fn has_manifest(repository: &Repository, digest: &Digest) -> bool {
    // What cannot be asked is pushed, and then says what is wrong.
    repository.resolve(digest.as_str()).await.is_ok()
}

async fn push_blobs(
    image: &AssembledImage,
    repository: &Repository,
    blobs: &LayerBlobs,
) -> Result<Vec<BlobDelivery>> {
    let layers = image.layers.iter();
    let layers = layers.map(|layer| push_layer(layer, repository, blobs));
    let mut deliveries = try_join_all(layers).await?;
    let config = BlobSource::Bytes(Bytes::from(image.config.clone()));
    let config = repository.push_blob(&image.config_descriptor, &config, None);
    deliveries.push(config.await?);
    Ok(deliveries)
}

/// Pushes one layer. The bytes of a base layer are only fetched where the registry has them neither
/// here nor in the repository that the base came from.
async fn push_layer(
    layer: &AssembledLayer,
    repository: &Repository,
    blobs: &LayerBlobs,
) -> Result<BlobDelivery> {
    let descriptor = &layer.descriptor;
    let same_registry = layer
        .origin
        .as_ref()
        .filter(|origin| origin.registry == repository.registry().host());
    let mount_from = same_registry.map(|origin| origin.repository.as_str());
    let ticket = match repository.find_blob(descriptor, mount_from).await? {
        Lookup::Delivered(delivery) => return Ok(delivery),
        Lookup::Missing(ticket) => ticket,
    };
    let source = BlobSource::File(blobs.local(layer).await?);
    Ok(repository.send_blob(descriptor, &source, ticket).await?)
}
