//! A finished image: its manifest and config as bytes, and where the bytes of each layer are.

use super::annotations::ImageAnnotations;
use super::config::ConfigError;
use super::manifest::ManifestError;
use super::{Descriptor, DiffId, Digest, ImageConfig, ImageFormat, Manifest, MediaType};

/// A layer of a finished image.
#[derive(Debug, Clone)]
pub struct AssembledLayer {
    /// Media type, digest and size of the stored bytes.
    pub descriptor: Descriptor,
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// A repository that has the layer; `None` for a layer of our own, whose bytes are in the blob
    /// store.
    pub origin: Option<BlobOrigin>,
}

/// A repository that has a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobOrigin {
    /// Host and port.
    pub registry: String,
    /// Path below the host.
    pub repository: String,
}

/// A finished image. Its bytes are fixed: whoever delivers it writes exactly these.
#[derive(Debug, Clone)]
pub struct AssembledImage {
    /// The manifest's JSON.
    pub manifest: Vec<u8>,
    /// The config's JSON.
    pub config: Vec<u8>,
    /// Describes `manifest`, with the annotations that whatever lists it has.
    pub manifest_descriptor: Descriptor,
    /// Describes `config`.
    pub config_descriptor: Descriptor,
    /// The layers, base first. Empty for an image without files.
    pub layers: Vec<AssembledLayer>,
}

/// Why an image could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The config cannot be written, or does not fit the layers.
    #[error("cannot write the image config")]
    Config(#[source] ConfigError),
    /// The manifest cannot be written.
    #[error("cannot write the image manifest")]
    Manifest(#[source] ManifestError),
    /// The index cannot be written.
    #[error("cannot write the image index")]
    Index(#[source] ManifestError),
}

impl AssembledImage {
    /// Puts an image together. The layers' media types are relabelled to `format`, so that the two
    /// families are never mixed in one manifest; their bytes stay as they are. A base has no part in the
    /// annotations.
    pub fn new(
        config: &ImageConfig,
        layers: Vec<AssembledLayer>,
        format: ImageFormat,
        annotations: &ImageAnnotations,
    ) -> Result<Self, AssembleError> {
        config
            .check_layer_count(layers.len())
            .map_err(AssembleError::Config)?;
        let config = config.to_json().map_err(AssembleError::Config)?;
        let config_descriptor = Descriptor::of(MediaType::Config(format), &config);
        let layers: Vec<AssembledLayer> = layers
            .into_iter()
            .map(|layer| AssembledLayer {
                descriptor: layer.descriptor.relabelled(format),
                ..layer
            })
            .collect();
        let descriptors: Vec<Descriptor> = layers
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        let mut manifest = Manifest::new(format, &config_descriptor, &descriptors);
        manifest.annotations.clone_from(&annotations.manifest);
        let manifest = manifest.to_json().map_err(AssembleError::Manifest)?;
        Ok(Self {
            manifest_descriptor: Descriptor {
                annotations: annotations.descriptor.clone(),
                ..Descriptor::of(MediaType::Manifest(format), &manifest)
            },
            manifest,
            config,
            config_descriptor,
            layers,
        })
    }

    /// Returns the digest of the manifest: the image's name by content.
    pub fn digest(&self) -> &Digest {
        &self.manifest_descriptor.digest
    }
}
