//! All of these make owners and devices: they say so where they are not run as root.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::image::archive::test_archive::TestArchive;

mod agreement;
mod entries;
mod forms;
mod hostile;
mod layers;
mod recorded;

const TRUSTED: Form = Form::OverlayLayer(OverlayXattrs::Trusted);
const USER: Form = Form::OverlayLayer(OverlayXattrs::User);

/// A directory to unpack into.
struct Tree {
    temp: TempDir,
    root: Root,
}

impl Tree {
    fn new() -> Self {
        let uid = rustix::process::geteuid();
        assert!(uid.is_root(), "this test needs root: it sets owners");
        let temp = tempfile::tempdir().unwrap();
        // A directory of its own, so that what climbs out of it is seen beside it.
        std::fs::create_dir(temp.path().join("root")).unwrap();
        let root = Root::open(&temp.path().join("root")).unwrap();
        Self { temp, root }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.temp.path().join("root").join(name)
    }

    fn unpack(&self, form: Form, archive: TestArchive) -> Result<Unpacked, UnpackError> {
        self.unpack_as(form, None, archive)
    }

    fn unpack_as(
        &self,
        form: Form,
        owner: Option<(u32, u32)>,
        archive: TestArchive,
    ) -> Result<Unpacked, UnpackError> {
        let options = UnpackOptions { form, owner };
        let unpacked = unpack(&archive.finish()[..], &self.root, &options);
        let beside = std::fs::read_dir(self.temp.path()).unwrap().count();
        assert_eq!(beside, 1, "something was made outside of the root");
        unpacked
    }

    fn metadata(&self, name: &str) -> std::fs::Metadata {
        std::fs::symlink_metadata(self.path(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        std::fs::symlink_metadata(self.path(name)).is_ok()
    }

    fn xattr(&self, name: &str, key: &str) -> Option<Vec<u8>> {
        let (dir, name) = self.root.open_parent(Path::new(name)).unwrap();
        dir.xattr(&name, OsStr::new(key)).unwrap()
    }

    fn is_opaque(&self, name: &str, xattrs: OverlayXattrs) -> bool {
        let key = xattrs.opaque_key().to_str().unwrap();
        self.xattr(name, key).as_deref() == Some(b"y")
    }

    fn is_whiteout(&self, name: &str) -> bool {
        let metadata = self.metadata(name);
        metadata.file_type().is_char_device() && metadata.rdev() == 0
    }

    /// Returns every path with what it is, but for times of directories.
    fn listing(&self) -> BTreeMap<String, String> {
        let mut listing = BTreeMap::new();
        for entry in walkdir::WalkDir::new(self.path("")).min_depth(1) {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(self.path("")).unwrap();
            let name = path.to_str().unwrap().to_owned();
            listing.insert(name, describe(entry.path()));
        }
        listing
    }
}

fn describe(path: &Path) -> String {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "dir".to_owned()
    } else if kind.is_symlink() {
        format!("-> {}", std::fs::read_link(path).unwrap().display())
    } else if kind.is_file() {
        format!("file {:?}", std::fs::read_to_string(path).unwrap())
    } else {
        format!("special {:o}", metadata.rdev())
    };
    let mode = metadata.permissions().mode() & 0o7777;
    let (uid, gid, mtime) = (metadata.uid(), metadata.gid(), metadata.mtime());
    format!("{mode:04o} {uid}:{gid} {mtime} {what}")
}

fn entry_error(result: Result<Unpacked, UnpackError>) -> (String, EntryError) {
    match result {
        Err(UnpackError::Entry { entry, source }) => (entry, source),
        other => panic!("expected an error about an entry: {other:?}"),
    }
}
