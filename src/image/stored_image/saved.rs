//! The form of `docker save`: `manifest.json` lists a config and layers for each image, by file names.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;

use super::super::config::MAX_CONFIG_BYTES;
use super::super::decompress::{Compression, HEAD_BYTES};
use super::super::descriptor::Descriptor;
use super::super::digest::{Digest, DigestAlgorithm, DigestHasher};
use super::super::go_json::null_is_default;
use super::super::layout;
use super::super::manifest::{MAX_MANIFEST_BYTES, Manifest};
use super::super::media_type::{ImageFormat, LayerCompression, MediaType};
use super::error::StoredImageError;
use super::files::Files;
use super::part::FilePart;
use crate::fs::{PathContext, PathError};

/// Name of the list.
pub(super) const LIST_FILE: &str = "manifest.json";

/// Bytes that are hashed at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// One element of the list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default, deserialize_with = "null_is_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<String>,
}

/// The images of a tar, with the manifests that were made for them.
#[derive(Debug, Default)]
pub(super) struct SavedImages {
    /// In the order of the list; under each of its tags an image once.
    images: Vec<Descriptor>,
    manifests: BTreeMap<Digest, Vec<u8>>,
    blobs: BTreeMap<Digest, FilePart>,
}

impl SavedImages {
    /// Reads the list, and all layers once to hash them.
    pub(super) fn read(files: &Files, list: &FilePart) -> Result<Self, StoredImageError> {
        let bytes = list.read_at_most(MAX_MANIFEST_BYTES)?;
        let items: Vec<Item> =
            serde_json::from_slice(&bytes).map_err(|source| StoredImageError::List {
                path: files.path().to_path_buf(),
                source,
            })?;
        let mut saved = Self::default();
        let mut hashed = BTreeMap::new();
        for item in &items {
            let manifest = saved.manifest_of(item, files, &mut hashed)?;
            let digest = Digest::of(&manifest);
            let media_type = MediaType::Manifest(ImageFormat::Docker);
            let image = Descriptor::of(media_type, &manifest);
            if item.repo_tags.is_empty() {
                saved.images.push(image.clone());
            }
            for tag in &item.repo_tags {
                saved.images.push(layout::named(image.clone(), tag));
            }
            saved.manifests.insert(digest, manifest);
        }
        Ok(saved)
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        self.images.iter().cloned()
    }

    pub(super) fn manifest(&self, digest: &Digest) -> Option<&[u8]> {
        self.manifests.get(digest).map(Vec::as_slice)
    }

    pub(super) fn blob(&self, digest: &Digest) -> Option<&FilePart> {
        self.blobs.get(digest)
    }

    fn manifest_of(
        &mut self,
        item: &Item,
        files: &Files,
        hashed: &mut BTreeMap<u64, Descriptor>,
    ) -> Result<Vec<u8>, StoredImageError> {
        let find = |name: &str| {
            let found = files.find(name)?;
            found.ok_or_else(|| StoredImageError::NoSuchEntry {
                path: files.path().to_path_buf(),
                name: name.to_owned(),
            })
        };
        let config_part = find(&item.config)?;
        let config = config_part.read_at_most(MAX_CONFIG_BYTES)?;
        let config = Descriptor::of(MediaType::Config(ImageFormat::Docker), &config);
        self.blobs.insert(config.digest.clone(), config_part);
        let mut layers = Vec::with_capacity(item.layers.len());
        for name in &item.layers {
            let part = find(name)?;
            let layer = match hashed.get(&part.start) {
                Some(layer) => layer.clone(),
                None => describe_layer(&part)?,
            };
            hashed.insert(part.start, layer.clone());
            self.blobs.insert(layer.digest.clone(), part);
            layers.push(layer);
        }
        let manifest = Manifest::new(ImageFormat::Docker, &config, &layers).to_json();
        manifest.map_err(|source| StoredImageError::Manifest {
            path: files.path().to_path_buf(),
            digest: config.digest.clone(),
            source,
        })
    }
}

/// Reads a layer and says what it is: names tell nothing reliable.
fn describe_layer(part: &FilePart) -> Result<Descriptor, PathError> {
    let mut reader = part.open()?;
    let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
    let mut head = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut size = 0;
    loop {
        let count = reader.read(&mut buffer).on("read", &part.path)?;
        if count == 0 {
            break;
        }
        if head.len() < HEAD_BYTES {
            let missing = HEAD_BYTES - head.len();
            head.extend_from_slice(&buffer[..count.min(missing)]);
        }
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
    let compression = match Compression::of_head(&head) {
        Compression::Gzip => LayerCompression::Gzip,
        Compression::Zstd => LayerCompression::Zstd,
        // Docker's own reader takes them; no media type says so.
        Compression::None | Compression::Bzip2 | Compression::Xz => LayerCompression::None,
    };
    let media_type = MediaType::layer(ImageFormat::Docker, compression);
    Ok(Descriptor::new(media_type, hasher.finish(), size))
}
