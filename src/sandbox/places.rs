//! Where, in a step's root directory, the things are mounted that every step sees.
//!
//! A target may be a link in the image (`/etc/resolv.conf` often is): it is followed inside the root.

use std::path::{Component, Path, PathBuf};

use crate::fs::Root;

use super::command::ShownFile;
use super::rootfs::RootfsError;

/// What a mount point has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PointKind {
    Directory,
    File,
}

/// A mount point that the image does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingPoint {
    /// Relative to the root, without links.
    pub(super) path: PathBuf,
    pub(super) kind: PointKind,
}

/// A file to show, and where.
#[derive(Debug)]
pub(super) struct PlacedFile<'a> {
    pub(super) file: &'a ShownFile,
    pub(super) place: FilePlace,
}

/// Where a shown file is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FilePlace {
    /// In the root; relative to it, without links.
    Root(PathBuf),
    /// In the step's own `/dev`, relative to that.
    Dev(PathBuf),
}

/// All mount points of a step. Paths are relative to the root, without links.
#[derive(Debug)]
pub(super) struct Places<'a> {
    pub(super) proc: PathBuf,
    pub(super) sys: PathBuf,
    pub(super) dev: PathBuf,
    pub(super) files: Vec<PlacedFile<'a>>,
    /// Empty for an image that has them all.
    pub(super) missing: Vec<MissingPoint>,
}

impl<'a> Places<'a> {
    /// Finds them in `root`. Of `files`, those that lead into the kernel's directories are left out
    /// if they are among the first `optional`: some images link `/etc/resolv.conf` to `/dev/null`.
    pub(super) fn find(
        root: &Root,
        files: &'a [ShownFile],
        optional: usize,
    ) -> Result<Self, RootfsError> {
        let mut missing = Vec::new();
        let mut directory =
            |name: &str| find_point(root, Path::new(name), PointKind::Directory, &mut missing);
        let mut places = Self {
            proc: directory("proc")?,
            sys: directory("sys")?,
            dev: directory("dev")?,
            files: Vec::new(),
            missing: Vec::new(),
        };
        for (index, file) in files.iter().enumerate() {
            if let Some(inside) = below_dev(&file.target) {
                let place = FilePlace::Dev(inside);
                places.files.push(PlacedFile { file, place });
                continue;
            }
            let path = root.resolve(&file.target)?;
            if places.is_covered(&path) {
                if index < optional {
                    continue;
                }
                return Err(RootfsError::Target {
                    target: file.target.clone(),
                    found: "a link into the kernel's own directories",
                });
            }
            let path = find_point(root, &path, PointKind::File, &mut missing)?;
            let place = FilePlace::Root(path);
            places.files.push(PlacedFile { file, place });
        }
        places.missing = missing;
        Ok(places)
    }

    /// Says whether `path` is hidden by a mount of ours.
    pub(super) fn is_covered(&self, path: &Path) -> bool {
        [&self.proc, &self.sys, &self.dev]
            .into_iter()
            .any(|covered| path.starts_with(covered))
    }
}

/// Resolves `target` in `root` and notes it in `missing` if nothing is there.
pub(super) fn find_point(
    root: &Root,
    target: &Path,
    kind: PointKind,
    missing: &mut Vec<MissingPoint>,
) -> Result<PathBuf, RootfsError> {
    let path = root.resolve(target)?;
    let wrong = |found| RootfsError::Target {
        target: Path::new("/").join(target),
        found,
    };
    let found = root.symlink_metadata(&path)?;
    match (kind, found.map(|metadata| metadata.is_dir())) {
        (PointKind::Directory, Some(true)) | (PointKind::File, Some(false)) => {}
        (PointKind::Directory, Some(false)) => return Err(wrong("a file")),
        (PointKind::File, Some(true)) => return Err(wrong("a directory")),
        (PointKind::Directory | PointKind::File, None) => {
            if has_file_on_the_way(root, &path)? {
                return Err(wrong("a file on the way"));
            }
            let path = path.clone();
            missing.push(MissingPoint { path, kind });
        }
    }
    Ok(path)
}

pub(super) fn has_file_on_the_way(root: &Root, path: &Path) -> Result<bool, RootfsError> {
    for ancestor in path.ancestors().skip(1) {
        if let Some(metadata) = root.symlink_metadata(ancestor)? {
            return Ok(!metadata.is_dir());
        }
    }
    Ok(false)
}

/// Returns the rest of a path below `/dev`, by its text: what the image has in its `/dev` is hidden
/// by the step's own.
pub(super) fn below_dev(target: &Path) -> Option<PathBuf> {
    let target = target.strip_prefix("/").unwrap_or(target);
    let inside = target.strip_prefix("dev").ok()?;
    let is_plain = |component| matches!(component, Component::Normal(_));
    let is_below = inside.components().next().is_some();
    (is_below && inside.components().all(is_plain)).then(|| inside.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn file(target: &str) -> ShownFile {
        ShownFile {
            target: PathBuf::from(target),
            contents: Vec::new(),
            mode: 0o644,
        }
    }

    #[test]
    fn links_are_followed_inside_and_what_is_missing_is_noted() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("etc")).unwrap();
        std::fs::create_dir_all(temp.path().join("dev")).unwrap();
        symlink("../run/stub.conf", temp.path().join("etc/resolv.conf")).unwrap();
        std::fs::write(temp.path().join("etc/hosts"), "").unwrap();
        let root = Root::open(temp.path()).unwrap();
        let files = [
            file("/etc/resolv.conf"),
            file("/etc/hosts"),
            file("/dev/pipes/EOF"),
        ];
        let places = Places::find(&root, &files, 2).unwrap();
        let found: Vec<FilePlace> = places.files.into_iter().map(|file| file.place).collect();
        let expected = [
            FilePlace::Root(PathBuf::from("run/stub.conf")),
            FilePlace::Root(PathBuf::from("etc/hosts")),
            FilePlace::Dev(PathBuf::from("pipes/EOF")),
        ];
        assert_eq!(found, expected);
        let missing: Vec<PathBuf> = places.missing.into_iter().map(|point| point.path).collect();
        assert_eq!(missing, ["proc", "sys", "run/stub.conf"].map(PathBuf::from));
    }

    #[test]
    fn a_link_into_dev_is_left_out_if_it_may_be() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("etc")).unwrap();
        symlink("/dev/null", temp.path().join("etc/resolv.conf")).unwrap();
        let root = Root::open(temp.path()).unwrap();
        let files = [file("/etc/resolv.conf")];
        assert!(Places::find(&root, &files, 1).unwrap().files.is_empty());
        assert!(Places::find(&root, &files, 0).is_err());
    }

    #[test]
    fn something_else_in_the_place_is_an_error_that_names_it() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("etc"), "").unwrap();
        std::fs::create_dir(temp.path().join("hosts")).unwrap();
        let root = Root::open(temp.path()).unwrap();
        for target in ["/etc/hosts", "/hosts"] {
            let error = Places::find(&root, &[file(target)], 1).unwrap_err();
            assert!(error.to_string().contains(target), "{error}");
        }
    }
}
