//! One of the files through which the container finds names on the network.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, PathContext, PathError, Root, rewrite};

use super::looks::Looks;

/// A larger one is not noted: real ones have some lines.
const BYTES_MAX: u64 = 1024 * 1024;

/// A file as it was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NetworkFile {
    /// Relative to the root directory; bytes, for it need not be text.
    path: Vec<u8>,
    /// Device and inode.
    identity: (u64, u64),
    looks: Looks,
    contents: Vec<u8>,
}

impl NetworkFile {
    /// Reads the file at `path`; `None` where there is no regular file, or a large one.
    pub(super) fn read(root: &Root, path: &Path) -> Result<Option<Self>, PathError> {
        let Some((dir, name)) = parent_of(root, path)? else {
            return Ok(None);
        };
        match dir.metadata_of(&name)? {
            Some(found) if found.is_file() && found.size <= BYTES_MAX => Ok(Some(Self {
                path: path.as_os_str().as_bytes().to_vec(),
                identity: (found.dev, found.ino),
                looks: Looks::from(&found),
                contents: contents_of(&dir, &name)?,
            })),
            Some(_) | None => Ok(None),
        }
    }

    /// Makes it what it was. Another file, or none, in its place is not the one that was read: a mount cannot be replaced
    /// without privileges that no command has.
    pub(super) fn give_back(&self, root: &Root) -> Result<(), PathError> {
        let Some((dir, name)) = self.find(root)? else {
            return Ok(());
        };
        if contents_of(&dir, &name)? != self.contents {
            rewrite(&dir.open_file(&name)?, &self.contents, &dir.path_of(&name))?;
        }
        self.looks.give_access(&dir, &name)?;
        self.looks.give_time(&dir, &name)
    }

    /// Says whether the file is there with other contents.
    pub(super) fn is_other_text(&self, root: &Root) -> Result<bool, PathError> {
        Ok(match self.find(root)? {
            Some((dir, name)) => contents_of(&dir, &name)? != self.contents,
            None => false,
        })
    }

    /// Returns its path, relative to the root directory.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.path.clone()))
    }

    /// Returns the directory and the name of the file, if it is the same one.
    fn find(&self, root: &Root) -> Result<Option<(Dir, OsString)>, PathError> {
        let Some((dir, name)) = parent_of(root, &self.path())? else {
            return Ok(None);
        };
        let found = dir.metadata_of(&name)?;
        let is_same = found.is_some_and(|found| (found.dev, found.ino) == self.identity);
        Ok(is_same.then_some((dir, name)))
    }
}

fn parent_of(root: &Root, path: &Path) -> Result<Option<(Dir, OsString)>, PathError> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let dir = root.open_real_dir(parent)?;
    let name = path.file_name().unwrap_or_default().to_os_string();
    Ok(dir.map(|dir| (dir, name)))
}

/// Reads no more than tells that a command has written something else.
fn contents_of(dir: &Dir, name: &OsStr) -> Result<Vec<u8>, PathError> {
    let mut contents = Vec::new();
    let file = dir.open_file(name)?;
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut contents)
        .on("read", dir.path_of(name))?;
    Ok(contents)
}
