//! Mount points that an image lacks, as a layer of their own below a step's changes.
//!
//! Because they are in no upper directory, no layer can get them, and nothing has to be cleaned up.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::fs::{Dir, Metadata, PathError, Root, Xattrs};

use super::places::{MissingPoint, PointKind};

/// Fills the empty directory `stubs` with `missing` and the directories that lead there. Those that
/// `root` has, look as they do there: the topmost layer's word counts for a directory.
pub(super) fn fill(stubs: &Dir, root: &Root, missing: &[MissingPoint]) -> Result<(), PathError> {
    stubs.set_own_mode(0o755)?;
    let stubs = Root::from_dir(stubs.try_clone()?);
    // By path, so that a directory is made before what is in it.
    let mut copied: BTreeMap<PathBuf, Metadata> = BTreeMap::new();
    for point in missing {
        for parent in parents(&point.path) {
            if make_dir(&stubs, parent)?
                && let Some(metadata) = root.symlink_metadata(parent)?
            {
                copied.insert(parent.to_path_buf(), metadata);
            }
        }
        match point.kind {
            PointKind::Directory => {
                make_dir(&stubs, &point.path)?;
            }
            PointKind::File => make_file(&stubs, &point.path)?,
        }
    }
    // The innermost first: making an entry changes the time of the directory around it.
    for (path, metadata) in copied.iter().rev() {
        copy_metadata(&stubs, root, path, metadata)?;
    }
    Ok(())
}

/// Returns the directories above `path`, outermost first, without the root.
fn parents(path: &Path) -> Vec<&Path> {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.pop();
    parents.reverse();
    parents
}

/// Makes a directory as root would have it; says whether it is new.
fn make_dir(stubs: &Root, path: &Path) -> Result<bool, PathError> {
    let (parent, name) = stubs.open_parent(path)?;
    if parent.metadata_of(&name)?.is_some() {
        return Ok(false);
    }
    parent.create_dir(&name, 0o755)?;
    parent.set_mode(&name, 0o755)?;
    Ok(true)
}

fn make_file(stubs: &Root, path: &Path) -> Result<(), PathError> {
    let (parent, name) = stubs.open_parent(path)?;
    if parent.metadata_of(&name)?.is_none() {
        parent.create_file(&name, 0o644)?;
        parent.set_mode(&name, 0o644)?;
    }
    Ok(())
}

fn copy_metadata(
    stubs: &Root,
    root: &Root,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), PathError> {
    let dir = stubs.open_dir(path)?;
    for (key, value) in kept(root.open_dir(path)?.own_xattrs()?) {
        dir.set_own_xattr(&key, &value)?;
    }
    dir.set_own_owner(metadata.uid, metadata.gid)?;
    dir.set_own_mode(metadata.mode)?;
    dir.set_own_mtime(metadata.mtime)
}

/// What a layer keeps of a directory, and access control lists, which a step must find in place.
fn kept(xattrs: Xattrs) -> impl Iterator<Item = (std::ffi::OsString, Vec<u8>)> {
    let is_kept = |key: &OsStr| {
        let key = key.as_encoded_bytes();
        let is_user = key.starts_with(b"user.") && !key.starts_with(b"user.overlay.");
        is_user || key.starts_with(b"system.posix_acl_")
    };
    xattrs.into_iter().filter(move |(key, _)| is_kept(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Timestamp;

    #[test]
    fn directories_on_the_way_look_as_in_the_image() {
        let image = tempfile::tempdir().unwrap();
        let root = Root::open(image.path()).unwrap();
        root.dir().create_dir("etc".as_ref(), 0o700).unwrap();
        root.dir().set_mode("etc".as_ref(), 0o2750).unwrap();
        let mtime = Timestamp {
            seconds: 1_000_000,
            nanos: 7,
        };
        root.dir().set_mtime("etc".as_ref(), mtime).unwrap();

        let temp = tempfile::tempdir().unwrap();
        let stubs = Dir::open(temp.path()).unwrap();
        let missing = [
            ("etc/hosts", PointKind::File),
            ("run/a/stub", PointKind::File),
            ("proc", PointKind::Directory),
        ]
        .map(|(path, kind)| MissingPoint {
            path: PathBuf::from(path),
            kind,
        });
        fill(&stubs, &root, &missing).unwrap();

        let stubs = Root::from_dir(stubs);
        let etc = stubs.metadata(Path::new("etc")).unwrap().unwrap();
        assert_eq!((etc.mode, etc.mtime), (0o2750, mtime));
        let run = stubs.metadata(Path::new("run/a")).unwrap().unwrap();
        assert_eq!((run.mode, run.is_dir()), (0o755, true));
        for (path, is_dir) in [("etc/hosts", false), ("run/a/stub", false), ("proc", true)] {
            let found = stubs.symlink_metadata(Path::new(path)).unwrap().unwrap();
            assert_eq!(found.is_dir(), is_dir, "{path}");
        }
    }
}
