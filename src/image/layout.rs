//! OCI image layouts: a directory with blobs and an index of the images they make up (image-spec,
//! image-layout.md). This module knows the directory, not who delivers an image to it.
//!
//! What is written appears under its name whole or not at all, and the index comes last: a layout
//! that somebody reads meanwhile never lists what is not there. Several processes may add to one at
//! the same time: a blob is the same whoever writes it, and the index is changed under a lock.

mod error;
mod lock;
mod names;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::descriptor::Descriptor;
use super::digest::Digest;
use super::manifest::{Index, MAX_MANIFEST_BYTES, ManifestDocument};
use super::media_type::{ImageFormat, MediaType};
use crate::fs::{PathContext, PathError, create_file, go_on, replace_file};

pub use error::LayoutError;
use lock::IndexLock;
pub(super) use names::find_listed;
pub use names::{named, named_as, without_names};

/// Name of the file that makes a directory a layout.
pub(super) const MARKER_FILE: &str = "oci-layout";
/// The one version there is.
const LAYOUT_VERSION: &str = "1.0.0";
/// Name of the index.
pub(super) const INDEX_FILE: &str = "index.json";
/// A blob is copied in pieces, and work that is no longer wanted ends between two. A multiple of any file system's
/// blocks, so that these can be shared.
const PIECE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// A layout, with its index as it was last read or written.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    index: Index,
    /// Whether the index that is there counts no more.
    replaces_index: bool,
    halt: CancellationToken,
}

impl Layout {
    /// Begins a layout that lists no image, in a directory that is made where it is missing. An index
    /// that is there is replaced by the first [`add_manifest`](Self::add_manifest).
    pub fn create(dir: &Path) -> Result<Self, LayoutError> {
        let layout = Self {
            replaces_index: true,
            ..Self::of(dir, Index::new(ImageFormat::Oci, Vec::new()))
        };
        layout.begin()?;
        Ok(layout)
    }

    /// Opens the layout in a directory.
    pub fn open(dir: &Path) -> Result<Self, LayoutError> {
        let marker = read_small(&dir.join(MARKER_FILE))?;
        check_marker(dir, &marker)?;
        let index = read_small(&dir.join(INDEX_FILE))?;
        Ok(Self::of(dir, parse_index(dir, &marker, &index)?))
    }

    /// Opens the layout in a directory, or begins one where there is none.
    pub fn open_or_create(dir: &Path) -> Result<Self, LayoutError> {
        // The index is written last: without it, whoever began the layout did not get far, or is at it now.
        if dir.join(INDEX_FILE).exists() {
            return Self::open(dir);
        }
        let layout = Self::of(dir, Index::new(ImageFormat::Oci, Vec::new()));
        layout.begin()?;
        Ok(layout)
    }

    /// Makes adding files and waiting for others fail once the wish was made that it end.
    pub fn halted_by(mut self, halt: &CancellationToken) -> Self {
        self.halt = halt.clone();
        self
    }

    fn of(dir: &Path, index: Index) -> Self {
        Self {
            dir: dir.to_path_buf(),
            index,
            replaces_index: false,
            halt: CancellationToken::new(),
        }
    }

