//! Unpacking one layer alone into a directory of its own, while its blob is kept.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::fs::Root;
use crate::image::blob_store::BlobWriter;
use crate::image::decompress::{Compression, LayerDecompressor};
use crate::image::unpack::{Form, UnpackOptions, Unpacked, unpack};
use crate::image::{DiffId, Digest, OverlayXattrs};
use crate::sandbox::LayerDir;

/// A layer in a directory of its own.
pub(super) struct UnpackedLayer {
    pub(super) dir: LayerDir,
    pub(super) unpacked: Unpacked,
}

/// What unpacking one layer takes. Runs on a thread of its own.
pub(super) struct LayerWork {
    pub(super) dir: LayerDir,
    pub(super) blob: BlobWriter,
    pub(super) digest: Digest,
    pub(super) diff_id: DiffId,
    pub(super) xattrs: OverlayXattrs,
}

impl LayerWork {
    /// Unpacks, and keeps the blob.
    pub(super) fn unpack(self, source: impl Read + Send + 'static) -> Result<UnpackedLayer> {
        // The blob is written by the thread that decompresses it, and finished by this one.
        let blob = Arc::new(Mutex::new(self.blob));
        let tee = Tee {
            source,
            copy: Arc::clone(&blob),
        };
        let (compression, source) = Compression::detect(tee)?;
        let mut tar = LayerDecompressor::spawn(source, compression)?;
        let options = UnpackOptions {
            form: Form::OverlayLayer(self.xattrs),
            owner: None,
        };
        let unpacked = unpack(&mut tar, &root_of(&self.dir)?, &options)?;
        let diff_id = tar.finish()?;
        check_diff_id(&diff_id, &self.diff_id)?;
        let blob = Arc::into_inner(blob).context("the layer is still being read")?;
        let blob = blob.into_inner().unwrap_or_else(PoisonError::into_inner);
        blob.commit(Some(&self.digest))?;
        Ok(UnpackedLayer {
            dir: self.dir,
            unpacked,
        })
    }
}

/// Fails unless a layer's content is what its config says.
pub(super) fn check_diff_id(found: &DiffId, expected: &DiffId) -> Result<()> {
    if found != expected {
        bail!("the layer's content is {found}, its config says {expected}");
    }
    Ok(())
}

/// Hands on what it reads, and writes a copy of it.
struct Tee<R> {
    source: R,
    copy: Arc<Mutex<BlobWriter>>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Opens the directory of a layer.
pub(super) fn root_of(layer: &LayerDir) -> Result<Root> {
    Ok(Root::from_dir(layer.open()?))
}
