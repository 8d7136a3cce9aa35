//! Base images, by the digests of their manifests and of the indexes that list them.

use std::io;

use jiff::Timestamp;
use tracing::warn;

use super::blob::{BlobProblem, HeldBlob};
use super::names::{self, NameKind};
use super::{LocalCache, LocalCacheError, kaniko};
use crate::cache::lookup::{Lookup, Miss};
use crate::cache::registry_cache::with_causes;
use crate::fs::PathError;
use crate::image::config::ConfigError;
use crate::image::manifest::{ManifestDocument, ManifestError, NoMatchingPlatform};
use crate::image::{Descriptor, Digest, ImageConfig, Manifest, Platform};

/// A manifest or index as it is stored, and what it says.
#[derive(Debug, Clone)]
pub struct ImageDocument {
    /// Type, digest and size of the bytes.
    pub descriptor: Descriptor,
    /// What the digest was taken over.
    pub bytes: Vec<u8>,
}

/// An image that is there with everything that belongs to it.
#[derive(Debug)]
pub struct CachedImage {
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// What they say.
    pub manifest: Manifest,
    /// How a container is started.
    pub config: ImageConfig,
    /// The layers, base first, each whole. Foreign layers, which are fetched from elsewhere, are `None`.
    pub layers: Vec<Option<HeldBlob>>,
    /// When it was stored.
    pub stored: Timestamp,
}

