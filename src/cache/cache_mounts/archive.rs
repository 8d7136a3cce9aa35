//! The manifest of a mount's archive.

use bytes::Bytes;

use super::CacheMountError;
use crate::image::{Descriptor, Digest, ImageFormat, Manifest, MediaType};

/// What the artifact is.
const ARTIFACT_TYPE: &str = "application/vnd.sawagani.cache-mount.v1";

/// A part of a tar that is compressed with zstd: a whole frame.
pub(super) const CHUNK_TYPE: &str = "application/vnd.sawagani.cache-mount.v1.tar+zstd.part";

/// An artifact has no config (image-spec, manifest.md "Guidelines for Artifact Usage").
const EMPTY_CONFIG_TYPE: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY_CONFIG: &[u8] = b"{}";

/// Digest of the tar.
const TAR_DIGEST: &str = "dev.sawagani.cache-mount.tar";

/// What a mount's archive consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountArchive {
    /// Digest of the tar.
    pub(super) tar: Digest,
    /// Its parts, in order.
    pub(super) chunks: Vec<Descriptor>,
}

/// The manifest as it is stored.
pub(super) struct ArchiveDocument {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
}

impl MountArchive {
    /// Describes the config that all archives have.
    pub(super) fn config() -> Descriptor {
        Descriptor::of(MediaType::Other(EMPTY_CONFIG_TYPE.to_owned()), EMPTY_CONFIG)
    }

    /// Returns the manifest to store.
    pub(super) fn document(&self) -> Result<ArchiveDocument, CacheMountError> {
        let mut manifest = Manifest::new(ImageFormat::Oci, &Self::config(), &self.chunks);
        manifest.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        let tar = self.tar.as_str().to_owned();
        manifest.annotations = [(TAR_DIGEST.to_owned(), tar)].into();
        let bytes = manifest.to_json()?;
        Ok(ArchiveDocument {
            descriptor: Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &bytes),
            bytes: bytes.into(),
        })
    }

    /// Reads a manifest.
    pub(super) fn read(manifest: Manifest) -> Result<Self, CacheMountError> {
        if manifest.artifact_type.as_deref() != Some(ARTIFACT_TYPE) {
            return Err(CacheMountError::NotAnArchive("it is another artifact"));
        }
        let is_chunk = |chunk: &Descriptor| chunk.media_type.as_str() == CHUNK_TYPE;
        if !manifest.layers.iter().all(is_chunk) {
            return Err(CacheMountError::NotAnArchive("a part has another type"));
        }
        let tar = manifest.annotations.get(TAR_DIGEST);
        let tar = tar.and_then(|text| Digest::parse(text).ok());
        Ok(Self {
            tar: tar.ok_or(CacheMountError::NotAnArchive(
                "it does not say which tar it is",
            ))?,
            chunks: manifest.layers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_and_others_are_refused() {
        let chunk =
            |text: &str| Descriptor::of(MediaType::Other(CHUNK_TYPE.to_owned()), text.as_bytes());
        let archive = MountArchive {
            tar: Digest::of(b"tar"),
            chunks: vec![chunk("a"), chunk("b")],
        };
        let document = archive.document().unwrap();
        let manifest: Manifest = serde_json::from_slice(&document.bytes).unwrap();
        assert_eq!(MountArchive::read(manifest.clone()).unwrap(), archive);
        let changes: [fn(&mut Manifest); 3] = [
            |manifest| manifest.artifact_type = None,
            |manifest| manifest.annotations.clear(),
            |manifest| manifest.layers[0].media_type = MediaType::Other("a/b".to_owned()),
        ];
        for change in changes {
            let mut changed = manifest.clone();
            change(&mut changed);
            assert!(MountArchive::read(changed).is_err());
        }
    }
}
