//! A file in a tree that a command is to read only, where nothing keeps root from writing to it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::fs::{Dir, Metadata, PathContext, PathError};
use crate::sandbox::secret::Secret;

use super::ChangedMark;

/// What the file was before the command.
#[derive(Debug)]
pub(super) struct Watched {
    before: Option<Metadata>,
    contents: Secret,
    is_changed: ChangedMark,
}

impl Watched {
    pub(super) fn begin(
        dir: &Dir,
        name: &OsStr,
        contents: &Secret,
        is_changed: &ChangedMark,
    ) -> Result<Self, PathError> {
        Ok(Self {
            before: look(dir, name)?,
            contents: contents.clone(),
            is_changed: is_changed.clone(),
        })
    }

    /// Sets the mark if the file, which is open, is another one or has another name.
    pub(super) fn end(&self, dir: &Dir, name: &OsStr, file: &File) -> Result<(), PathError> {
        let is_same = look(dir, name)? == self.before
            && has_contents(file, self.contents.reveal()).on("read", dir.path_of(name))?;
        if !is_same {
            self.is_changed.set();
        }
        Ok(())
    }
}

/// Two writes may have the same time: the contents count as well. The time of the last change does not, for a second mount
/// at the same place moves the file away and back.
fn look(dir: &Dir, name: &OsStr) -> Result<Option<Metadata>, PathError> {
    let found = dir.metadata_of(name)?;
    Ok(found.map(|found| Metadata {
        ctime: found.mtime,
        ..found
    }))
}

/// Compares without regard to where the file was read to.
fn has_contents(file: &File, expected: &[u8]) -> std::io::Result<bool> {
    if file.metadata()?.len() != expected.len() as u64 {
        return Ok(false);
    }
    let mut found = vec![0; expected.len()];
    file.read_exact_at(&mut found, 0)?;
    Ok(found == expected)
}
