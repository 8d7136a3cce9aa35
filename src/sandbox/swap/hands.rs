//! The single steps of a swap: each is one system call that changes something, and tests can make it
//! the last one.

use std::ffi::OsStr;
use std::path::Path;

use crate::fs::{Dir, PathError, remove_tree};

use super::looks::Looks;

#[cfg(test)]
pub(super) use super::tests::fault::{before_change, before_rename};

/// Is called before every change; only tests have something happen here.
#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps, reason = "in tests it fails")]
pub(super) fn before_change(_path: &Path) -> Result<(), PathError> {
    Ok(())
}

#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps, reason = "in tests it fails")]
fn before_rename(_dir: &Dir, _name: &OsStr) -> Result<(), PathError> {
    Ok(())
}

/// Moves `name` to `new_name` in `to`.
pub(super) fn rename(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    new_name: &OsStr,
) -> Result<(), PathError> {
    before_change(from.path())?;
    before_rename(from, name)?;
    from.rename(name, to, new_name)
}

/// Makes the directory `name`, for this process alone until it gets its looks, and opens it.
pub(super) fn create_dir(dir: &Dir, name: &OsStr) -> Result<Dir, PathError> {
    before_change(dir.path())?;
    dir.create_dir(name, 0o700)?;
    dir.open_dir(name)
}

/// Opens the directory `name`, which is made where nothing has that name.
pub(super) fn open_or_create_dir(dir: &Dir, name: &OsStr) -> Result<Dir, PathError> {
    match dir.metadata_of(name)? {
        Some(_) => dir.open_dir(name),
        None => create_dir(dir, name),
    }
}

/// Removes the empty directory `name`.
pub(super) fn remove_dir(dir: &Dir, name: &OsStr) -> Result<(), PathError> {
    before_change(dir.path())?;
    dir.remove_dir(name)
}

/// Removes `name` and everything below it. Nothing there is success.
pub(super) fn remove_all(dir: &Dir, name: &OsStr) -> Result<(), PathError> {
    before_change(dir.path())?;
    remove_tree(dir, name)
}

/// Moves `name` into `to`, under the same name, which is free there or a directory to be filled.
///
/// Where the directory cannot be moved as a whole, it is made anew in `to`, its entries are moved one
/// by one, and the old one is removed: an overlay refuses with EXDEV to rename a directory that a
/// lower layer has (kernel, overlayfs.rst, "Renaming directories"). `note` is told of each such
/// directory before anything of it is changed: its path below `path`, and how it looks.
pub(super) fn carry(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    path: &Path,
    note: &mut dyn FnMut(&Path, &Looks) -> Result<(), PathError>,
) -> Result<(), PathError> {
    if to.metadata_of(name)?.is_none() {
        match rename(from, name, to, name) {
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                let is_dir = |found: crate::fs::Metadata| found.is_dir();
                if !from.metadata_of(name)?.is_some_and(is_dir) {
                    return Err(error);
                }
            }
            other => return other,
        }
    }
    carry_by_parts(from, name, to, path, note)
}

fn carry_by_parts(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    path: &Path,
    note: &mut dyn FnMut(&Path, &Looks) -> Result<(), PathError>,
) -> Result<(), PathError> {
    let path = path.join(name);
    let source = from.open_dir(name)?;
    let looks = Looks::of(&source)?;
    note(&path, &looks)?;
    let target = open_or_create_dir(to, name)?;
    for child in source.names()? {
        carry(&source, &child, &target, &path, note)?;
    }
    looks.give_to(&target)?;
    remove_dir(from, name)
}
