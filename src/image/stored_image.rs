//! Images that lie in files: in an image layout, in a tar of one, or in a tar of `docker save`.
//!
//! Nothing is believed that does not have the digest it is named by. `docker save` names no digests of
//! layers: there all layers are hashed when the file is opened, and a manifest of Docker's family is
//! made for each image. This module knows files, not who wants the images in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::MAX_CONFIG_BYTES;
use super::descriptor::Descriptor;
use super::digest::Digest;
use super::layout::{self, LayoutError};
use super::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestDocument};
use super::media_type::MediaType;
use super::platform::Platform;

mod error;
mod files;
mod part;
mod saved;
#[cfg(test)]
mod tests;

pub use error::StoredImageError;
use files::Files;
pub use part::{CheckedReader, FilePart};
use saved::SavedImages;

/// Indexes within indexes: nobody writes more than two.
const DEPTH_MAX: usize = 4;

/// A file or directory that holds images.
#[derive(Debug)]
pub struct StoredImages {
    files: Files,
    listed: Vec<Descriptor>,
    /// What `docker save`'s form does not say by itself. `None` for a layout.
    saved: Option<SavedImages>,
}

/// One image for one platform, without its layers' bytes: see [`StoredImages::blob`].
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// Describes `manifest_bytes`, and nothing besides.
    pub descriptor: Descriptor,
    /// The manifest's JSON, whose digest was checked.
    pub manifest_bytes: Vec<u8>,
    /// The manifest.
    pub manifest: Manifest,
    /// The config's JSON, whose digest was checked.
    pub config_bytes: Vec<u8>,
}

/// A blob of an image, where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlob {
    /// What it should be.
    pub descriptor: Descriptor,
    /// Its bytes, as many as there should be; nobody has looked at them yet.
    pub part: FilePart,
}

impl StoredImages {
    /// Opens a layout (a directory, or a tar that is not compressed) or a tar of `docker save`. A tar
    /// that is both, as Docker has written since version 25, is read as a layout.
    pub fn open(path: &Path) -> Result<Self, StoredImageError> {
        let files = Files::open(path)?;
        if let Some(marker) = files.find(layout::MARKER_FILE)? {
            return Self::in_layout(files, &marker);
        }
        // A list's names are never looked up in a directory.
        let list = match &files {
            Files::Dir(_) => None,
            Files::Tar { .. } => files.find(saved::LIST_FILE)?,
        };
        let list = list.ok_or_else(|| StoredImageError::NoImages {
            path: path.to_path_buf(),
        })?;
        let saved = SavedImages::read(&files, &list)?;
        Ok(Self {
            listed: saved.descriptors().collect(),
            saved: Some(saved),
            files,
        })
    }

    fn in_layout(files: Files, marker: &FilePart) -> Result<Self, StoredImageError> {
        let path = files.path().to_path_buf();
        let Some(index) = files.find(layout::INDEX_FILE)? else {
            return Err(LayoutError::NotALayout { path }.into());
        };
        let marker = marker.read_at_most(MAX_MANIFEST_BYTES)?;
        let index = index.read_at_most(MAX_MANIFEST_BYTES)?;
        let index = layout::parse_index(&path, &marker, &index)?;
        Ok(Self {
            listed: index.manifests,
            saved: None,
            files,
        })
    }

    /// Says whether this is a layout, or a tar of one: its manifests are those that were written.
    pub fn is_layout(&self) -> bool {
        self.saved.is_none()
    }

    /// Returns the images and indexes that are listed, in the file's order.
    pub fn listed(&self) -> &[Descriptor] {
        &self.listed
    }

    /// Finds an image by its name or tag; without one, the only image or that of the tag `latest`.
    pub fn find(&self, tag: Option<&str>) -> Result<&Descriptor, StoredImageError> {
        Ok(layout::find_listed(&self.listed, tag, self.files.path())?)
    }

    /// Finds what has a digest: what is listed, or what an index lists that is listed.
    pub fn find_digest(&self, digest: &Digest) -> Result<Descriptor, StoredImageError> {
        let mut level = self.listed.clone();
        for _ in 0..=DEPTH_MAX {
            if let Some(found) = level.iter().find(|listed| listed.digest == *digest) {
                return Ok(found.clone());
            }
            let mut seen = BTreeSet::new();
            level.retain(|listed| seen.insert(listed.digest.clone()));
            let mut below = Vec::new();
            for listed in &level {
                if let MediaType::Index(_) = listed.media_type
                    && let (_, ManifestDocument::Index(index)) = self.document(listed)?
                {
                    below.extend(index.manifests);
                }
            }
            level = below;
        }
        Err(StoredImageError::NotListed {
            path: self.files.path().to_path_buf(),
            digest: digest.clone(),
        })
    }

