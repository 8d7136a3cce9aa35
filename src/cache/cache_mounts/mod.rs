//! Contents of `RUN --mount=type=cache`, carried from one build to the next: one archive for each mount.
//!
//! ```text
//! directory ──▶ tar ──▶ chunks, cut where the content says so ──▶ zstd, a frame each ──▶ blobs ──▶ manifest that lists them
//! ```
//!
//! The blobs one after the other are the tar, compressed with zstd. What did not change from one build to the next gives
//! the same chunks, which are there already. The manifest comes last and replaces the one before it under its name, so
//! nobody ever reads a half of one and a half of another; of builds at the same time the last one wins.
//!
//! This room does not know what a mount is for, nor when it is needed.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::encoding::Encoder;
use super::layer_cache::CacheRepository;
use super::local_cache::{BlobProblem, LocalCache, LocalCacheError};
use crate::fs::{PathError, Root};
use crate::image::blob_store::{BlobError, BlobStore};
use crate::image::layer_writer::LayerError;
use crate::image::manifest::ManifestError;
use crate::image::unpack::UnpackError;
use crate::image::{Digest, Platform};
use crate::registry::{RegistryError, Repository};
use crate::snapshot::into_layer::SnapshotError;

mod archive;
mod pack;
mod place;
mod restore;

use archive::MountArchive;
use pack::pack;
use place::Chunks;

/// Where archives are.
#[derive(Debug, Clone)]
pub enum CacheMounts {
    /// In the local directory.
    Directory(Arc<LocalCache>),
    /// In the cache repository.
    Repository(Repository),
}

/// The name of a mount: the same for the same contents in all builds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountName(String);

/// What came of keeping a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is what it was.
    Unchanged,
    /// It was stored.
    Stored {
        /// Compressed bytes that were not there before.
        new_bytes: u64,
        /// Compressed bytes of all.
        bytes: u64,
    },
}

/// Why the contents of a mount cannot be kept or had.
#[derive(Debug, Error)]
pub enum CacheMountError {
    /// They are more than is wanted.
    #[error("its files are larger than {limit} bytes")]
    TooLarge {
        /// Bytes that a tar of them may have.
        limit: u64,
    },
    /// The document under its name is no such archive.
    #[error("it is no archive of a cache mount: {0}")]
    NotAnArchive(&'static str),
    /// The bytes are not those that were kept.
    #[error("its contents are {found}, expected {expected}")]
    Mismatch {
        /// Digest of the tar that was kept.
        expected: Digest,
        /// Digest of the tar that was found.
        found: Digest,
    },
    /// Its files cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Its tar cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Its tar cannot be cut into chunks.
    #[error("cannot cut the archive into chunks")]
    Cut(#[source] std::io::Error),
    /// Its chunks cannot be written.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Its archive cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Its archive cannot be read.
    #[error("cannot read the archive")]
    Read(#[source] std::io::Error),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// The manifest cannot be written or read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The directory.
    #[error(transparent)]
    Local(#[from] LocalCacheError),
    /// A blob of the directory.
    #[error(transparent)]
    Held(#[from] BlobProblem),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A thread ended.
    #[error("the work stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

impl MountName {
    /// Names the mount with an id, as a RUN for `platform` sees it.
    pub fn new(id: &str, platform: &Platform) -> Self {
        let platform = platform.normalised().to_string();
        let digest = Encoder::new("cache mount")
            .text(id)
            .text(&platform)
            .finish();
        Self(digest.hex().to_owned())
    }

    /// Returns a tag that no key is.
    fn tag(&self) -> String {
        format!("mount-{}", self.0)
    }

    /// Returns a safe file name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl CacheMounts {
    /// Keeps archives beside the layers of steps.
    pub fn beside(layers: &CacheRepository) -> Self {
        match layers {
            CacheRepository::Registry(registry) => Self::Repository(registry.repository().clone()),
            CacheRepository::Directory(cache) => Self::Directory(Arc::clone(cache)),
        }
    }

    /// Says whether anything can be kept, as far as is known.
    pub fn is_writable(&self) -> bool {
        match self {
            Self::Directory(cache) => cache.is_writable(),
            Self::Repository(_) => true,
        }
    }

    /// Fills an empty directory with what was kept. Returns the digest of the tar; `None` if nothing was. After an error
    /// the directory may hold a part.
    pub async fn restore(
        &self,
        name: &MountName,
        directory: Root,
    ) -> Result<Option<Digest>, CacheMountError> {
        match self.find(name).await? {
            Some((archive, chunks)) => {
                self.unpack(&archive, chunks, directory).await?;
                Ok(Some(archive.tar))
            }
            None => Ok(None),
        }
    }

    /// Keeps what is in a directory, which nobody changes meanwhile. `restored` is the digest of what it was filled with.
    ///
    /// Chunks are made in `blobs`, and the tar in `scratch`, a path where nothing is yet, from which it is removed again.
    pub async fn keep(
        &self,
        name: &MountName,
        directory: Root,
        restored: Option<Digest>,
        limit: u64,
        scratch: &Path,
        blobs: &Arc<BlobStore>,
    ) -> Result<Kept, CacheMountError> {
        let (store, scratch) = (Arc::clone(blobs), scratch.to_path_buf());
        let packing = move || pack(&directory, restored.as_ref(), limit, &scratch, &store);
        match tokio::task::spawn_blocking(packing).await?? {
            Some(archive) => self.store(name, &archive, blobs).await,
            None => Ok(Kept::Unchanged),
        }
    }
}

/// An archive that was found, with the means to read it.
type FoundArchive = (MountArchive, Chunks);
