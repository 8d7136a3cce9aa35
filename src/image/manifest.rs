//! A manifest lists the parts of one image; an index lists manifests for several platforms.
//! This module knows the two documents, not how they travel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::descriptor::Descriptor;
use super::go_json::null_is_default;
use super::media_type::{ImageFormat, MediaType};
use super::platform::Platform;

/// The largest manifest that is read, in bytes: distribution-spec asks registries for at least 4 MiB, and none allows more by default.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// One image for one platform (image-spec, manifest.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What the document says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact this is. `None` for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Points at the image config.
    pub config: Descriptor,
    /// The layers, base first. Empty only in images that others wrote.
    #[serde(deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free words about the image, sorted by key.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests (image-spec, image-index.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What the document says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact this is. `None` for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, in the writer's order of preference.
    #[serde(deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free words about the list, sorted by key.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// What a registry or a layout holds under a manifest's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestDocument {
    /// One image.
    Image(Box<Manifest>),
    /// A list of images.
    Index(Box<Index>),
}

/// Why bytes are not a manifest that we read.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// More than [`MAX_MANIFEST_BYTES`].
    #[error("manifest is larger than {MAX_MANIFEST_BYTES} bytes")]
    TooLarge,
    /// Not JSON, or a required field is missing or malformed.
    #[error("cannot parse the manifest")]
    Json(#[source] serde_json::Error),
    /// Not a type we read, such as Docker's schema 1.
    #[error("manifest has the unsupported type `{0}`")]
    UnsupportedType(String),
    /// JSON, but it neither says what it is nor has a schema version.
    #[error("the document is neither an image manifest nor an index")]
    Unrecognised,
    /// `schemaVersion` is 1.
    #[error(
        "the image is in Docker's old format (manifest schema 1), which holds no config: it has to be pushed again by a current tool"
    )]
    Schema1,
    /// `schemaVersion` is not 2.
    #[error("manifest has the unsupported schema version {0}")]
    UnsupportedSchema(u64),
    /// distribution-spec: the document's `mediaType` and the `Content-Type` it came with must agree.
    #[error("manifest says that it is `{document}` but came as `{declared}`")]
    TypeMismatch {
        /// The document's own `mediaType`.
        document: String,
        /// The `Content-Type` or the descriptor's media type.
        declared: String,
    },
    /// Could be read as an image and as an index, which two tools would then read differently.
    #[error("manifest has both `manifests` and `layers`")]
    Ambiguous,
}

/// No entry of an index serves a platform.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("no image for platform `{wanted}`, only for {}", list(.present))]
pub struct NoMatchingPlatform {
    /// What was asked for.
    pub wanted: Box<Platform>,
    /// What the index offers, in its order, without attestations. Empty if it offers nothing.
    pub present: Vec<Platform>,
}

/// The fields that tell what a document is, before it is read as that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

impl ManifestDocument {
    /// Reads a manifest or index. `declared` is the `Content-Type` or the descriptor's media type; `None` or a type that
    /// says nothing (`application/json`) leaves it to the document.
    pub fn parse(bytes: &[u8], declared: Option<&MediaType>) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge);
        }
        let outline: Outline = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if outline.manifests.is_some() && outline.layers.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        match outline.kind(declared)? {
            MediaType::Manifest(_) => serde_json::from_slice(bytes).map(Self::Image),
            MediaType::Index(_) => serde_json::from_slice(bytes).map(Self::Index),
            other @ (MediaType::Config(_) | MediaType::Layer { .. } | MediaType::Other(_)) => {
                return Err(ManifestError::UnsupportedType(other.to_string()));
            }
        }
        .map_err(ManifestError::Json)
    }
}

impl Outline {
    fn kind(&self, declared: Option<&MediaType>) -> Result<MediaType, ManifestError> {
        let declared = declared.filter(|declared| !says_nothing(declared));
        if let (Some(document), Some(declared)) = (&self.media_type, declared)
            && document != declared
        {
            return Err(ManifestError::TypeMismatch {
                document: document.to_string(),
                declared: declared.to_string(),
            });
        }
        let named = declared.or(self.media_type.as_ref());
        match self.schema_version {
            Some(2) => {}
            Some(1) => return Err(ManifestError::Schema1),
            Some(version) => return Err(ManifestError::UnsupportedSchema(version)),
            None if named.is_none() => return Err(ManifestError::Unrecognised),
            None => {}
        }
        match named {
            Some(named) => Ok(named.clone()),
            // image-spec allows a document without mediaType; the fields tell.
            None if self.manifests.is_some() => Ok(MediaType::Index(ImageFormat::Oci)),
            None => Ok(MediaType::Manifest(ImageFormat::Oci)),
        }
    }
}

/// Servers of plain files do not know what a manifest is.
fn says_nothing(declared: &MediaType) -> bool {
    match declared {
        MediaType::Other(text) => {
            matches!(
                text.as_str(),
                "" | "application/json" | "application/octet-stream" | "text/plain"
            )
        }
        MediaType::Manifest(_)
        | MediaType::Index(_)
        | MediaType::Config(_)
        | MediaType::Layer { .. } => false,
    }
}

impl Manifest {
    /// Makes an image's manifest in one family: config and layers are relabelled so that the two never mix.
    pub fn new(format: ImageFormat, config: &Descriptor, layers: &[Descriptor]) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::Manifest(format)),
            artifact_type: None,
            config: config.relabelled(format),
            layers: layers
                .iter()
                .map(|layer| layer.relabelled(format))
                .collect(),
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Returns the bytes to store and sign: JSON indented by two spaces, as BuildKit writes it.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        serde_json::to_vec_pretty(self).map_err(ManifestError::Json)
    }
}

impl Index {
    /// Makes an index in one family. The manifests must already be of that family: their bytes are not ours to change.
    pub fn new(format: ImageFormat, manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::Index(format)),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Returns the bytes to store and sign: JSON indented by two spaces, as BuildKit writes it.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        serde_json::to_vec_pretty(self).map_err(ManifestError::Json)
    }

    /// Chooses the image for a platform: the best variant, among equals the first. Entries of unknown media type or
    /// platform are passed over. An entry without a platform is chosen only if it is the only image there is.
    pub fn manifest_for(&self, wanted: &Platform) -> Result<&Descriptor, NoMatchingPlatform> {
        let images = || self.manifests.iter().filter(|entry| is_image(entry));
        let best = images()
            .filter_map(|entry| Some((wanted.preference_of(entry.platform.as_ref()?)?, entry)))
            .min_by_key(|(preference, _)| *preference);
        if let Some((_, entry)) = best {
            return Ok(entry);
        }
        let mut without_platform = images();
        if let (Some(only), None) = (without_platform.next(), without_platform.next())
            && only.platform.is_none()
        {
            return Ok(only);
        }
        Err(NoMatchingPlatform {
            wanted: Box::new(wanted.clone()),
            present: images()
                .filter_map(|entry| entry.platform.clone())
                .collect(),
        })
    }
}

fn is_image(entry: &Descriptor) -> bool {
    let is_manifest = matches!(entry.media_type, MediaType::Manifest(_));
    is_manifest && !entry.platform.as_ref().is_some_and(Platform::is_unknown)
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = platforms
        .iter()
        .map(|platform| format!("`{platform}`"))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
