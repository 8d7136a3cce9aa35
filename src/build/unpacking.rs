//! Unpacking one layer alone into a directory of its own, while its blob is kept if it comes from elsewhere.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::cache::local_cache::{HeldTree, NewTree};
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
    pub(super) place: LayerPlace,
}

/// Where an unpacked layer lies.
pub(super) enum LayerPlace {
    /// In the work directory of this build.
    Own,
    /// In the cache, complete, as long as this is held.
    Kept(HeldTree),
    /// In the cache, on its way to being complete. `None` once it is.
    New(Mutex<Option<NewTree>>),
}

impl UnpackedLayer {
    /// Makes a layer of one that was found complete.
    pub(super) fn kept(tree: HeldTree, dir: LayerDir) -> Self {
        let unpacked = Unpacked {
            is_root_opaque: tree.is_root_opaque(),
            ..Unpacked::default()
        };
        Self {
            dir,
            unpacked,
            place: LayerPlace::Kept(tree),
        }
    }

    /// Returns the directory in the cache that the layer was unpacked into, if it was. Others get nothing.
    pub(super) fn take_new_tree(&self) -> Option<NewTree> {
        match &self.place {
            LayerPlace::Own | LayerPlace::Kept(_) => None,
            LayerPlace::New(tree) => tree.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

/// What unpacking one layer takes. Runs on a thread of its own.
pub(super) struct LayerWork {
    pub(super) dir: LayerDir,
    /// Gets a copy of what is read. `None` for a blob that is here already.
    pub(super) copy: Option<BlobWriter>,
    pub(super) digest: Digest,
    pub(super) diff_id: DiffId,
    pub(super) xattrs: OverlayXattrs,
}

impl LayerWork {
    /// Unpacks, and keeps the blob.
    pub(super) fn unpack(mut self, source: impl Read + Send + 'static) -> Result<UnpackedLayer> {
        let Some(copy) = self.copy.take() else {
            return self.unpack_only(source);
        };
        // The blob is written by the thread that decompresses it, and finished by this one.
        let copy = Arc::new(Mutex::new(copy));
        let tee = Tee {
            source,
            copy: Arc::clone(&copy),
        };
        let digest = self.digest.clone();
        let unpacked = self.unpack_only(tee)?;
        let copy = Arc::into_inner(copy).context("the layer is still being read")?;
        let copy = copy.into_inner().unwrap_or_else(PoisonError::into_inner);
        copy.commit(Some(&digest))?;
        Ok(unpacked)
    }

    fn unpack_only(self, source: impl Read + Send + 'static) -> Result<UnpackedLayer> {
        let (compression, source) = Compression::detect(source)?;
        let mut tar = LayerDecompressor::spawn(source, compression)?;
        let options = UnpackOptions {
            form: Form::OverlayLayer(self.xattrs),
            owner: None,
        };
        let unpacked = unpack(&mut tar, &root_of(&self.dir)?, &options)?;
        let diff_id = tar.finish()?;
        check_diff_id(&diff_id, &self.diff_id)?;
        Ok(UnpackedLayer {
            dir: self.dir,
            unpacked,
            place: LayerPlace::Own,
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
