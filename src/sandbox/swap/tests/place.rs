//! A container's root directory, a stage's tree, and everything that can be said of both.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use crate::fs::{Dir, Root, Timestamp};
use crate::sandbox::swap::Swap;

/// Everything that a listing says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: (i64, i64),
    /// Contents, or where a link leads. Empty for a directory.
    pub(super) contents: Vec<u8>,
    pub(super) xattrs: Vec<(std::ffi::OsString, Vec<u8>)>,
    /// Inode and number of names, but for a directory.
    pub(super) file: (u64, u64),
}

pub(super) type Listing = BTreeMap<PathBuf, Line>;

/// A directory with `root`, `root/work/aside` and `root/work/tree`.
pub(super) struct Place {
    top: PathBuf,
    pub(super) kept: Vec<PathBuf>,
    /// An overlay that no path leads to, if the place is on one: it ends with its descriptor.
    _mount: Option<OwnedFd>,
    _temp: tempfile::TempDir,
}

impl Place {
    pub(super) fn new(kept: &[&str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self::at(temp.path().to_path_buf(), kept, None, temp)
    }

    /// Makes a place on an overlay whose lower layer has what `prepare` puts into the root directory.
    pub(super) fn layered(kept: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let temp = tempfile::tempdir().unwrap();
        for name in ["lower/root", "upper", "work"] {
            fs::create_dir_all(temp.path().join(name)).unwrap();
        }
        prepare(&temp.path().join("lower/root"));
        let mount = overlay(temp.path()).unwrap();
        let top = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
        Self::at(top, kept, Some(mount), temp)
    }

    fn at(top: PathBuf, kept: &[&str], mount: Option<OwnedFd>, temp: tempfile::TempDir) -> Self {
        fs::create_dir_all(top.join("root/work/aside")).unwrap();
        fs::create_dir_all(top.join("root/work/tree")).unwrap();
        let mut kept: Vec<PathBuf> = kept.iter().map(PathBuf::from).collect();
        kept.push(PathBuf::from("work"));
        Self {
            top,
            kept,
            _mount: mount,
            _temp: temp,
        }
    }

    /// Returns a path in the root directory.
    pub(super) fn root(&self, path: &str) -> PathBuf {
        self.top.join("root").join(path)
    }

    /// Returns a path in the tree.
    pub(super) fn tree(&self, path: &str) -> PathBuf {
        self.root("work/tree").join(path)
    }

    pub(super) fn open_root(&self) -> Root {
        Root::open(&self.root("")).unwrap()
    }

    pub(super) fn open_tree(&self) -> Root {
        Root::open(&self.tree("")).unwrap()
    }

    pub(super) fn aside(&self) -> Dir {
        Dir::open(&self.root("work/aside")).unwrap()
    }

    pub(super) fn swap(&self) -> Swap {
        Swap::new(self.open_root(), self.aside(), &self.kept).unwrap()
    }

    /// Lists the root directory but for the work directory.
    pub(super) fn list_root(&self) -> Listing {
        let mut listing = list(&self.root(""));
        listing.retain(|path, _| !path.starts_with("work"));
        listing
    }

    pub(super) fn list_tree(&self) -> Listing {
        list(&self.tree(""))
    }
}

/// Mounts an overlay as docker does: it refuses to rename a directory of the lower layer.
fn overlay(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (option, value) in [
        ("lowerdir", dir.join("lower")),
        ("upperdir", dir.join("upper")),
        ("workdir", dir.join("work")),
        ("redirect_dir", PathBuf::from("off")),
    ] {
        fsconfig_set_string(&context, option, &value)?;
    }
    fsconfig_create(&context)?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
}

/// Makes files below `top`: `dir/`, `file=contents`, `link>target`, each with a time of its own.
pub(super) fn fill(top: &Path, entries: &[&str]) {
    for entry in entries {
        if let Some(dir) = entry.strip_suffix('/') {
            fs::create_dir_all(top.join(dir)).unwrap();
        } else if let Some((path, contents)) = entry.split_once('=') {
            fs::write(top.join(path), contents).unwrap();
        } else if let Some((path, target)) = entry.split_once('>') {
            symlink(target, top.join(path)).unwrap();
        }
    }
    for (number, path) in list(top).into_keys().enumerate().skip(1) {
        set_mtime(&top.join(path), 1_000_000_000 + number as i64);
    }
    set_mtime(top, 1_000_000_000);
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) fn set_mtime(path: &Path, seconds: i64) {
    let parent = Dir::open(path.parent().unwrap()).unwrap();
    let time = Timestamp { seconds, nanos: 77 };
    parent.set_mtime(path.file_name().unwrap(), time).unwrap();
}

/// Lists `top` with everything below it.
pub(super) fn list(top: &Path) -> Listing {
    walkdir::WalkDir::new(top)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.file_name().unwrap();
            let parent = Dir::open(path.parent().unwrap()).unwrap();
            let contents = if metadata.is_symlink() {
                fs::read_link(path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if metadata.is_file() {
                fs::read(path).unwrap()
            } else {
                Vec::new()
            };
            let file = match metadata.is_dir() {
                true => (0, 0),
                false => (metadata.ino(), metadata.nlink()),
            };
            let line = Line {
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
                mtime: (metadata.mtime(), metadata.mtime_nsec()),
                contents,
                xattrs: parent.xattrs(name).unwrap().into_iter().collect(),
                file,
            };
            (path.strip_prefix(top).unwrap().to_path_buf(), line)
        })
        .collect()
}
