//! Finding the images that a source stands for: itself, or all that an index lists, and the indexes in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::fs::Halting;
use crate::image::config::MAX_CONFIG_BYTES;
use crate::image::layout::without_names;
use crate::image::manifest::ManifestDocument;
use crate::image::stored_image::StoredImages;
use crate::image::{
    AssembledImage, AssembledLayer, BlobOrigin, Descriptor, Digest, ImageConfig, Manifest,
    MediaType, Platform, Reference,
};
use crate::output::layer_blobs::LayerBlobs;
use crate::registry::{Registries, Repository};

/// An image for one platform.
#[derive(Debug)]
pub(super) struct FoundImage {
    /// What its config says that it is for.
    pub(super) platform: Platform,
    /// Its descriptor has what is said of it where it is listed.
    pub(super) image: AssembledImage,
}

/// What a source stands for.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// In the order in which they are listed.
    pub(super) images: Vec<FoundImage>,
    /// How many things are listed besides.
    pub(super) left_out: usize,
    /// What was looked at: a document may be listed more than once.
    seen: BTreeSet<Digest>,
}

impl Images {
    /// Returns what is still to be looked at of some things that are listed, the first one last.
    fn listed(&mut self, listed: &[Descriptor]) -> Vec<Descriptor> {
        let mut next = Vec::new();
        for entry in listed {
            if !is_image_or_index(entry) {
                self.left_out += 1;
            } else if self.seen.insert(entry.digest.clone()) {
                next.push(entry.clone());
            }
        }
        next.reverse();
        next
    }
}

/// Attestations and other artifacts are manifests too.
fn is_image_or_index(entry: &Descriptor) -> bool {
    let is_document = match entry.media_type {
        MediaType::Manifest(_) | MediaType::Index(_) => true,
        MediaType::Config(_) | MediaType::Layer { .. } | MediaType::Other(_) => false,
    };
    let is_unknown = entry.platform.as_ref().is_some_and(Platform::is_unknown);
    is_document && !is_unknown && entry.artifact_type.is_none()
}

/// Finds the images that a name in a registry stands for. Nothing but manifests and configs is read.
pub(super) async fn images_in_registry(
    reference: &Reference,
    registries: &Registries,
) -> Result<Images> {
    let (repository, fetched) = registries.fetch_manifest(reference).await?;
    let mut images = Images::default();
    // Nothing is said of what has a name in a registry.
    let mut next = Some((fetched, BTreeMap::new()));
    let mut waiting: Vec<Descriptor> = Vec::new();
    while let Some((fetched, annotations)) = next {
        match fetched.document {
            ManifestDocument::Index(index) => waiting.extend(images.listed(&index.manifests)),
            ManifestDocument::Image(manifest) => {
                let config = repository.fetch_blob(&manifest.config, MAX_CONFIG_BYTES as u64);
                let document = Document {
                    descriptor: Descriptor {
                        annotations: without_names(annotations),
                        ..fetched.descriptor
                    },
                    bytes: fetched.bytes.to_vec(),
                    config: config.await?.to_vec(),
                    manifest: *manifest,
                };
                let origin = origin_of(&repository);
                images.images.push(document.image(Some(origin))?);
            }
        }
        next = match waiting.pop() {
            Some(listed) => {
                let fetched = repository.fetch_manifest(listed.digest.as_str()).await?;
                Some((fetched, listed.annotations))
            }
            None => None,
        };
    }
    Ok(images)
}

fn origin_of(repository: &Repository) -> BlobOrigin {
    BlobOrigin {
        registry: repository.registry().host().to_owned(),
        repository: repository.name().to_owned(),
    }
}

/// Finds images in a layout or an archive, and lends their layers to the store. Blocks.
pub(super) fn images_in_files(
    path: &Path,
    tag: Option<&str>,
    digest: Option<&Digest>,
    blobs: &LayerBlobs,
) -> Result<Images> {
    let stored = StoredImages::open(path)?;
    let mut images = Images::default();
    let wanted: Vec<Descriptor> = match (tag, digest) {
        (None, None) => stored.listed().to_vec(),
        (Some(tag), None) => vec![stored.find(Some(tag))?.clone()],
        (_, Some(digest)) => vec![stored.find_digest(digest)?],
    };
    let mut waiting = images.listed(&wanted);
    while let Some(descriptor) = waiting.pop() {
        let (bytes, document) = stored.document(&descriptor)?;
        match document {
            ManifestDocument::Index(index) => waiting.extend(images.listed(&index.manifests)),
            ManifestDocument::Image(manifest) => {
                for layer in &manifest.layers {
                    lend(&stored, layer, blobs)?;
                }
                let document = Document {
                    descriptor: Descriptor {
                        annotations: without_names(descriptor.annotations),
                        ..Descriptor::new(
                            descriptor.media_type,
                            descriptor.digest,
                            bytes.len() as u64,
                        )
                    },
                    bytes,
                    config: stored.small_blob(&manifest.config, MAX_CONFIG_BYTES)?,
                    manifest: *manifest,
                };
                images.images.push(document.image(None)?);
            }
        }
    }
    Ok(images)
}

/// Makes a layer one of the store's blobs, after all of it was read and found to be what it should. A file is used where it
/// lies; a part of an archive is copied.
fn lend(stored: &StoredImages, layer: &Descriptor, blobs: &LayerBlobs) -> Result<()> {
    let (digest, store) = (&layer.digest, &blobs.store);
    if layer.media_type.is_foreign_layer() || store.contains(digest) {
        return Ok(());
    }
    let blob = stored.blob(layer)?;
    let mut reader = Halting::new(blob.open()?, &blobs.halt);
    if blob.part.is_whole_file() {
        io::copy(&mut reader, &mut io::sink()).with_context(|| format!("cannot read {digest}"))?;
        store.lend(digest, &blob.part.path, Arc::new(()));
        return Ok(());
    }
    let mut writer = store.writer_for(digest)?;
    io::copy(&mut reader, &mut writer).with_context(|| format!("cannot read {digest}"))?;
    writer.commit(Some(digest))?;
    Ok(())
}

/// What tells what an image is.
struct Document {
    descriptor: Descriptor,
    bytes: Vec<u8>,
    manifest: Manifest,
    config: Vec<u8>,
}

impl Document {
    /// Makes an image of it whose layers are at `origin`, or among the store's blobs.
    fn image(self, origin: Option<BlobOrigin>) -> Result<FoundImage> {
        let digest = &self.descriptor.digest;
        if !matches!(self.manifest.config.media_type, MediaType::Config(_)) {
            let kind = &self.manifest.config.media_type;
            bail!("{digest} is no image: its config is `{kind}`");
        }
        let config = ImageConfig::parse(&self.config);
        let config = config.with_context(|| format!("cannot read the config of {digest}"))?;
        config.check_layer_count(self.manifest.layers.len())?;
        let platform = config.platform();
        // Quay refuses an entry of a list without a platform.
        if platform.os.is_empty() || platform.architecture.is_empty() || platform.is_unknown() {
            bail!("the config of {digest} does not say which platform it is for");
        }
        let layers = self.manifest.layers.iter().zip(&config.rootfs.diff_ids);
        let layers = layers.map(|(descriptor, diff_id)| AssembledLayer {
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
            origin: origin.clone(),
        });
        let image = AssembledImage {
            layers: layers.collect(),
            manifest: self.bytes,
            config: self.config,
            manifest_descriptor: self.descriptor,
            config_descriptor: self.manifest.config,
        };
        Ok(FoundImage { platform, image })
    }
}
