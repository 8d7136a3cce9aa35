//! From a directory to the chunks of its archive.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use fastcdc::v2020::{Error as CutError, StreamCDC};

use super::CacheMountError;
use super::archive::{CHUNK_TYPE, MountArchive};
use crate::fs::{PathContext, Root};
use crate::image::blob_store::{BlobError, BlobStore};
use crate::image::layer_writer::{Compression, Layer, LayerOptions, LayerWriter};
use crate::image::{Descriptor, Digest, MediaType, OverlayXattrs};
use crate::snapshot::Excluded;
use crate::snapshot::OverlayDiff;
use crate::snapshot::change::{Change, DiffError};
use crate::snapshot::into_layer::{SnapshotError, append};

/// Sizes of chunks before they are compressed, in bytes. The smaller they are, the less is sent for a small change, and
/// the more requests there are; the largest is held in memory.
const CHUNK_MIN_BYTES: usize = 512 * 1024;
const CHUNK_MEAN_BYTES: usize = 2 * 1024 * 1024;
pub(super) const CHUNK_MAX_BYTES: usize = 8 * 1024 * 1024;

/// zstd's own default: as fast as a disk.
const ZSTD_LEVEL: i32 = 3;

/// Packs a directory into chunks among the blobs. `None` if it has what the tar `known` had.
pub(super) fn pack(
    directory: &Root,
    known: Option<&Digest>,
    limit: u64,
    scratch: &Path,
    blobs: &BlobStore,
) -> Result<Option<MountArchive>, CacheMountError> {
    let tar = write_tar(directory, limit, scratch)?;
    // Gone by the end, whatever comes: it has no other name.
    let file = File::open(&tar.path).on("open", &tar.path)?;
    std::fs::remove_file(&tar.path).on("remove", &tar.path)?;
    let digest = tar.diff_id.as_digest();
    if known == Some(digest) {
        return Ok(None);
    }
    let cut = StreamCDC::new(file, CHUNK_MIN_BYTES, CHUNK_MEAN_BYTES, CHUNK_MAX_BYTES);
    let mut chunks = Vec::new();
    for chunk in cut {
        let chunk = chunk.map_err(|error| CacheMountError::Cut(cause_of(error)))?;
        chunks.push(write_chunk(&chunk.data, blobs)?);
    }
    Ok(Some(MountArchive {
        tar: digest.clone(),
        chunks,
    }))
}

/// Writes the whole directory as a tar of the same form as a layer's.
fn write_tar(directory: &Root, limit: u64, path: &Path) -> Result<Layer, CacheMountError> {
    let nothing = tempfile::tempdir_in(path.parent().unwrap_or(path));
    let nothing = nothing.on("create a directory beside", path)?;
    let everything = OverlayDiff {
        upper: directory,
        lower: &Root::open(nothing.path())?,
        xattrs: OverlayXattrs::User,
        excluded: &Excluded::default(),
    };
    let options = LayerOptions {
        compression: Compression::None,
        clamp_mtime: None,
        threads: 1,
    };
    let mut writer = LayerWriter::create(path, options)?;
    let mut left = limit;
    everything
        .visit(|change| {
            let size = match &change {
                Change::Present(entry, Some(_)) => entry.size(),
                Change::Present(_, None) | Change::Removed(_) => 0,
            };
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return Err(PackError::TooLarge),
            }
            append(&mut writer, change).map_err(|error| PackError::Snapshot(error.into()))
        })
        .map_err(|error| match error {
            PackError::TooLarge => CacheMountError::TooLarge { limit },
            PackError::Snapshot(error) => error.into(),
        })?;
    Ok(writer.finish()?)
}

enum PackError {
    TooLarge,
    Snapshot(SnapshotError),
}

impl From<DiffError> for PackError {
    fn from(error: DiffError) -> Self {
        Self::Snapshot(error.into())
    }
}

fn write_chunk(data: &[u8], blobs: &BlobStore) -> Result<Descriptor, CacheMountError> {
    let mut blob = blobs.writer().map_err(BlobError::File)?;
    let compressed = zstd::bulk::compress(data, ZSTD_LEVEL).map_err(CacheMountError::Cut)?;
    blob.write_all(&compressed).map_err(CacheMountError::Cut)?;
    let stored = blob.commit(None)?;
    let media_type = MediaType::Other(CHUNK_TYPE.to_owned());
    Ok(Descriptor::new(media_type, stored.digest, stored.size))
}

fn cause_of(error: CutError) -> std::io::Error {
    match error {
        CutError::IoError(error) => error,
        other => std::io::Error::other(other),
    }
}
