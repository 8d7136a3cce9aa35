//! Keeping an image that could not be pushed: a build of an hour is not thrown away for a registry that is down.
//!
//! The image becomes an OCI layout beside the build's own directory, which is removed: on the same file system, where
//! its blobs are linked and not copied. One for each digest, and only the newest few.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio_util::sync::CancellationToken;

use crate::fs::{Dir, PathError, go_on, remove_tree};
use crate::image::layout::Layout;
use crate::image::{Descriptor, Digest};
use crate::registry::push::BlobSource;

use super::layer_blobs::LayerBlobs;
use super::parcel::{BlobPlace, Parcel};

/// Begins the names of these directories. The work directories of builds, which are removed, begin in another way.
const PREFIX: &str = "unpushed-sawagani-";

/// Enough of a digest to tell images apart.
const NAME_DIGITS: usize = 16;

/// Images that are kept, the newest: what nobody pushed by then, nobody will.
const KEPT_MAX: usize = 2;

/// Writes the image to a layout in `parent`, and returns where. Base layers that nobody needed here are fetched.
pub(super) async fn keep(parcel: &Parcel, parent: &Path, blobs: &LayerBlobs) -> Result<PathBuf> {
    let mut contents = Contents::default();
    contents.gather(parcel, blobs).await?;
    let (top, parent) = (parcel.descriptor.clone(), parent.to_path_buf());
    let halt = blobs.halt.clone();
    let write = move || contents.write(top, &parent, &halt);
    let written = tokio::task::spawn_blocking(write).await;
    written.context("writing stopped")?
}

/// All that belongs to a layout.
#[derive(Default)]
struct Contents {
    documents: Vec<Bytes>,
    files: Vec<(PathBuf, Digest)>,
}

impl Contents {
    /// Boxed, as it calls itself.
    fn gather<'a>(
        &'a mut self,
        parcel: &'a Parcel,
        blobs: &'a LayerBlobs,
    ) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(self.gather_one(parcel, blobs))
    }

    async fn gather_one(&mut self, parcel: &Parcel, blobs: &LayerBlobs) -> Result<()> {
        for blob in &parcel.blobs {
            if matches!(blob.place, BlobPlace::Elsewhere) {
                continue;
            }
            match blobs.source(blob).await? {
                BlobSource::File(path) => {
                    self.files.push((path, blob.descriptor.digest.clone()));
                }
                BlobSource::Bytes(bytes) => self.documents.push(bytes),
                BlobSource::Part(part) => {
                    bail!("`{}` is where the image is kept", part.path.display())
                }
            }
        }
        for child in &parcel.children {
            self.gather(child, blobs).await?;
        }
        self.documents.push(parcel.bytes.clone());
        Ok(())
    }

    /// After an error, no new directory is left.
    fn write(&self, top: Descriptor, parent: &Path, halt: &CancellationToken) -> Result<PathBuf> {
        let parent = Dir::open(parent)?;
        let digits: String = top.digest.hex().chars().take(NAME_DIGITS).collect();
        let name = OsString::from(format!("{PREFIX}{digits}"));
        let is_new = make_own_dir(&parent, &name)?;
        let path = parent.path_of(&name);
        if let Err(error) = self.fill(&path, top, halt) {
            if is_new {
                // An error here would hide the first one.
                let _ = remove_tree(&parent, &name);
            }
            return Err(error);
        }
        remove_old(&parent, &name)?;
        Ok(path)
    }

    fn fill(&self, path: &Path, top: Descriptor, halt: &CancellationToken) -> Result<()> {
        let mut layout = Layout::create(path)?.halted_by(halt);
        for (file, digest) in &self.files {
            layout.add_file(file, digest)?;
        }
        for document in &self.documents {
            layout.add_bytes(document)?;
        }
        go_on(halt)?;
        Ok(layout.add_manifest(top)?)
    }
}

