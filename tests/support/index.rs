//! Indexes, as tests of several platforms make and read them.

use serde_json::Value;

use super::crafted::push_index;
use super::image::{array, sha256, text};
use super::{CraftedImage, Encoding, Family, Image, LayerTar, Registry};

/// The machine's own architecture.
pub(crate) const OWN: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};
/// One that no machine of the tests has.
pub(crate) const OTHER: &str = "s390x";

/// The media type of an index.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A base that says in `/architecture` what it is for.
pub(crate) fn base_for(architecture: &str) -> CraftedImage {
    let layer = LayerTar::new().shell().file("architecture", architecture);
    CraftedImage::new(Family::Oci)
        .architecture(architecture)
        .layer(layer, Encoding::Gzip)
}

/// A registry with `base:1`, an index of both architectures.
pub(crate) fn registry_with_base() -> Registry {
    let registry = Registry::start();
    push_index(&registry, &[base_for(OTHER), base_for(OWN)], "base:1");
    registry
}

/// The flag that asks for both.
pub(crate) fn both() -> String {
    format!("--custom-platform=linux/{OTHER},linux/{OWN}")
}

/// An index as the registry has it.
pub(crate) struct Listed {
    pub(crate) raw: String,
    pub(crate) json: Value,
}

impl Listed {
    pub(crate) fn read(registry: &Registry, name: &str) -> Self {
        let raw = registry.inspect(name, &["--raw"]);
        let json = serde_json::from_str(&raw).expect("an index is JSON");
        Self { raw, json }
    }

    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", sha256(self.raw.as_bytes()))
    }

    /// `OS/ARCH` of each image, in order.
    pub(crate) fn platforms(&self) -> Vec<String> {
        let manifests = array(&self.json["manifests"]).iter();
        let platforms = manifests.map(|listed| &listed["platform"]);
        platforms
            .map(|platform| {
                let (os, architecture) = (&platform["os"], &platform["architecture"]);
                format!("{}/{}", text(os), text(architecture))
            })
            .collect()
    }

    /// Digests of its images, in order.
    pub(crate) fn digests(&self) -> Vec<&str> {
        let manifests = array(&self.json["manifests"]).iter();
        manifests.map(|listed| text(&listed["digest"])).collect()
    }

    /// Its images, each pulled under its digest.
    pub(crate) fn images(&self, registry: &Registry) -> Vec<Image> {
        let digests = self.digests().into_iter();
        digests
            .map(|digest| Image::pull(registry, &format!("app@{digest}")))
            .collect()
    }
}
