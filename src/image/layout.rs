//! OCI image layouts: a directory with blobs and an index of the images they make up (image-spec,
//! image-layout.md). This module knows the directory, not who delivers an image to it.
//!
//! What is written appears under its name whole or not at all, and the index comes last: a layout
//! that somebody reads meanwhile never lists what is not there.

mod error;
mod names;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::descriptor::Descriptor;
use super::digest::Digest;
use super::manifest::{Index, MAX_MANIFEST_BYTES, ManifestDocument};
use super::media_type::{ImageFormat, MediaType};
use crate::fs::{PathContext, PathError, replace_file};

pub use error::LayoutError;
pub(super) use names::find_listed;
pub use names::{named, named_as};

/// Name of the file that makes a directory a layout.
pub(super) const MARKER_FILE: &str = "oci-layout";
/// The one version there is.
const LAYOUT_VERSION: &str = "1.0.0";
/// Name of the index.
pub(super) const INDEX_FILE: &str = "index.json";

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
}

impl Layout {
    /// Begins a layout that lists no image, in a directory that is made where it is missing. An index
    /// that is there is replaced by the first [`add_manifest`](Self::add_manifest).
    pub fn create(dir: &Path) -> Result<Self, LayoutError> {
        let layout = Self {
            dir: dir.to_path_buf(),
            index: Index::new(ImageFormat::Oci, Vec::new()),
        };
        let blobs_dir = layout.dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs_dir).on("create directory", &blobs_dir)?;
        write_whole(&layout.dir.join(MARKER_FILE), marker().as_bytes())?;
        Ok(layout)
    }

    /// Opens the layout in a directory.
    pub fn open(dir: &Path) -> Result<Self, LayoutError> {
        let marker = read_small(&dir.join(MARKER_FILE))?;
        check_marker(dir, &marker)?;
        let index = read_small(&dir.join(INDEX_FILE))?;
        let index = parse_index(dir, &marker, &index)?;
        let dir = dir.to_path_buf();
        Ok(Self { dir, index })
    }

    /// Opens the layout in a directory, or begins one where there is none.
    pub fn open_or_create(dir: &Path) -> Result<Self, LayoutError> {
        // The index is written last: without it, whoever began the layout did not get far.
        if dir.join(INDEX_FILE).exists() {
            Self::open(dir)
        } else {
            Self::create(dir)
        }
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
        replace_file(&path, |target| io::copy(&mut source, target).map(drop))?;
        Ok(())
    }

    /// Lists a manifest whose blobs are all there, and writes the index. It takes the place of what
    /// had the same name, where it has one, and else of what is the same manifest without a name. Of two that tell
    /// their whole references, those are the names: several repositories may have the same tag.
    pub fn add_manifest(&mut self, descriptor: Descriptor) -> Result<(), LayoutError> {
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
        let path = self.dir.join(INDEX_FILE);
        let json = self.index.to_json();
        let json = json.map_err(|source| LayoutError::Manifest {
            path: path.clone(),
            source,
        })?;
        Ok(write_whole(&path, &json)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::reference::Reference;
    use std::os::unix::fs::MetadataExt;

    fn manifest_of(config: &str) -> (Vec<u8>, Descriptor) {
        let media_type = MediaType::Config(ImageFormat::Oci);
        let config = Descriptor::of(media_type, config.as_bytes());
        let manifest = super::super::Manifest::new(ImageFormat::Oci, &config, &[]);
        let json = manifest.to_json().unwrap();
        let descriptor = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &json);
        (json, descriptor)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("new/layout");
        let mut layout = Layout::create(&dir).unwrap();
        let (json, descriptor) = manifest_of("{}");
        assert_eq!(layout.add_bytes(&json).unwrap(), descriptor.digest);
        layout.add_manifest(descriptor.clone()).unwrap();
        let marker = std::fs::read_to_string(dir.join("oci-layout")).unwrap();
        assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
        let again = Layout::open(&dir).unwrap();
        assert_eq!(again.index().manifests, std::slice::from_ref(&descriptor));
        let document = again.read_manifest(&descriptor).unwrap();
        assert!(matches!(document, ManifestDocument::Image(_)));
        let names = std::fs::read_dir(&dir).unwrap().count();
        assert_eq!(names, 3, "no temporary file is left");
    }

    #[test]
    fn one_tag_of_two_repositories_is_two_names() {
        let temp = tempfile::tempdir().unwrap();
        let mut layout = Layout::create(temp.path()).unwrap();
        let (json, descriptor) = manifest_of("{}");
        layout.add_bytes(&json).unwrap();
        for name in ["reg.example/a:1", "reg.example/b:1", "reg.example/a:1"] {
            let name = Reference::parse(name).unwrap();
            layout
                .add_manifest(named_as(descriptor.clone(), &name))
                .unwrap();
        }
        assert_eq!(layout.index().manifests.len(), 2);
    }

    #[test]
    fn a_layout_that_was_only_begun_is_begun_again() {
        let temp = tempfile::tempdir().unwrap();
        Layout::create(temp.path()).unwrap();
        let mut layout = Layout::open_or_create(temp.path()).unwrap();
        let (json, descriptor) = manifest_of("{}");
        layout.add_bytes(&json).unwrap();
        layout.add_manifest(descriptor).unwrap();
        let again = Layout::open_or_create(temp.path()).unwrap();
        assert_eq!(again.index().manifests.len(), 1);
    }

    #[test]
    fn an_image_is_added_to_those_that_are_there_or_replaces_its_namesake() {
        let temp = tempfile::tempdir().unwrap();
        let [(_, a), (_, b), (_, c)] = ["1", "2", "3"].map(manifest_of);
        let mut layout = Layout::open_or_create(temp.path()).unwrap();
        layout.add_manifest(named(a.clone(), "x")).unwrap();
        layout.add_manifest(b.clone()).unwrap();
        let mut layout = Layout::open_or_create(temp.path()).unwrap();
        layout.add_manifest(named(c.clone(), "x")).unwrap();
        layout.add_manifest(b.clone()).unwrap();
        let listed = Layout::open(temp.path()).unwrap().index().manifests.clone();
        assert_eq!(listed, [named(c.clone(), "x"), b]);

        let mut layout = Layout::create(temp.path()).unwrap();
        layout.add_manifest(a.clone()).unwrap();
        let listed = Layout::open(temp.path()).unwrap().index().manifests.clone();
        assert_eq!(listed, [a]);
    }

    #[test]
    fn a_file_is_linked_and_a_wrong_blob_of_its_name_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("blob");
        std::fs::write(&file, "contents").unwrap();
        let digest = Digest::of(b"contents");
        let layout = Layout::create(&temp.path().join("layout")).unwrap();
        layout.add_file(&file, &digest).unwrap();
        let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
        let blob = layout.blob_path(&digest);
        assert_eq!(inode(&blob), inode(&file));

        std::fs::remove_file(&blob).unwrap();
        std::fs::write(&blob, "half").unwrap();
        layout.add_file(&file, &digest).unwrap();
        assert_eq!(layout.read_blob(&digest).unwrap(), b"contents");
    }

    #[test]
    fn a_blob_that_is_not_what_its_name_says_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let (json, descriptor) = manifest_of("{}");
        layout.add_bytes(&json).unwrap();
        std::fs::write(layout.blob_path(&descriptor.digest), b"{}").unwrap();
        let error = layout.read_manifest(&descriptor).unwrap_err();
        assert!(matches!(error, LayoutError::Damaged { .. }), "{error}");
    }

    #[test]
    fn what_is_no_layout_is_refused_with_its_path() {
        let temp = tempfile::tempdir().unwrap();
        let shown = temp.path().display().to_string();
        let error = Layout::open(temp.path()).unwrap_err();
        assert!(error.to_string().contains(&shown), "{error}");
        for marker in ["", "{}", r#"{"imageLayoutVersion":"2.0.0"}"#] {
            std::fs::write(temp.path().join("oci-layout"), marker).unwrap();
            let error = Layout::open(temp.path()).unwrap_err();
            assert!(matches!(error, LayoutError::NotALayout { .. }), "{error}");
            assert!(error.to_string().contains(&shown), "{error}");
        }
        let marker = r#"{"imageLayoutVersion":"1.0.0"}"#;
        std::fs::write(temp.path().join("oci-layout"), marker).unwrap();
        std::fs::write(temp.path().join("index.json"), "[]").unwrap();
        let error = Layout::open(temp.path()).unwrap_err();
        assert!(error.to_string().contains("index.json"), "{error}");
    }
}
