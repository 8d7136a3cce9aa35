//! Archives of cache mounts, by the names of the mounts.

use super::blob::{BlobProblem, HeldBlob};
use super::names::{self, NameKind};
use super::{LocalCache, LocalCacheError};
use crate::cache::cache_mounts::MountName;
use crate::image::{Descriptor, Digest, Manifest};

impl LocalCache {
    /// Looks for the archive of a mount. Returns its manifest, and what that lists, which stays as long as it is held.
    pub(in crate::cache) fn find_mount(
        &self,
        name: &MountName,
    ) -> Result<Option<(Manifest, Vec<HeldBlob>)>, LocalCacheError> {
        let path = self.name_path(NameKind::Mount, name.as_str());
        let opened = {
            // Given up only when everything is held: nothing is removed in between.
            let _lock = self.lock_shared()?;
            let Some((descriptor, times)) = names::read::<Descriptor>(&path)? else {
                return Ok(None);
            };
            if times.stored < self.oldest {
                return Ok(None);
            }
            self.open_mount(&descriptor)
        };
        let checked = opened.and_then(|(manifest, parts)| {
            let parts = parts.into_iter().map(|part| self.checked(part));
            Ok((manifest, parts.collect::<Result<_, _>>()?))
        });
        if let Err(problem) = &checked {
            self.discard_if_damaged(problem)?;
        }
        self.touch(&path);
        Ok(Some(checked?))
    }

    /// Opens all that belongs to an archive; the directory must be locked.
    fn open_mount(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Manifest, Vec<HeldBlob>), BlobProblem> {
        let bytes = self.open_blob(descriptor)?.read()?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|_| BlobProblem::Damaged(descriptor.digest.clone()))?;
        let parts = manifest.layers.iter().map(|part| self.open_blob(part));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok((manifest, parts))
    }

    /// Stores the manifest of an archive whose parts are here, and held until this returns.
    pub(in crate::cache) fn store_mount(
        &self,
        name: &MountName,
        manifest: &[u8],
        descriptor: &Descriptor,
    ) -> Result<(), LocalCacheError> {
        let _held = self.add_document(manifest, descriptor)?;
        let _lock = self.lock_shared()?;
        self.write_name(NameKind::Mount, name.as_str(), descriptor)
    }

    /// Says whether a blob is here; not whether it is whole.
    pub(in crate::cache) fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).exists()
    }
}
