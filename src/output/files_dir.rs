//! Files of an image appear in a directory of the user's: all at once in a new one, else each in place of
//! what had its name, as BuildKit's local exporter merges them.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use crate::fs::{Dir, PathContext, PathError, Root, go_on, remove_tree};

use super::file_tree::{FileTree, LateDir, Owners};

/// What the image's root directory becomes.
const ROOT_MODE: u32 = 0o755;

/// Has files unpacked by `fill`, and puts them into `dir`, which is made where it is missing. Until
/// everything is unpacked, nothing of it is seen, and after an error, or once `halt` was wished until then, nothing is left.
pub fn fill_dir(
    dir: &Path,
    owners: Owners,
    halt: &CancellationToken,
    fill: impl FnOnce(&FileTree) -> Result<()>,
) -> Result<()> {
    let is_new = match std::fs::metadata(dir) {
        Ok(found) if found.is_dir() => false,
        Ok(_) => bail!("`{}` is not a directory", dir.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(error).on("open", dir).map_err(Into::into),
    };
    let beside = match is_new {
        true => dir.parent().context("the root directory is missing")?,
        false => dir,
    };
    std::fs::create_dir_all(beside).on("create directory", beside)?;
    let mut builder = tempfile::Builder::new();
    let temp = builder.prefix(".sawagani-").tempdir_in(beside);
    let temp = temp.on("create a directory in", beside)?;
    let tree = FileTree::new(temp.path(), owners, halt)?;
    let filled = fill(&tree).and_then(|()| {
        let late = tree.settle()?;
        go_on(halt)?;
        Ok(late)
    });
    let mut late = match filled {
        Ok(late) => late,
        Err(error) => {
            // What an image has may have any mode; an error here would hide the first one.
            let _ = tree.remove();
            return Err(error);
        }
    };
    if is_new {
        let mode = Permissions::from_mode(ROOT_MODE);
        std::fs::set_permissions(temp.path(), mode).on("change mode of", temp.path())?;
        std::fs::rename(temp.path(), dir).on("create", dir)?;
        // Its name is gone.
        let _ = temp.keep();
    } else {
        merge(
            tree.root().dir(),
            &Dir::open(dir)?,
            Path::new(""),
            &mut late,
        )?;
    }
    finish_dirs(dir, late)?;
    Ok(())
}

/// Moves everything from one directory into another on the same file system.
fn merge(from: &Dir, to: &Dir, path: &Path, late: &mut Vec<LateDir>) -> Result<(), PathError> {
    for name in from.names()? {
        let (Some(new), old) = (from.metadata_of(&name)?, to.metadata_of(&name)?) else {
            continue;
        };
        let is_dir = old.as_ref().is_some_and(|old| old.is_dir());
        if new.is_dir() && is_dir {
            let path = path.join(&name);
            let below = to.open_dir(&name)?;
            // It may be read-only, as an earlier image left it; its mode comes at the end.
            let is_closed = old.is_some_and(|old| old.mode & 0o300 != 0o300);
            if is_closed {
                below.set_own_mode(new.mode | 0o700)?;
            }
            merge(&from.open_dir(&name)?, &below, &path, late)?;
            late.push(LateDir {
                path,
                mode: new.mode,
                mtime: Some(new.mtime),
            });
            continue;
        }
        if old.is_some() && (is_dir || new.is_dir()) {
            remove_tree(to, &name)?;
        }
        from.rename(&name, to, &name)?;
    }
    Ok(())
}

/// Gives directories their modes and times, from below upwards: one may forbid to look into it.
fn finish_dirs(dir: &Path, mut late: Vec<LateDir>) -> Result<(), PathError> {
    late.sort_by(|one, other| other.path.cmp(&one.path));
    let root = Root::open(dir)?;
    for LateDir { path, mode, mtime } in late {
        let dir = root.open_dir(&path)?;
        dir.set_own_mode(mode)?;
        if let Some(mtime) = mtime {
            dir.set_own_mtime(mtime)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_directory_is_filled_a_second_time() {
        let temp = tempfile::tempdir().unwrap();
        let (new, old) = (temp.path().join("new"), temp.path().join("old"));
        for dir in [&new, &old] {
            std::fs::create_dir_all(dir.join("closed")).unwrap();
            std::fs::write(dir.join("closed/file"), "text").unwrap();
        }
        // Root may write anyway: what is looked at is the mode while the files are moved.
        let closed = old.join("closed");
        std::fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
        let mut late = Vec::new();
        let (from, to) = (Dir::open(&new).unwrap(), Dir::open(&old).unwrap());
        merge(&from, &to, Path::new(""), &mut late).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&closed) & 0o700, 0o700);
        late.iter_mut().for_each(|dir| dir.mode = 0o555);
        finish_dirs(&old, late).unwrap();
        assert_eq!(mode(&closed), 0o555);
    }
}