/// Makes a directory, and says whether there was none before. The parent may be one that all users write to: what is not
/// ours is neither used nor removed.
fn make_own_dir(parent: &Dir, name: &OsStr) -> Result<bool> {
    match parent.create_dir(name, 0o700) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            match is_own_dir(parent, name)? {
                true => Ok(false),
                false => bail!("`{}` is another user's", parent.path_of(name).display()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn is_own_dir(parent: &Dir, name: &OsStr) -> Result<bool, PathError> {
    let own = rustix::process::geteuid().as_raw();
    let found = parent.metadata_of(name)?;
    Ok(found.is_some_and(|found| found.is_dir() && found.uid == own))
}

/// Removes all but the newest, of which `new` is one.
fn remove_old(parent: &Dir, new: &OsStr) -> Result<(), PathError> {
    let mut others = Vec::new();
    for name in parent.names()? {
        let is_kept_image = name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_kept_image && name != new && is_own_dir(parent, &name)? {
            let mtime = parent.metadata_of(&name)?.map(|found| found.mtime);
            others.push((mtime, name));
        }
    }
    others.sort();
    let surplus = others.len().saturating_sub(KEPT_MAX - 1);
    for (_, name) in &others[..surplus] {
        remove_tree(parent, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::image::MediaType;
    use crate::image::blob_store::BlobStore;
    use crate::registry::{Registries, RegistryOptions};

    use super::super::parcel::ParcelBlob;

    fn parcel(text: &'static str, stored: &Descriptor) -> Parcel {
        let media_type = MediaType::parse("application/vnd.oci.image.manifest.v1+json");
        let config = Descriptor::of(MediaType::parse("application/x"), text.as_bytes());
        let config_bytes = BlobSource::Bytes(Bytes::from_static(text.as_bytes()));
        let blob = |descriptor: &Descriptor, place| ParcelBlob {
            descriptor: descriptor.clone(),
            place,
        };
        let bytes = Bytes::from(format!("manifest of {text}"));
        Parcel {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes,
            blobs: vec![
                blob(stored, BlobPlace::Store(None)),
                blob(&config, BlobPlace::Here(config_bytes)),
            ],
            children: Vec::new(),
        }
    }

    #[tokio::test]
    async fn an_image_is_kept_as_links_once_and_the_oldest_go() {
        use std::os::unix::fs::MetadataExt;
        let temp = tempfile::tempdir().unwrap();
        let store = Arc::new(BlobStore::open(&temp.path().join("build")).unwrap());
        let stored = store.write(&b"layer"[..], None).unwrap();
        let media_type = MediaType::parse("application/y");
        let layer = Descriptor::new(media_type, stored.digest, stored.size);
        let blobs = LayerBlobs {
            store: Arc::clone(&store),
            registries: Arc::new(Registries::new(RegistryOptions::default())),
            halt: CancellationToken::new(),
        };
        let mut kept = Vec::new();
        for text in ["first", "second", "third", "third"] {
            let parcel = parcel(text, &layer);
            let path = keep(&parcel, temp.path(), &blobs).await.unwrap();
            let layout = Layout::open(&path).unwrap();
            assert_eq!(layout.index().manifests.first(), Some(&parcel.descriptor));
            let linked = std::fs::metadata(layout.blob_path(&layer.digest)).unwrap();
            let original = std::fs::metadata(store.path(&layer.digest)).unwrap();
            assert_eq!(linked.ino(), original.ino());
            assert_eq!(layout.read_blob(parcel.digest()).unwrap(), parcel.bytes);
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
            kept.push(path);
        }
        assert_eq!(kept[2], kept[3]);
        let exist: Vec<bool> = kept.iter().map(|path| path.exists()).collect();
        assert_eq!(exist, [false, true, true, true]);
        let entries = std::fs::read_dir(temp.path()).unwrap().count();
        assert!(store.contains(&layer.digest));

        // What is no longer wanted leaves nothing new, and what is there alone.
        blobs.halt.cancel();
        let fourth = keep(&parcel("fourth", &layer), temp.path(), &blobs).await;
        assert!(fourth.is_err());
        let third = keep(&parcel("third", &layer), temp.path(), &blobs).await;
        assert!(third.is_err());
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), entries);
        assert_eq!(Layout::open(&kept[3]).unwrap().index().manifests.len(), 1);
    }

    #[test]
    fn what_has_the_name_and_is_no_directory_of_ours_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", temp.path().join("unpushed-sawagani-0")).unwrap();
        let parent = Dir::open(temp.path()).unwrap();
        let name = OsStr::new("unpushed-sawagani-0");
        assert!(make_own_dir(&parent, name).is_err());
        remove_old(&parent, OsStr::new("unpushed-sawagani-1")).unwrap();
        assert!(temp.path().join("unpushed-sawagani-0").is_symlink());
    }
}
