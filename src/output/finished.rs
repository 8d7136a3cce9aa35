//! What is delivered: one image, or an index of several.

use std::slice;
use std::sync::Arc;

use crate::image::{AssembledImage, AssembledIndex, Descriptor};

/// An image, or an index with its images. Nothing in it changes any more.
#[derive(Debug, Clone)]
pub enum Finished {
    /// An image.
    Image(Arc<AssembledImage>),
    /// An index with its images.
    Index(Arc<AssembledIndex>),
}

impl Finished {
    /// Returns what a tag stands for: the manifest or the index.
    pub(super) fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Image(image) => &image.manifest_descriptor,
            Self::Index(index) => &index.descriptor,
        }
    }

    /// Returns the images, in the order of the index.
    pub(super) fn images(&self) -> &[AssembledImage] {
        match self {
            Self::Image(image) => slice::from_ref(image),
            Self::Index(index) => &index.images,
        }
    }

    /// Returns everything that is JSON, each before what it lists.
    pub(super) fn documents(&self) -> Vec<&[u8]> {
        let index = match self {
            Self::Image(_) => None,
            Self::Index(index) => Some(index.bytes.as_slice()),
        };
        let images = self.images().iter();
        let of_images = images.flat_map(|image| [image.manifest.as_slice(), &image.config]);
        index.into_iter().chain(of_images).collect()
    }
}

impl From<AssembledImage> for Finished {
    fn from(image: AssembledImage) -> Self {
        Self::Image(Arc::new(image))
    }
}

impl From<AssembledIndex> for Finished {
    fn from(index: AssembledIndex) -> Self {
        Self::Index(Arc::new(index))
    }
}
