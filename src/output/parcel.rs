//! What is pushed: the bytes of a manifest or an index, and where the bytes are of what it lists.
//! This module must not know how they travel.

use bytes::Bytes;

use crate::image::{AssembledImage, AssembledLayer, BlobOrigin, Descriptor, Digest, ImageFormat};
use crate::registry::push::BlobSource;

use super::finished::Finished;

/// A manifest or an index, and all below it.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// Describes `bytes`.
    pub(super) descriptor: Descriptor,
    /// The JSON, which is not changed on its way.
    pub(super) bytes: Bytes,
    /// What a manifest lists, in its order, the config last. Empty for an index.
    pub(super) blobs: Vec<ParcelBlob>,
    /// What an index lists, in its order. Empty for a manifest.
    pub(super) children: Vec<Parcel>,
}

/// A blob and where its bytes are.
#[derive(Clone, Debug)]
pub(super) struct ParcelBlob {
    /// Media type, digest and size.
    pub(super) descriptor: Descriptor,
    /// Where its bytes are.
    pub(super) place: BlobPlace,
}

/// Where a blob's bytes are.
#[derive(Clone, Debug)]
pub(super) enum BlobPlace {
    /// At hand.
    Here(BlobSource),
    /// In the blob store; fetched from a repository that has them, if there is one and they are missing.
    Store(Option<BlobOrigin>),
    /// A foreign layer's bytes stay at its own URLs.
    Elsewhere,
}

impl Parcel {
    /// Packs an image, or an index with its images.
    pub(super) fn of(finished: &Finished) -> Self {
        match finished {
            Finished::Image(image) => Self::of_image(image),
            Finished::Index(index) => Self {
                descriptor: index.descriptor.clone(),
                bytes: Bytes::from(index.bytes.clone()),
                blobs: Vec::new(),
                children: index.images.iter().map(Self::of_image).collect(),
            },
        }
    }

    fn of_image(image: &AssembledImage) -> Self {
        let layers = image.layers.iter().map(ParcelBlob::of_layer);
        let config = ParcelBlob {
            descriptor: image.config_descriptor.clone(),
            place: BlobPlace::Here(BlobSource::Bytes(Bytes::from(image.config.clone()))),
        };
        Self {
            descriptor: image.manifest_descriptor.clone(),
            bytes: Bytes::from(image.manifest.clone()),
            blobs: layers.chain([config]).collect(),
            children: Vec::new(),
        }
    }

    /// Returns the digest: what a tag stands for afterwards.
    pub(super) fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }

    /// Returns the family of media types. `None` for neither.
    pub(super) fn format(&self) -> Option<ImageFormat> {
        self.descriptor.media_type.format()
    }

    /// Returns how many blobs there are, those of children included.
    pub(super) fn blob_count(&self) -> usize {
        let below = self.children.iter().map(Self::blob_count);
        self.blobs.len() + below.sum::<usize>()
    }
}

impl ParcelBlob {
    fn of_layer(layer: &AssembledLayer) -> Self {
        let place = match layer.descriptor.media_type.is_foreign_layer() {
            true => BlobPlace::Elsewhere,
            false => BlobPlace::Store(layer.origin.clone()),
        };
        Self {
            descriptor: layer.descriptor.clone(),
            place,
        }
    }
}
