//! What a killed swap leaves behind for whoever puts the container back: how far it was, and how
//! everything looked before.
//!
//! A file of lines in the directory of things set aside. It is written whole under another name and
//! renamed; only notes of directories that were moved by parts are appended, before they are.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{Dir, PathContext, PathError};

use super::SwapError;
use super::hands::{before_change, rename};
use super::kept::plain;
use super::looks::Looks;

const NAME: &str = "journal";
const NEW_NAME: &str = "journal.new";

/// How far a swap is. In each phase it is known whose everything in the root directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// The container's own entries are on their way out; nothing of a stage is in.
    SettingAside,
    /// All own entries are out: what is not kept is the stage's.
    Stage,
    /// Nothing of the stage is in; own entries are on their way back.
    Returning,
}

/// What was found before anything was changed. Does not change.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The merged directories, each after the one that holds it. The place in this list is the name
    /// of the directory where its entries are set aside.
    pub(super) dirs: Vec<MergedDir>,
    /// All paths that were to be kept, whether something was there or not.
    pub(super) asked: Vec<StoredPath>,
    /// Those where something was.
    pub(super) kept: Vec<StoredPath>,
}

impl Plan {
    /// Returns those of `kept_now` that were not to be kept when the swap began, relative to the root. What
    /// appeared below something kept is no concern of ours: nobody moves it.
    pub(super) fn new_ones(&self, kept_now: &[PathBuf]) -> Vec<PathBuf> {
        let mut new: Vec<PathBuf> = plain(kept_now);
        new.retain(|path| self.asked.iter().all(|asked| !path.starts_with(&asked.0)));
        new
    }
}

/// A directory of the container that stays where it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MergedDir {
    pub(super) path: StoredPath,
    /// The container's own.
    pub(super) looks: Looks,
    /// Device and inode.
    pub(super) identity: (u64, u64),
}

/// A directory that was made anew where its entries are set aside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parts {
    /// Relative to the root directory.
    pub(super) path: StoredPath,
    pub(super) looks: Looks,
}

/// A path relative to the root directory; stored as bytes, for it need not be text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Vec<u8>", into = "Vec<u8>")]
pub(super) struct StoredPath(pub(super) PathBuf);

impl From<Vec<u8>> for StoredPath {
    fn from(bytes: Vec<u8>) -> Self {
        Self(PathBuf::from(OsString::from_vec(bytes)))
    }
}

impl From<StoredPath> for Vec<u8> {
    fn from(path: StoredPath) -> Self {
        path.0.into_os_string().into_vec()
    }
}

impl From<&Path> for StoredPath {
    fn from(path: &Path) -> Self {
        Self(path.to_path_buf())
    }
}

/// The state of a swap.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) plan: Plan,
    pub(super) phase: Phase,
    pub(super) parts: Vec<Parts>,
}

impl Journal {
    /// Says whether `aside` has one: a swap has begun, and has not been undone.
    pub(super) fn is_in(aside: &Dir) -> Result<bool, PathError> {
        Ok(aside.metadata_of(OsStr::new(NAME))?.is_some())
    }

    /// Reads the one in `aside`; `None` where there is none.
    pub(super) fn read(aside: &Dir) -> Result<Option<Self>, SwapError> {
        if !Self::is_in(aside)? {
            return Ok(None);
        }
        let path = aside.path_of(OsStr::new(NAME));
        let mut text = Vec::new();
        let mut file = aside.open_file(OsStr::new(NAME))?;
        file.read_to_end(&mut text).on("read", &path)?;
        let unreadable = |source| SwapError::Journal {
            path: path.clone(),
            source,
        };
        // Whoever was killed while appending has not done yet what the line is about.
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let mut lines = text[..whole].split(|byte| *byte == b'\n');
        let (phase, plan) =
            serde_json::from_slice(lines.next().unwrap_or_default()).map_err(unreadable)?;
        let parts: Result<Vec<Parts>, _> = lines.map(serde_json::from_slice).collect();
        Ok(Some(Self {
            plan,
            phase,
            parts: parts.map_err(unreadable)?,
        }))
    }

    /// Writes all of it, in place of what was there, and returns the file for [`Self::append`].
    pub(super) fn write(&self, aside: &Dir) -> Result<File, PathError> {
        let mut text = line_of(&(self.phase, &self.plan));
        for parts in &self.parts {
            text.extend(line_of(parts));
        }
        if aside.metadata_of(OsStr::new(NEW_NAME))?.is_some() {
            before_change(aside.path())?;
            aside.remove_file(OsStr::new(NEW_NAME))?;
        }
        before_change(aside.path())?;
        let mut file = aside.create_file(OsStr::new(NEW_NAME), 0o600)?;
        before_change(aside.path())?;
        file.write_all(&text)
            .on("write", aside.path_of(OsStr::new(NEW_NAME)))?;
        rename(aside, OsStr::new(NEW_NAME), aside, OsStr::new(NAME))?;
        Ok(file)
    }

    /// Adds a note to the file, and to this value.
    pub(super) fn append(
        &mut self,
        file: &mut File,
        aside: &Dir,
        parts: Parts,
    ) -> Result<(), PathError> {
        before_change(aside.path())?;
        file.write_all(&line_of(&parts))
            .on("write", aside.path_of(OsStr::new(NAME)))?;
        self.parts.push(parts);
        Ok(())
    }

    /// Removes the one in `aside`: everything is as it was.
    pub(super) fn remove(aside: &Dir) -> Result<(), PathError> {
        before_change(aside.path())?;
        aside.remove_file(OsStr::new(NAME))
    }
}

fn line_of(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("numbers and lists always serialize");
    line.push(b'\n');
    line
}
