//! A tar of an OCI image layout (image-spec, image-layout.md) with one image or index: what `skopeo`'s
//! `oci-archive:` and BuildKit's `type=oci` are. This module knows the file, not who asked for it.
//!
//! The documents come first and the layers last, so that a reader of a stream knows early what it gets.
//! The same image gives the same bytes.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use thiserror::Error;

use super::descriptor::Descriptor;
use super::digest::Digest;
use super::layout::{self, blob_name};
use super::manifest::{Index, ManifestError};
use super::media_type::ImageFormat;
use super::tar_stream::{TarStream, TarStreamError};

/// An image to write.
#[derive(Debug, Clone, Copy)]
pub struct LayoutImage<'a> {
    /// What the layout lists: the image or index once for each of its names, or once without one.
    pub listed: &'a [Descriptor],
    /// Blobs that are at hand: indexes, manifests and configs. One may come twice.
    pub documents: &'a [&'a [u8]],
    /// Digests and files of the layers. One may come twice.
    pub layers: &'a [(Digest, PathBuf)],
}

/// Why the tar was not written.
#[derive(Debug, Error)]
pub enum OciArchiveError {
    /// The tar could not be written.
    #[error(transparent)]
    Tar(#[from] TarStreamError),
    /// The index cannot be written.
    #[error("cannot write `index.json`")]
    Index(#[source] ManifestError),
}

/// Writes the image as a stream. No layer is held in memory.
pub fn write(writer: &mut impl Write, image: &LayoutImage<'_>) -> Result<(), OciArchiveError> {
    let mut tar = TarStream::new(writer);
    tar.append_bytes(layout::MARKER_FILE, layout::marker().as_bytes())?;
    let index = Index::new(ImageFormat::Oci, image.listed.to_vec()).to_json();
    tar.append_bytes(layout::INDEX_FILE, &index.map_err(OciArchiveError::Index)?)?;
    let mut seen = BTreeSet::new();
    for document in image.documents {
        let digest = Digest::of(document);
        if seen.insert(digest.clone()) {
            tar.append_bytes(&blob_name(&digest), document)?;
        }
    }
    for (digest, file) in image.layers {
        if seen.insert(digest.clone()) {
            tar.append_file(&blob_name(digest), file)?;
        }
    }
    Ok(tar.finish()?)
}