    /// Makes what every layout has.
    fn begin(&self) -> Result<(), LayoutError> {
        let blobs_dir = self.dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs_dir).on("create directory", &blobs_dir)?;
        let path = self.dir.join(MARKER_FILE);
        // It is what is locked: one that is good stays.
        create_file(&path, |file| file.write_all(marker().as_bytes()))?;
        if check_marker(&self.dir, &read_small(&path)?).is_err() {
            write_whole(&path, marker().as_bytes())?;
        }
        Ok(())
    }

    /// Returns what the layout lists, in its order.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Finds an image by its name or tag; without one, the only image or that of the tag `latest`.
    pub fn find(&self, tag: Option<&str>) -> Result<&Descriptor, LayoutError> {
        find_listed(&self.index.manifests, tag, &self.dir)
    }

    /// Returns the name of something that an index lists. `None` where it has none.
    pub fn name_of(listed: &Descriptor) -> Option<&str> {
        names::name_of(listed)
    }

    /// Returns where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(blob_name(digest))
    }

    /// Opens a blob for reading. Its bytes are not checked.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, PathError> {
        let path = self.blob_path(digest);
        File::open(&path).on("open", &path)
    }

    /// Reads a blob that is held in memory, such as a manifest or config, and checks its bytes. Its
    /// size is limited to that of a manifest.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, LayoutError> {
        let path = self.blob_path(digest);
        let bytes = read_small(&path)?;
        if digest.is_of(&bytes) {
            Ok(bytes)
        } else {
            Err(LayoutError::Damaged { path })
        }
    }

    /// Reads the manifest or index that a descriptor points at.
    pub fn read_manifest(&self, descriptor: &Descriptor) -> Result<ManifestDocument, LayoutError> {
        let bytes = self.read_blob(&descriptor.digest)?;
        let path = self.blob_path(&descriptor.digest);
        parse(&path, &bytes, &descriptor.media_type)
    }

    /// Adds a blob that is at hand as bytes and returns its digest.
    pub fn add_bytes(&self, bytes: &[u8]) -> Result<Digest, LayoutError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(&digest);
        if !has_size(&path, bytes.len() as u64) {
            write_whole(&path, bytes)?;
        }
        Ok(digest)
    }

    /// Adds a blob from a file whose digest is known: as a hard link where the file system allows,
    /// else as a copy that shares its blocks where it can. A blob of the same size that is there
    /// already is left alone.
    pub fn add_file(&self, file: &Path, digest: &Digest) -> Result<(), LayoutError> {
        go_on(&self.halt).on("add", file)?;
        let size = std::fs::metadata(file).on("stat", file)?.len();
        let path = self.blob_path(digest);
        if has_size(&path, size) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).on("create directory", parent)?;
        }
        // A wrong file of that name is in the way of a link, and is replaced by the copy.
        if std::fs::hard_link(file, &path).is_ok() {
            return Ok(());
        }
        let mut source = File::open(file).on("open", file)?;
        replace_file(&path, |target| self.copy(&mut source, target))?;
        Ok(())
    }

    fn copy(&self, source: &mut File, target: &mut File) -> io::Result<()> {
        loop {
            go_on(&self.halt)?;
            let mut piece = Read::by_ref(source).take(PIECE_BYTES);
            if io::copy(&mut piece, target)? == 0 {
                return Ok(());
            }
        }
    }

    /// Lists a manifest whose blobs are all there, and writes the index, with what others have listed meanwhile. It takes
    /// the place of what
    /// had the same name, where it has one, and else of what is the same manifest without a name. Of two that tell
    /// their whole references, those are the names: several repositories may have the same tag.
    pub fn add_manifest(&mut self, descriptor: Descriptor) -> Result<(), LayoutError> {
        let _lock = IndexLock::take(&self.dir.join(MARKER_FILE), &self.halt)?;
        let path = self.dir.join(INDEX_FILE);
        if !self.replaces_index && path.exists() {
            self.index = parse_index(&self.dir, marker().as_bytes(), &read_small(&path)?)?;
        }
        let name = names::name_of(&descriptor).map(str::to_owned);
        self.index.manifests.retain(|listed| {
            let listed_name = names::name_of(listed);
            let is_replaced = match &name {
                Some(name) => {
                    listed_name == Some(name.as_str())
                        && !names::are_of_other_references(listed, &descriptor)
                }
                None => listed_name.is_none() && listed.digest == descriptor.digest,
            };
            !is_replaced
        });
        self.index.manifests.push(descriptor);
        let json = self.index.to_json();
        let json = json.map_err(|source| LayoutError::Manifest {
            path: path.clone(),
            source,
        })?;
        write_whole(&path, &json)?;
        self.replaces_index = false;
        Ok(())
    }
}

/// Returns where a blob is in a layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Returns the text of the file that makes a directory a layout.
pub(super) fn marker() -> String {
    format!("{{\"imageLayoutVersion\":\"{LAYOUT_VERSION}\"}}")
}

/// Reads the two documents that make a layout. `path` is for messages.
pub(super) fn parse_index(path: &Path, marker: &[u8], index: &[u8]) -> Result<Index, LayoutError> {
    check_marker(path, marker)?;
    let path = path.join(INDEX_FILE);
    match parse(&path, index, &MediaType::Index(ImageFormat::Oci))? {
        ManifestDocument::Index(index) => Ok(*index),
        ManifestDocument::Image(_) => Err(LayoutError::NotAnIndex { path }),
    }
}

fn check_marker(path: &Path, marker: &[u8]) -> Result<(), LayoutError> {
    let marker = serde_json::from_slice::<Marker>(marker).ok();
    let is_known = marker.is_some_and(|marker| marker.image_layout_version == LAYOUT_VERSION);
    let path = path.to_path_buf();
    is_known
        .then_some(())
        .ok_or(LayoutError::NotALayout { path })
}

fn parse(path: &Path, bytes: &[u8], declared: &MediaType) -> Result<ManifestDocument, LayoutError> {
    ManifestDocument::parse(bytes, Some(declared)).map_err(|source| LayoutError::Manifest {
        path: path.to_path_buf(),
        source,
    })
}

/// Reads a file of at most the size of a manifest; of a larger one so much that it is seen to be.
fn read_small(path: &Path) -> Result<Vec<u8>, PathError> {
    let file = File::open(path).on("open", path)?;
    let mut bytes = Vec::new();
    let limit = MAX_MANIFEST_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).on("read", path)?;
    Ok(bytes)
}

fn has_size(path: &Path, size: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
    replace_file(path, |file| file.write_all(bytes))
}