    /// Reads what a descriptor points at, and returns its bytes too.
    pub fn document(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Vec<u8>, ManifestDocument), StoredImageError> {
        let made = self.saved.as_ref();
        let made = made.and_then(|saved| saved.manifest(&descriptor.digest));
        let bytes = match made {
            Some(bytes) => bytes.to_vec(),
            None => self.read(descriptor, MAX_MANIFEST_BYTES)?,
        };
        let document = ManifestDocument::parse(&bytes, Some(&descriptor.media_type));
        let document = document.map_err(|source| StoredImageError::Manifest {
            path: self.files.path().to_path_buf(),
            digest: descriptor.digest.clone(),
            source,
        })?;
        Ok((bytes, document))
    }

    /// Reads the image that a descriptor points at; where that is an index, its image for `platform`.
    pub fn image(
        &self,
        descriptor: &Descriptor,
        platform: &Platform,
    ) -> Result<StoredImage, StoredImageError> {
        let (bytes, document) = self.document(descriptor)?;
        let index = match document {
            ManifestDocument::Image(manifest) => {
                return self.with_config(&descriptor.media_type, bytes, *manifest);
            }
            ManifestDocument::Index(index) => index,
        };
        let chosen = index.manifest_for(platform);
        let chosen = chosen.map_err(|source| StoredImageError::Platform {
            path: self.files.path().to_path_buf(),
            source,
        })?;
        match self.document(chosen)? {
            (bytes, ManifestDocument::Image(manifest)) => {
                self.with_config(&chosen.media_type, bytes, *manifest)
            }
            (_, ManifestDocument::Index(_)) => Err(StoredImageError::NestedIndex {
                path: self.files.path().to_path_buf(),
                digest: descriptor.digest.clone(),
            }),
        }
    }

    fn with_config(
        &self,
        media_type: &MediaType,
        manifest_bytes: Vec<u8>,
        manifest: Manifest,
    ) -> Result<StoredImage, StoredImageError> {
        // A layout's index may call a manifest by a type that says nothing.
        let media_type = manifest.media_type.as_ref().unwrap_or(media_type).clone();
        Ok(StoredImage {
            descriptor: Descriptor::of(media_type, &manifest_bytes),
            config_bytes: self.read(&manifest.config, MAX_CONFIG_BYTES)?,
            manifest_bytes,
            manifest,
        })
    }

    /// Returns where a blob lies, if it has the right size.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<StoredBlob, StoredImageError> {
        let digest = &descriptor.digest;
        let part = match &self.saved {
            Some(saved) => saved.blob(digest).cloned(),
            None => self.files.find(&layout::blob_name(digest))?,
        };
        let path = || self.files.path().to_path_buf();
        let part = part.ok_or_else(|| StoredImageError::Missing {
            path: path(),
            digest: digest.clone(),
        })?;
        if part.size != descriptor.size {
            let digest = digest.clone();
            return Err(StoredImageError::Damaged {
                path: path(),
                digest,
            });
        }
        Ok(StoredBlob {
            descriptor: descriptor.clone(),
            part,
        })
    }

    /// Reads a blob that is held in memory, such as a config, and checks it. `limit` in bytes guards the memory.
    pub fn small_blob(
        &self,
        descriptor: &Descriptor,
        limit: usize,
    ) -> Result<Vec<u8>, StoredImageError> {
        self.read(descriptor, limit)
    }

    /// Reads a blob into memory and checks it.
    fn read(&self, descriptor: &Descriptor, limit: usize) -> Result<Vec<u8>, StoredImageError> {
        let blob = self.blob(descriptor)?;
        let digest = descriptor.digest.clone();
        let path = || -> PathBuf { self.files.path().to_path_buf() };
        if blob.part.size > limit as u64 {
            return Err(StoredImageError::TooLarge {
                path: path(),
                digest,
                limit,
            });
        }
        let bytes = blob.part.read_at_most(limit)?;
        match digest.is_of(&bytes) {
            true => Ok(bytes),
            false => Err(StoredImageError::Damaged {
                path: path(),
                digest,
            }),
        }
    }
}

impl StoredBlob {
    /// Opens the bytes for reading. The last read fails if they do not have the blob's digest.
    pub fn open(&self) -> Result<CheckedReader, StoredImageError> {
        Ok(CheckedReader::new(
            self.part.open()?,
            &self.descriptor.digest,
        ))
    }
}
