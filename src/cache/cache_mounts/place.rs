//! Archives in a directory and in a repository.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::archive::{ArchiveDocument, EMPTY_CONFIG, MountArchive};
use super::{CacheMountError, CacheMounts, FoundArchive, Kept, MountName};
use crate::cache::local_cache::{HeldBlob, LocalCache};
use crate::image::blob_store::BlobStore;
use crate::image::manifest::ManifestDocument;
use crate::image::{Descriptor, Manifest};
use crate::registry::push::{BlobDelivery, BlobSource};
use crate::registry::{ErrorKind, Repository};

/// Chunks that are sent at the same time.
const SENDING: usize = 4;

/// How the chunks of an archive are read.
pub(super) enum Chunks {
    /// They are here as long as they are held.
    Here(Vec<HeldBlob>),
    /// They are fetched one after the other.
    Remote(Repository),
}

impl CacheMounts {
    pub(super) async fn find(
        &self,
        name: &MountName,
    ) -> Result<Option<FoundArchive>, CacheMountError> {
        match self {
            Self::Directory(cache) => {
                let (cache, name) = (Arc::clone(cache), name.clone());
                tokio::task::spawn_blocking(move || find_here(&cache, &name)).await?
            }
            Self::Repository(repository) => find_in(repository, name).await,
        }
    }

    pub(super) async fn store(
        &self,
        name: &MountName,
        archive: &MountArchive,
        blobs: &Arc<BlobStore>,
    ) -> Result<Kept, CacheMountError> {
        match self {
            Self::Directory(cache) => {
                let (cache, blobs) = (Arc::clone(cache), Arc::clone(blobs));
                let (name, archive) = (name.clone(), archive.clone());
                let storing = move || store_here(&cache, &name, &archive, &blobs);
                tokio::task::spawn_blocking(storing).await?
            }
            Self::Repository(repository) => store_in(repository, name, archive, blobs).await,
        }
    }
}

fn find_here(
    cache: &LocalCache,
    name: &MountName,
) -> Result<Option<FoundArchive>, CacheMountError> {
    let Some((manifest, chunks)) = cache.find_mount(name)? else {
        return Ok(None);
    };
    Ok(Some((MountArchive::read(manifest)?, Chunks::Here(chunks))))
}

fn store_here(
    cache: &LocalCache,
    name: &MountName,
    archive: &MountArchive,
    blobs: &BlobStore,
) -> Result<Kept, CacheMountError> {
    let ArchiveDocument { descriptor, bytes } = archive.document()?;
    let mut new_bytes = 0;
    let mut held = Vec::with_capacity(archive.chunks.len());
    for chunk in &archive.chunks {
        if !cache.has_blob(&chunk.digest) {
            new_bytes += chunk.size;
        }
        held.push(cache.add_file(&blobs.path(&chunk.digest), chunk)?);
    }
    let config = cache.add_document(EMPTY_CONFIG, &MountArchive::config())?;
    held.push(config);
    cache.store_mount(name, &bytes, &descriptor)?;
    // Held until the name leads to them.
    drop(held);
    Ok(kept(archive, new_bytes))
}

async fn find_in(
    repository: &Repository,
    name: &MountName,
) -> Result<Option<FoundArchive>, CacheMountError> {
    let fetched = match repository.fetch_manifest(&name.tag()).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let manifest: Manifest = match fetched.document {
        ManifestDocument::Image(manifest) => *manifest,
        ManifestDocument::Index(_) => return Err(CacheMountError::NotAnArchive("it is an index")),
    };
    let chunks = Chunks::Remote(repository.clone());
    Ok(Some((MountArchive::read(manifest)?, chunks)))
}

async fn store_in(
    repository: &Repository,
    name: &MountName,
    archive: &MountArchive,
    blobs: &BlobStore,
) -> Result<Kept, CacheMountError> {
    let ArchiveDocument { descriptor, bytes } = archive.document()?;
    let send = |chunk: Descriptor| async move {
        let source = BlobSource::File(blobs.path(&chunk.digest));
        let delivery = repository.push_blob(&chunk, &source, None).await?;
        let is_new = delivery == BlobDelivery::Uploaded;
        Ok::<u64, CacheMountError>(if is_new { chunk.size } else { 0 })
    };
    let sending = stream::iter(archive.chunks.clone()).map(send);
    let sent: Vec<u64> = sending.buffer_unordered(SENDING).try_collect().await?;
    let config = BlobSource::Bytes(Bytes::from_static(EMPTY_CONFIG));
    repository
        .push_blob(&MountArchive::config(), &config, None)
        .await?;
    repository
        .put_manifest(&name.tag(), &descriptor.media_type, &bytes)
        .await?;
    Ok(kept(archive, sent.iter().sum()))
}

fn kept(archive: &MountArchive, new_bytes: u64) -> Kept {
    Kept::Stored {
        new_bytes,
        bytes: archive.chunks.iter().map(|chunk| chunk.size).sum(),
    }
}
