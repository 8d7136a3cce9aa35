//! Removing whole trees, however deep or oddly protected they are.

use std::ffi::{OsStr, OsString};

use super::{Dir, PathError};

/// Directories held open on the way down. Deeper ones are moved up first, so that a tree of any
/// depth needs neither more descriptors nor more stack.
const DEPTH_MAX: usize = 128;

/// Removes `name` in `dir` and everything below it. Nothing there is success.
pub fn remove_tree(dir: &Dir, name: &OsStr) -> Result<(), PathError> {
    let mut top = TopLevel {
        dir,
        pending: vec![name.to_os_string()],
        moved_up: 0,
    };
    while let Some(name) = top.pending.pop() {
        remove_below(dir, &name, 0, &mut top)?;
    }
    Ok(())
}

/// Where directories that lie too deep are moved, to be removed in a later round.
struct TopLevel<'a> {
    dir: &'a Dir,
    pending: Vec<OsString>,
    moved_up: usize,
}

fn remove_below(
    dir: &Dir,
    name: &OsStr,
    depth: usize,
    top: &mut TopLevel<'_>,
) -> Result<(), PathError> {
    let Some(metadata) = dir.metadata_of(name)? else {
        return Ok(());
    };
    if !metadata.is_dir() {
        return dir.remove_file(name);
    }
    if metadata.mode & 0o700 != 0o700 {
        // overlayfs keeps a directory of mode 000 in its work directory.
        dir.set_mode(name, 0o700)?;
    }
    let child = dir.open_dir(name)?;
    for entry in child.names()? {
        if depth < DEPTH_MAX {
            remove_below(&child, &entry, depth + 1, top)?;
        } else {
            move_up(&child, &entry, top)?;
        }
    }
    dir.remove_dir(name)
}

fn move_up(dir: &Dir, name: &OsStr, top: &mut TopLevel<'_>) -> Result<(), PathError> {
    let moved = OsString::from(format!(".sawagani-removed-{}", top.moved_up));
    top.moved_up += 1;
    dir.rename(name, top.dir, &moved)?;
    top.pending.push(moved);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_far_deeper_than_the_limit_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let top = Dir::open(temp.path()).unwrap();
        let name = OsStr::new("d");
        let mut dir = top.try_clone().unwrap();
        for _ in 0..(DEPTH_MAX * 5) {
            dir.create_dir(name, 0o755).unwrap();
            dir.create_file(OsStr::new("file"), 0o600).unwrap();
            dir = dir.open_dir(name).unwrap();
        }
        top.remove_file(OsStr::new("file")).unwrap();
        remove_tree(&top, name).unwrap();
        assert!(top.names().unwrap().is_empty());
    }

    #[test]
    fn a_directory_without_permissions_is_removed_and_a_missing_one_is_no_error() {
        let temp = tempfile::tempdir().unwrap();
        let top = Dir::open(temp.path()).unwrap();
        let name = OsStr::new("work");
        top.create_dir(name, 0o755).unwrap();
        top.open_dir(name)
            .unwrap()
            .create_dir(OsStr::new("work"), 0o000)
            .unwrap();
        remove_tree(&top, name).unwrap();
        remove_tree(&top, name).unwrap();
        assert!(top.names().unwrap().is_empty());
    }
}
