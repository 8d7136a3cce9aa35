//! A finished index: its bytes, and the images that it lists.

use super::annotations::Annotations;
use super::assembled::AssembleError;
use super::{AssembledImage, Descriptor, Digest, ImageFormat, Index, MediaType, Platform};

/// A finished index. Its bytes are fixed: whoever delivers it writes exactly these.
#[derive(Debug, Clone)]
pub struct AssembledIndex {
    /// The index's JSON.
    pub bytes: Vec<u8>,
    /// Describes `bytes`, with the annotations that whatever lists it has.
    pub descriptor: Descriptor,
    /// Its images, in its order.
    pub images: Vec<AssembledImage>,
}

impl AssembledIndex {
    /// Lists images in their order, all of the family `format`: an index of both is one that registries refuse. Of the
    /// annotations, those of the index count here.
    pub fn new(
        format: ImageFormat,
        annotations: &Annotations,
        images: Vec<(Platform, AssembledImage)>,
    ) -> Result<Self, AssembleError> {
        let listed = images.iter().map(|(platform, image)| Descriptor {
            platform: Some(platform.clone()),
            ..image.manifest_descriptor.clone()
        });
        let index = Index {
            annotations: annotations.index.clone(),
            ..Index::new(format, listed.collect())
        };
        let bytes = index.to_json().map_err(AssembleError::Index)?;
        Ok(Self {
            descriptor: Descriptor {
                annotations: annotations.index_descriptor.clone(),
                ..Descriptor::of(MediaType::Index(format), &bytes)
            },
            bytes,
            images: images.into_iter().map(|(_, image)| image).collect(),
        })
    }

    /// Returns the digest of the index: what a tag on it stands for.
    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageAnnotations, ImageConfig};

    fn image(platform: &str, format: ImageFormat) -> (Platform, AssembledImage) {
        let platform = Platform::parse(platform).unwrap();
        let config = ImageConfig::scratch(&platform);
        let none = ImageAnnotations::default();
        let image = AssembledImage::new(&config, Vec::new(), format, &none).unwrap();
        (platform, image)
    }

    #[test]
    fn an_index_lists_its_images_with_their_platforms_in_one_family() {
        for (format, index_type, manifest_type) in [
            (
                ImageFormat::Oci,
                "application/vnd.oci.image.index.v1+json",
                "application/vnd.oci.image.manifest.v1+json",
            ),
            (
                ImageFormat::Docker,
                "application/vnd.docker.distribution.manifest.list.v2+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            ),
        ] {
            let images = ["linux/arm/v7", "linux/amd64"].map(|name| image(name, format));
            let none = Annotations::default();
            let index = AssembledIndex::new(format, &none, images.to_vec()).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&index.bytes).unwrap();
            assert_eq!(json["mediaType"], index_type);
            assert_eq!(json["manifests"][0]["mediaType"], manifest_type);
            assert_eq!(json["manifests"][0]["platform"]["variant"], "v7");
            assert_eq!(json["manifests"][1]["platform"]["architecture"], "amd64");
            assert_eq!(
                json["manifests"][1]["digest"],
                index.images[1].digest().as_str()
            );
            assert_eq!(index.digest(), &Digest::of(&index.bytes));
        }
    }
}
