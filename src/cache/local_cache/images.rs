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
    #[error("its name is that of another image")]
    OtherName,
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
        let opened = {
            // Given up only when everything is held: nothing is removed in between.
            let _lock = self.lock_shared()?;
            self.open_image(digest, platform)
        };
        let whole = match opened {
            Ok(None) => return Ok(None),
            Ok(Some(opened)) => self.whole_image(opened),
            Err(error) => Err(error),
        };
        if let Err(Unusable::Blob(problem)) = &whole {
            self.discard_if_damaged(problem)?;
        }
        whole.map(Some)
    }

    /// Opens all that belongs to an image; the directory must be locked.
    fn open_image(
        &self,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<Option<OpenedImage>, Unusable> {
        let Some(mut found) = self.open_document(digest)? else {
            return Ok(None);
        };
        if let ManifestDocument::Index(index) = &found.document {
            let chosen = index.manifest_for(platform)?;
            found = match self.open_document(&chosen.digest)? {
                Some(found) => found,
                // The index may have been stored when only another platform's image was.
                None => return Ok(None),
            };
        }
        let manifest = match found.document {
            ManifestDocument::Image(manifest) => *manifest,
            ManifestDocument::Index(_) => return Err(Unusable::NestedIndex),
        };
        let layers = manifest.layers.iter().map(|layer| self.open_if_here(layer));
        Ok(Some(OpenedImage {
            layers: layers.collect::<Result<_, _>>()?,
            config: self.open_blob(&manifest.config)?,
            descriptor: found.descriptor,
            manifest_bytes: found.bytes,
            manifest,
            stored: found.stored,
        }))
    }

    /// Reads the manifest or index that is stored under a digest.
    fn open_document(&self, digest: &Digest) -> Result<Option<StoredDocument>, Unusable> {
        let path = self.name_path(NameKind::Image, digest.hex());
        let Some((descriptor, times)) = names::read::<Descriptor>(&path)? else {
            return Ok(None);
        };
        if descriptor.digest != *digest {
            return Err(Unusable::OtherName);
        }
        let bytes = self.open_blob(&descriptor)?.read()?;
        self.touch(&path);
        Ok(Some(StoredDocument {
            document: ManifestDocument::parse(&bytes, Some(&descriptor.media_type))?,
            descriptor,
            bytes,
            stored: times.stored,
        }))
    }

    /// Makes sure that an image is whole; this may take a while.
    fn whole_image(&self, opened: OpenedImage) -> Result<CachedImage, Unusable> {
        let config = ImageConfig::parse(&opened.config.read()?)?;
        config.check_layer_count(opened.manifest.layers.len())?;
        let layers = opened.layers.into_iter();
        let layers = layers.map(|layer| layer.map(|layer| self.checked(layer)).transpose());
        Ok(CachedImage {
            layers: layers.collect::<Result<_, _>>()?,
            descriptor: opened.descriptor,
            manifest_bytes: opened.manifest_bytes,
            manifest: opened.manifest,
            config,
            stored: opened.stored,
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

/// A manifest or index, with when it was stored.
struct StoredDocument {
    descriptor: Descriptor,
    bytes: Vec<u8>,
    document: ManifestDocument,
    stored: Timestamp,
}

/// An image all of which is held, and not yet read through.
struct OpenedImage {
    descriptor: Descriptor,
    manifest_bytes: Vec<u8>,
    manifest: Manifest,
    config: HeldBlob,
    layers: Vec<Option<HeldBlob>>,
    stored: Timestamp,
}
