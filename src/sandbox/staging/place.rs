//! Where mounts go: to a place of the image, to the step's own `/dev`, or into another mount.

use std::path::{Path, PathBuf};

use crate::fs::{Root, create_dir_all};

use super::super::places::{Places, PointKind, below_dev, find_point, has_file_on_the_way};
use super::super::rootfs::RootfsError;
use super::Staging;

/// The place of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) enum MountPlace {
    /// In the root; relative to it, without links.
    Root(PathBuf),
    /// In the step's own `/dev`, relative to that.
    Dev(PathBuf),
    /// In an earlier mount, by its number; relative to that, without links.
    In(usize, PathBuf),
}

impl Staging<'_> {
    /// Finds the place of a mount, and sees to it that there is something to mount on.
    pub(super) fn place(
        &mut self,
        root: &Root,
        places: &Places<'_>,
        target: &Path,
        kind: PointKind,
    ) -> Result<MountPlace, RootfsError> {
        if let Some((index, rest)) = self.mount_above(root, target)? {
            self.make_point(index, &rest, kind)?;
            return Ok(MountPlace::In(index, rest));
        }
        if let Some(inside) = below_dev(target) {
            return Ok(MountPlace::Dev(inside));
        }
        let path = root.resolve(target)?;
        if path.as_os_str().is_empty() {
            return Err(wrong(target, "a link to its root directory"));
        }
        if places.is_covered(&path) {
            return Err(wrong(target, "one of the kernel's own directories"));
        }
        let path = find_point(root, &path, kind, &mut self.missing)?;
        Ok(MountPlace::Root(path))
    }

    /// Returns the innermost mount that `target` is in, and the rest of the path.
    fn mount_above(
        &self,
        root: &Root,
        target: &Path,
    ) -> Result<Option<(usize, PathBuf)>, RootfsError> {
        let resolved = root.resolve(target)?;
        let mut found: Option<(usize, PathBuf)> = None;
        for (index, mount) in self.mounts.iter().enumerate() {
            let rest = target.strip_prefix(&mount.target).ok();
            let rest = rest.or_else(|| match &mount.place {
                MountPlace::Root(path) => resolved.strip_prefix(path).ok(),
                MountPlace::Dev(_) | MountPlace::In(..) => None,
            });
            let Some(rest) = rest else {
                continue;
            };
            // Of two at the same place, the later one is on top.
            let is_inner = |other: &(usize, PathBuf)| rest.iter().count() <= other.1.iter().count();
            if found.as_ref().is_none_or(is_inner) {
                found = Some((index, rest.to_path_buf()));
            }
        }
        Ok(found)
    }

    /// Makes a mount point in a mount, if it is missing there.
    fn make_point(
        &mut self,
        index: usize,
        rest: &Path,
        kind: PointKind,
    ) -> Result<(), RootfsError> {
        let mount = &mut self.mounts[index];
        let full = mount.target.join(rest);
        let Some(tree) = &mount.tree else {
            return match (rest.as_os_str().is_empty(), kind) {
                (true, PointKind::File) => Ok(()),
                (true, PointKind::Directory) => Err(wrong(&full, "a file")),
                (false, _) => Err(wrong(&full, "a file on the way")),
            };
        };
        if tree.resolve(rest)? != rest {
            return Err(wrong(&full, "a link on the way, in another mount"));
        }
        match (
            kind,
            tree.symlink_metadata(rest)?.map(|found| found.is_dir()),
        ) {
            (PointKind::Directory, Some(true)) | (PointKind::File, Some(false)) => return Ok(()),
            (PointKind::Directory, Some(false)) => return Err(wrong(&full, "a file")),
            (PointKind::File, Some(true)) => return Err(wrong(&full, "a directory")),
            (PointKind::Directory | PointKind::File, None) => {}
        }
        if has_file_on_the_way(tree, rest)? {
            return Err(wrong(&full, "a file on the way"));
        }
        mount.make_own(self.inner)?;
        match &mount.tree {
            Some(tree) => make(tree, rest, kind),
            None => Ok(()),
        }
    }
}

fn make(tree: &Root, path: &Path, kind: PointKind) -> Result<(), RootfsError> {
    let dir = match kind {
        PointKind::Directory => path,
        PointKind::File => path.parent().unwrap_or(Path::new("")),
    };
    let dir = create_dir_all(tree, dir, 0o755, (0, 0))?;
    if let (PointKind::File, Some(name)) = (kind, path.file_name()) {
        dir.create_file(name, 0o644)?;
        dir.set_owner(name, 0, 0)?;
    }
    Ok(())
}

fn wrong(target: &Path, found: &'static str) -> RootfsError {
    RootfsError::Target {
        target: target.to_path_buf(),
        found,
    }
}
