//! What a cache keeps for a step: an image of one layer, as kaniko keeps it.
//!
//! What a lookup needs stands in the manifest's annotations, so that one request is enough; the config is there for
//! registries and for people. This module knows the documents, not where they are.

use bytes::Bytes;
use jiff::Timestamp;
use thiserror::Error;

use super::key::CacheKey;
use crate::image::config::{ConfigError, HistoryEntry};
use crate::image::manifest::ManifestError;
use crate::image::{Descriptor, DiffId, ImageConfig, ImageFormat, Manifest, MediaType, Platform};

/// The keys under which the entry is kept, separated by commas.
const KEYS: &str = "dev.sawagani.cache.keys";
/// What the step was executed on and with, separated by commas.
const MADE_OF: &str = "dev.sawagani.cache.made-of";
/// Diff ID of the layer.
const DIFF_ID: &str = "dev.sawagani.cache.diff-id";
/// When the layer was made (image-spec, annotations.md).
const CREATED: &str = "org.opencontainers.image.created";

/// Who the history says made the layer.
const AUTHOR: &str = "sawagani";

/// A layer that a step made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The keys of the step; at least one. The last is that by content, on the first of `made_of`.
    pub keys: Vec<CacheKey>,
    /// Media type, digest and size of the stored bytes.
    pub layer: Descriptor,
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// When the step ran.
    pub created: Timestamp,
    /// Keys of the states that it was executed on and with: of the stage's files before it, then of each stage and image
    /// that it took files from, in their order.
    pub made_of: Vec<CacheKey>,
}

/// What an entry's image looks like, apart from the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryLooks {
    /// The instruction, as the history has it.
    pub created_by: String,
    /// The machine that the layer is for.
    pub platform: Platform,
    /// The family of the documents.
    pub format: ImageFormat,
}

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub(super) struct EntryDocuments {
    pub(super) config: Bytes,
    pub(super) config_descriptor: Descriptor,
    pub(super) manifest: Bytes,
    pub(super) manifest_descriptor: Descriptor,
}

