//! What a user wants said of images by annotations (image-spec, annotations.md), and which of the documents that make
//! them up is to say it. This module knows documents, not the words of a command line.

use std::collections::BTreeMap;

use super::Platform;

/// Keys and values, sorted by key.
pub type Pairs = BTreeMap<String, String>;

/// A document that an annotation can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotated {
    /// The image's manifest.
    Manifest,
    /// What points at the manifest: an index, or the list of a layout.
    ManifestDescriptor,
    /// The index of several images.
    Index,
    /// What points at the index: the list of a layout.
    IndexDescriptor,
}

/// The annotations of an index and of all images in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Those of the index itself.
    pub index: Pairs,
    /// Those of what points at the index.
    pub index_descriptor: Pairs,
    /// Those of every image.
    pub images: ImageAnnotations,
    /// Those of the images for one platform, normalised and of no build of its system, which come before those of every image.
    pub of_platforms: BTreeMap<Platform, ImageAnnotations>,
}

/// The annotations of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageAnnotations {
    /// Those of the manifest.
    pub manifest: Pairs,
    /// Those of what points at the manifest.
    pub descriptor: Pairs,
}

impl Annotations {
    /// Adds one; it takes the place of an earlier one of the same key. An index is for no platform: there, `platform` says
    /// nothing, as in BuildKit (exporter/containerimage/annotations.go).
    pub fn add(&mut self, of: Annotated, platform: Option<&Platform>, key: &str, value: &str) {
        let images = match platform {
            Some(platform) => self.of_platforms.entry(platform.clone()).or_default(),
            None => &mut self.images,
        };
        let pairs = match of {
            Annotated::Manifest => &mut images.manifest,
            Annotated::ManifestDescriptor => &mut images.descriptor,
            Annotated::Index => &mut self.index,
            Annotated::IndexDescriptor => &mut self.index_descriptor,
        };
        pairs.insert(key.to_owned(), value.to_owned());
    }

    /// Adds others, which take the place of those of the same key.
    pub fn extend(&mut self, other: Self) {
        self.index.extend(other.index);
        self.index_descriptor.extend(other.index_descriptor);
        self.images.extend(other.images);
        for (platform, images) in other.of_platforms {
            self.of_platforms
                .entry(platform)
                .or_default()
                .extend(images);
        }
    }

    /// Returns those of the image for a platform.
    pub fn of_image(&self, platform: &Platform) -> ImageAnnotations {
        let mut all = self.images.clone();
        if let Some(own) = self.of_platforms.get(&platform.without_os_details()) {
            all.extend(own.clone());
        }
        all
    }

    /// Says whether anything is said of an index.
    pub fn are_of_index(&self) -> bool {
        !self.index.is_empty() || !self.index_descriptor.is_empty()
    }

    /// Says whether anything is said where Docker's documents have no place for it.
    pub fn need_oci(&self) -> bool {
        let mut images = self.of_platforms.values().chain([&self.images]);
        self.are_of_index() || images.any(|image| !image.descriptor.is_empty())
    }

    /// Says whether anything is said of a manifest.
    pub fn are_of_manifests(&self) -> bool {
        let mut images = self.of_platforms.values().chain([&self.images]);
        images.any(|image| !image.manifest.is_empty())
    }
}

impl ImageAnnotations {
    fn extend(&mut self, other: Self) {
        self.manifest.extend(other.manifest);
        self.descriptor.extend(other.descriptor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_platform_comes_before_what_is_said_of_all() {
        let mut annotations = Annotations::default();
        let arm = Platform::new("linux", "arm64");
        let both = [Annotated::Manifest, Annotated::ManifestDescriptor];
        for of in both {
            annotations.add(of, Some(&arm), "a", "arm");
            annotations.add(of, None, "a", "all");
            annotations.add(of, None, "b", "all");
        }
        let pairs =
            |a: &str| Pairs::from([("a", a), ("b", "all")].map(|(k, v)| (k.into(), v.into())));
        for (platform, a) in [("linux/arm64/v8", "arm"), ("linux/amd64", "all")] {
            let image = annotations.of_image(&Platform::parse(platform).unwrap());
            assert_eq!((image.manifest, image.descriptor), (pairs(a), pairs(a)));
        }
        assert!(annotations.need_oci() && !annotations.are_of_index());
        let windows = Platform::new("windows", "amd64");
        annotations.add(Annotated::Manifest, Some(&windows), "a", "windows");
        let build = Platform {
            os_version: Some("10.0.20348.1".into()),
            ..windows
        };
        assert_eq!(annotations.of_image(&build).manifest, pairs("windows"));
        annotations.add(Annotated::Index, Some(&arm), "c", "1");
        assert_eq!(annotations.index, Pairs::from([("c".into(), "1".into())]));
    }
}