/// Why an image that is there cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Blob(#[from] BlobProblem),
    #[error("its manifest cannot be used")]
    Manifest(#[from] ManifestError),
    #[error("its config cannot be used")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Platform(#[from] NoMatchingPlatform),
    #[error("an index lists an index")]
    NestedIndex,
    #[error("it is not of the kind that kaniko's warmer writes: {0}")]
    Kaniko(&'static str),
    #[error("cannot read the archive")]
    Archive(#[source] io::Error),
    #[error(transparent)]
    Layout(#[from] crate::image::layout::LayoutError),
    #[error(transparent)]
    File(#[from] PathError),
}

impl LocalCache {
    /// Looks for an image by the digest of its manifest, or of an index, from which the manifest for `platform` is chosen.
    /// What is found is whole, and stays as long as its layers are held.
    ///
    /// A tag's digest must come from the registry: what it was when the image was stored is not asked for here.
    pub fn find_image(&self, digest: &Digest, platform: &Platform) -> Lookup<CachedImage> {
        let found = self.find_own_image(digest, platform);
        let found = match found {
            Ok(None) => kaniko::find_image(&self.dir, digest),
            other => other,
        };
        match found {
            Ok(Some(image)) if image.stored < self.oldest => Lookup::Miss(Miss::Expired {
                created: image.stored,
            }),
            Ok(Some(image)) => Lookup::Hit(image),
            Ok(None) => Lookup::Miss(Miss::Absent),
            Err(error) => {
                let reason = with_causes(&error);
                let dir = self.dir.display();
                warn!("image `{digest}` of the cache `{dir}` is not used: {reason}");
                Lookup::Miss(Miss::Unusable { reason })
            }
        }
    }

    fn find_own_image(
        &self,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<Option<CachedImage>, Unusable> {
        let (descriptor, document, stored) = match self.image_document(digest)? {
            Some(found) => found,
            None => return Ok(None),
        };
        let index = match document {
            Document::Image(manifest, bytes) => {
                return self
                    .whole_image(descriptor, *manifest, bytes, stored)
                    .map(Some);
            }
            Document::Index(index) => index,
        };
        let chosen = index.manifest_for(platform)?;
        match self.image_document(&chosen.digest)? {
            // The index may have been stored when only another platform's image was.
            None => Ok(None),
            Some((descriptor, Document::Image(manifest, bytes), stored)) => self
                .whole_image(descriptor, *manifest, bytes, stored)
                .map(Some),
            Some((_, Document::Index(_), _)) => Err(Unusable::NestedIndex),
        }
    }

    /// Reads the manifest or index that is stored under a digest.
    fn image_document(
        &self,
        digest: &Digest,
    ) -> Result<Option<(Descriptor, Document, Timestamp)>, Unusable> {
        let path = self.name_path(NameKind::Image, digest.hex());
        let held = {
            let _lock = self.lock_shared()?;
            let Some((descriptor, times)) = names::read::<Descriptor>(&path)? else {
                return Ok(None);
            };
            if descriptor.digest != *digest {
                return Err(BlobProblem::Damaged(digest.clone()).into());
            }
            let opened = self.open_blob(&descriptor);
            opened.map(|held| (descriptor, held, times.stored))
        };
        let read =
            held.and_then(|(descriptor, held, stored)| Ok((descriptor, held.read()?, stored)));
        let (descriptor, bytes, stored) = match read {
            Ok(read) => read,
            Err(problem) => {
                self.discard_if_damaged(&problem)?;
                return Err(problem.into());
            }
        };
        self.touch(&path);
        let document = match ManifestDocument::parse(&bytes, Some(&descriptor.media_type))? {
            ManifestDocument::Image(manifest) => Document::Image(manifest, bytes),
            ManifestDocument::Index(index) => Document::Index(index),
        };
        Ok(Some((descriptor, document, stored)))
    }

    fn whole_image(
        &self,
        descriptor: Descriptor,
        manifest: Manifest,
        manifest_bytes: Vec<u8>,
        stored: Timestamp,
    ) -> Result<CachedImage, Unusable> {
        // All are held before anything is read through, which may take a while.
        let opened = {
            let _lock = self.lock_shared()?;
            let config = self.open_blob(&manifest.config);
            let layers = manifest.layers.iter().map(|layer| self.open_if_here(layer));
            config.and_then(|config| Ok((config, layers.collect::<Result<Vec<_>, _>>()?)))
        };
        let whole = opened.and_then(|(config, layers)| {
            let layers = layers.into_iter();
            let layers = layers.map(|layer| layer.map(|layer| self.checked(layer)).transpose());
            Ok((config.read()?, layers.collect::<Result<Vec<_>, _>>()?))
        });
        let (config, layers) = match whole {
            Ok(whole) => whole,
            Err(problem) => {
                self.discard_if_damaged(&problem)?;
                return Err(problem.into());
            }
        };
        let config = ImageConfig::parse(&config)?;
        config.check_layer_count(manifest.layers.len())?;
        Ok(CachedImage {
            descriptor,
            manifest_bytes,
            manifest,
            config,
            layers,
            stored,
        })
    }

    /// Opens a layer, if it is none of those that are fetched from elsewhere.
    fn open_if_here(&self, layer: &Descriptor) -> Result<Option<HeldBlob>, BlobProblem> {
        match layer.media_type.is_foreign_layer() {
            true => Ok(None),
            false => self.open_blob(layer).map(Some),
        }
    }

    /// Stores an image whose layers are in the cache already, from [`add_file`](Self::add_file) or one of its kind, which
    /// are held until this returns. One that is there is as good as new afterwards.
    pub fn store_image(
        &self,
        manifest: &ImageDocument,
        config: &[u8],
        layers: &[HeldBlob],
    ) -> Result<(), LocalCacheError> {
        self.check_writable()?;
        let parsed: Manifest =
            serde_json::from_slice(&manifest.bytes).map_err(LocalCacheError::Json)?;
        let needed = parsed.layers.iter();
        for layer in needed.filter(|layer| !layer.media_type.is_foreign_layer()) {
            if !layers.iter().any(|held| *held.digest() == layer.digest) {
                return Err(BlobProblem::Missing(layer.digest.clone()).into());
            }
        }
        let _config = self.add_document(config, &parsed.config)?;
        self.store_document(manifest)
    }

    /// Stores an index, so that its digest leads to those of its images that are stored.
    pub fn store_index(&self, index: &ImageDocument) -> Result<(), LocalCacheError> {
        self.store_document(index)
    }

    fn store_document(&self, document: &ImageDocument) -> Result<(), LocalCacheError> {
        let descriptor = &document.descriptor;
        let _held = self.add_document(&document.bytes, descriptor)?;
        let _lock = self.lock_shared()?;
        self.write_name(NameKind::Image, descriptor.digest.hex(), descriptor)
    }

    /// Removes a damaged blob, so that it can be stored anew.
    pub(super) fn discard_if_damaged(&self, problem: &BlobProblem) -> Result<(), PathError> {
        match problem {
            BlobProblem::Damaged(digest) => self.discard_named(digest),
            BlobProblem::Missing(_) | BlobProblem::File(_) => Ok(()),
        }
    }
}

enum Document {
    Image(Box<Manifest>, Vec<u8>),
    Index(Box<crate::image::Index>),
}
