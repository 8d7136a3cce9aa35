//! Media types say what a blob or manifest is. Two families name the same bytes: OCI's and Docker's.
//! This module knows names, never contents.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The family that a manifest and everything it lists belong to; the two are never mixed in one manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageFormat {
    /// `application/vnd.oci.image.*`.
    #[default]
    Oci,
    /// `application/vnd.docker.*`, image manifest version 2, schema 2.
    Docker,
}

/// How the bytes of a layer's tar are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerCompression {
    /// The tar itself: the blob's digest is the diff ID.
    None,
    /// RFC 1952.
    #[default]
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// What a descriptor or a `Content-Type` says that bytes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// One image for one platform.
    Manifest(ImageFormat),
    /// A list of manifests: OCI's image index, Docker's manifest list.
    Index(ImageFormat),
    /// The JSON that an [`ImageConfig`](super::ImageConfig) is.
    Config(ImageFormat),
    /// A filesystem layer.
    Layer {
        /// Whose name it goes by.
        format: ImageFormat,
        /// How the tar is stored.
        compression: LayerCompression,
        /// False for Docker's "foreign" and OCI's "nondistributable" layers, which are fetched from their URLs and never pushed.
        is_distributable: bool,
    },
    /// Anything else, as written; never an error by itself (image-spec, manifest.md "unknown mediaType").
    Other(String),
}

use ImageFormat::{Docker, Oci};
use LayerCompression::{Gzip, None as Plain, Zstd};

/// Every name that we give a meaning, once.
const NAMES: &[(&str, MediaType)] = &[
    (
        "application/vnd.oci.image.manifest.v1+json",
        MediaType::Manifest(Oci),
    ),
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        MediaType::Manifest(Docker),
    ),
    (
        "application/vnd.oci.image.index.v1+json",
        MediaType::Index(Oci),
    ),
    (
        "application/vnd.docker.distribution.manifest.list.v2+json",
        MediaType::Index(Docker),
    ),
    (
        "application/vnd.oci.image.config.v1+json",
        MediaType::Config(Oci),
    ),
    (
        "application/vnd.docker.container.image.v1+json",
        MediaType::Config(Docker),
    ),
    (
        "application/vnd.oci.image.layer.v1.tar",
        layer(Oci, Plain, true),
    ),
    (
        "application/vnd.oci.image.layer.v1.tar+gzip",
        layer(Oci, Gzip, true),
    ),
    (
        "application/vnd.oci.image.layer.v1.tar+zstd",
        layer(Oci, Zstd, true),
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar",
        layer(Docker, Plain, true),
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        layer(Docker, Gzip, true),
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        layer(Docker, Zstd, true),
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        layer(Oci, Plain, false),
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        layer(Oci, Gzip, false),
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        layer(Oci, Zstd, false),
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        layer(Docker, Plain, false),
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        layer(Docker, Gzip, false),
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
        layer(Docker, Zstd, false),
    ),
];

const fn layer(
    format: ImageFormat,
    compression: LayerCompression,
    is_distributable: bool,
) -> MediaType {
    MediaType::Layer {
        format,
        compression,
        is_distributable,
    }
}

impl MediaType {
    /// The manifest types that we handle, in the order in which a registry is asked for them.
    pub const MANIFESTS: [Self; 4] = [
        Self::Index(Oci),
        Self::Manifest(Oci),
        Self::Index(Docker),
        Self::Manifest(Docker),
    ];

    /// Reads a media type; parameters after `;` and letter case do not count. Never fails: what we do not know is `Other`.
    pub fn parse(text: &str) -> Self {
        let essence = text.split(';').next().unwrap_or_default().trim();
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(essence))
            .map_or_else(
                || Self::Other(essence.to_owned()),
                |(_, known)| known.clone(),
            )
    }

    /// Returns the type of a distributable layer.
    pub fn layer(format: ImageFormat, compression: LayerCompression) -> Self {
        layer(format, compression, true)
    }

    /// Returns the name as it is written in a manifest.
    pub fn as_str(&self) -> &str {
        if let Self::Other(text) = self {
            return text;
        }
        NAMES
            .iter()
            .find(|(_, known)| known == self)
            .map_or("application/octet-stream", |(name, _)| name)
    }

    /// Returns the same type under the other family's name; the bytes it describes stay the same. `Other` stays as it is.
    pub fn relabelled(&self, format: ImageFormat) -> Self {
        match self {
            Self::Manifest(_) => Self::Manifest(format),
            Self::Index(_) => Self::Index(format),
            Self::Config(_) => Self::Config(format),
            Self::Layer {
                format: _,
                compression,
                is_distributable,
            } => layer(format, *compression, *is_distributable),
            Self::Other(text) => Self::Other(text.clone()),
        }
    }

    /// Returns the family. `None` for `Other`.
    pub fn format(&self) -> Option<ImageFormat> {
        match self {
            Self::Manifest(format) | Self::Index(format) | Self::Config(format) => Some(*format),
            Self::Layer { format, .. } => Some(*format),
            Self::Other(_) => None,
        }
    }

    /// Returns how a layer is stored. `None` for what is not a layer.
    pub fn layer_compression(&self) -> Option<LayerCompression> {
        match self {
            Self::Layer { compression, .. } => Some(*compression),
            Self::Manifest(_) | Self::Index(_) | Self::Config(_) | Self::Other(_) => None,
        }
    }

    /// Tells whether this is a layer that must not be uploaded.
    pub fn is_foreign_layer(&self) -> bool {
        match self {
            Self::Layer {
                is_distributable, ..
            } => !is_distributable,
            Self::Manifest(_) | Self::Index(_) | Self::Config(_) | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_reads_back_as_itself() {
        for (name, known) in NAMES {
            assert_eq!(&MediaType::parse(name), known);
            assert_eq!(known.as_str(), *name);
        }
    }

    #[test]
    fn every_layer_kind_has_a_name_in_both_families() {
        for format in [Oci, Docker] {
            for compression in [Plain, Gzip, Zstd] {
                for is_distributable in [true, false] {
                    let kind = layer(format, compression, is_distributable);
                    assert_eq!(MediaType::parse(kind.as_str()), kind);
                }
            }
        }
    }

    #[test]
    fn parameters_and_case_do_not_count() {
        let text = "Application/vnd.oci.image.manifest.v1+json; charset=utf-8";
        assert_eq!(MediaType::parse(text), MediaType::Manifest(Oci));
    }

    #[test]
    fn relabelling_changes_the_family_only() {
        let docker = MediaType::parse("application/vnd.docker.image.rootfs.diff.tar.gzip");
        assert_eq!(
            docker.relabelled(Oci).as_str(),
            "application/vnd.oci.image.layer.v1.tar+gzip"
        );
        assert_eq!(docker.relabelled(Oci).relabelled(Docker), docker);
        let unknown = MediaType::parse("application/vnd.in-toto+json");
        assert_eq!(unknown.relabelled(Docker), unknown);
    }

    #[test]
    fn foreign_layers_are_recognised_in_both_families() {
        for name in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        ] {
            assert!(MediaType::parse(name).is_foreign_layer());
        }
        assert!(!MediaType::layer(Oci, Zstd).is_foreign_layer());
    }
}