/// Why an entry cannot be used or written.
#[derive(Debug, Error)]
pub enum EntryError {
    /// A step makes one layer.
    #[error("it has {0} layers instead of one")]
    LayerCount(usize),
    /// The layer's media type is none that an image of ours may have.
    #[error("its layer has the media type `{0}`")]
    MediaType(MediaType),
    /// The repository has lost the layer, or a part of it.
    #[error("its layer is not there, or not whole")]
    NoLayer,
    /// It was made for other keys: somebody has moved a name.
    #[error("it is an entry of another key")]
    OtherKey,
    /// An annotation is missing or cannot be read.
    #[error("it does not say {0}")]
    Says(&'static str),
    /// It is a list of images.
    #[error("it is an index")]
    Index,
    /// The config cannot be written.
    #[error("cannot write the config of a cache entry")]
    Config(#[source] ConfigError),
    /// The manifest cannot be written.
    #[error("cannot write the manifest of a cache entry")]
    Manifest(#[source] ManifestError),
}

impl CacheEntry {
    /// Returns the key by content: the last one. `None` in an entry without keys, which is never found.
    pub fn content_key(&self) -> Option<&CacheKey> {
        self.keys.last()
    }

    /// Reads the manifest that was found under `key`.
    pub(super) fn read(manifest: &Manifest, key: &CacheKey) -> Result<Self, EntryError> {
        let layer = layer_of(manifest)?.clone();
        let says = |name, what| {
            let text = manifest.annotations.get(name).map(String::as_str);
            text.ok_or(EntryError::Says(what))
        };
        let which = "which keys it is for";
        let keys = split(says(KEYS, which)?).ok_or(EntryError::Says(which))?;
        if !keys.contains(key) {
            return Err(EntryError::OtherKey);
        }
        let what = "what it was made of";
        let made_of = split(says(MADE_OF, what)?).ok_or(EntryError::Says(what))?;
        let tar = "which tar its layer is";
        let diff_id = DiffId::parse(says(DIFF_ID, tar)?).map_err(|_| EntryError::Says(tar))?;
        let when = "when it was made";
        let created = says(CREATED, when)?.parse();
        Ok(Self {
            keys,
            layer,
            diff_id,
            created: created.map_err(|_| EntryError::Says(when))?,
            made_of,
        })
    }

    /// Returns the documents to store. The same entry always gives the same.
    pub(super) fn documents(&self, looks: &EntryLooks) -> Result<EntryDocuments, EntryError> {
        let config = self.config(looks).to_json().map_err(EntryError::Config)?;
        let config_descriptor = Descriptor::of(MediaType::Config(looks.format), &config);
        let layer = std::slice::from_ref(&self.layer);
        let mut manifest = Manifest::new(looks.format, &config_descriptor, layer);
        manifest.annotations = [
            (KEYS, joined(&self.keys)),
            (MADE_OF, joined(&self.made_of)),
            (DIFF_ID, self.diff_id.to_string()),
            (CREATED, self.created.to_string()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into();
        let manifest = manifest.to_json().map_err(EntryError::Manifest)?;
        Ok(EntryDocuments {
            config: config.into(),
            config_descriptor,
            manifest_descriptor: Descriptor::of(MediaType::Manifest(looks.format), &manifest),
            manifest: manifest.into(),
        })
    }

    fn config(&self, looks: &EntryLooks) -> ImageConfig {
        let mut config = ImageConfig::default();
        config.set_platform(&looks.platform);
        config.set_created(self.created);
        config.rootfs.diff_ids = vec![self.diff_id.clone()];
        config.history = vec![HistoryEntry {
            created: Some(self.created.to_string()),
            created_by: looks.created_by.clone(),
            author: AUTHOR.to_owned(),
            ..HistoryEntry::default()
        }];
        config
    }
}

fn joined(keys: &[CacheKey]) -> String {
    let texts: Vec<&str> = keys.iter().map(CacheKey::as_str).collect();
    texts.join(",")
}

/// Reads what `joined` wrote; `None` if it is something else.
fn split(text: &str) -> Option<Vec<CacheKey>> {
    let keys = text.split(',').filter(|key| !key.is_empty());
    keys.map(|key| CacheKey::parse(key).ok()).collect()
}

fn layer_of(manifest: &Manifest) -> Result<&Descriptor, EntryError> {
    let [layer] = &manifest.layers[..] else {
        return Err(EntryError::LayerCount(manifest.layers.len()));
    };
    match &layer.media_type {
        MediaType::Layer {
            is_distributable: true,
            ..
        } => Ok(layer),
        other @ (MediaType::Layer { .. }
        | MediaType::Manifest(_)
        | MediaType::Index(_)
        | MediaType::Config(_)
        | MediaType::Other(_)) => Err(EntryError::MediaType(other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, LayerCompression};

    fn key(text: &str) -> CacheKey {
        CacheKey::of_digest(&Digest::of(text.as_bytes()))
    }

    fn entry(format: ImageFormat, compression: LayerCompression) -> CacheEntry {
        CacheEntry {
            keys: vec![key("definition"), key("content")],
            layer: Descriptor::of(MediaType::layer(format, compression), b"layer"),
            diff_id: DiffId::new(Digest::of(b"tar")),
            created: "2026-01-02T03:04:05Z".parse().unwrap(),
            made_of: vec![key("files before"), key("files of a stage")],
        }
    }

    fn looks(format: ImageFormat) -> EntryLooks {
        EntryLooks {
            created_by: "RUN make".to_owned(),
            platform: Platform::new("linux", "arm64"),
            format,
        }
    }

    fn manifest(documents: &EntryDocuments) -> Manifest {
        serde_json::from_slice(&documents.manifest).unwrap()
    }

    #[test]
    fn an_entry_is_read_back_from_its_manifest() {
        for format in [ImageFormat::Oci, ImageFormat::Docker] {
            for compression in [LayerCompression::Gzip, LayerCompression::Zstd] {
                let entry = entry(format, compression);
                let documents = entry.documents(&looks(format)).unwrap();
                let manifest = manifest(&documents);
                for key in &entry.keys {
                    assert_eq!(CacheEntry::read(&manifest, key).unwrap(), entry);
                }
                assert_eq!(manifest.media_type, Some(MediaType::Manifest(format)));
                let config = ImageConfig::parse(&documents.config).unwrap();
                assert_eq!(config.architecture, "arm64");
                assert_eq!(config.rootfs.diff_ids, [entry.diff_id]);
            }
        }
    }

    #[test]
    fn an_image_that_is_no_entry_of_the_key_is_refused() {
        let entry = entry(ImageFormat::Oci, LayerCompression::Gzip);
        let good = manifest(&entry.documents(&looks(ImageFormat::Oci)).unwrap());
        type Change = fn(&mut Manifest);
        let changes: [Change; 9] = [
            |manifest| manifest.layers.clear(),
            |manifest| manifest.layers.push(manifest.layers[0].clone()),
            |manifest| manifest.layers[0].media_type = MediaType::Other("a/b".to_owned()),
            |manifest| {
                let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
                manifest.layers[0].media_type = MediaType::parse(foreign);
            },
            |manifest| {
                let other = key("other").to_string();
                manifest.annotations.insert(KEYS.to_owned(), other);
            },
            |manifest| manifest.annotations.clear(),
            |manifest| {
                let text = "none".to_owned();
                manifest.annotations.insert(MADE_OF.to_owned(), text);
            },
            |manifest| {
                let text = "yesterday".to_owned();
                manifest.annotations.insert(CREATED.to_owned(), text);
            },
            |manifest| {
                let text = "sha256:1".to_owned();
                manifest.annotations.insert(DIFF_ID.to_owned(), text);
            },
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(
                CacheEntry::read(&changed, &entry.keys[0]).is_err(),
                "change {at}"
            );
        }
    }
}
