//! The build context: a directory whose files COPY and ADD may read.

use std::path::{Path, PathBuf};

use crate::fs::{Choice, Metadata, PathError, Root};

use super::dockerignore::Ignore;

/// A directory and what is left out of it.
#[derive(Debug)]
pub struct BuildContext {
    root: Root,
    ignore: Ignore,
    /// The ignore file's path, for messages.
    ignore_path: PathBuf,
}

impl BuildContext {
    /// Opens `directory`; what `ignore` excludes is not there for anybody who asks.
    pub fn open(directory: &Path, ignore_path: PathBuf, ignore: Ignore) -> Result<Self, PathError> {
        Ok(Self {
            root: Root::open(directory)?,
            ignore,
            ignore_path,
        })
    }

    /// Returns the directory.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Says whether a path, relative to the context, takes part.
    pub fn choose(&self, path: &Path, metadata: &Metadata) -> Choice {
        choose_by(&self.ignore, path, metadata.is_dir())
    }

    /// Says why a path is left out; `None` where it is not.
    pub fn why_ignored(&self, path: &Path) -> Option<String> {
        if !self.ignore.is_ignored(path) {
            return None;
        }
        let line = self.ignore.deciding_line(path)?;
        Some(format!(
            "`{}` is excluded by line {line} of `{}`",
            path.display(),
            self.ignore_path.display()
        ))
    }
}

/// Says what `patterns`, those of an ignore file or of `--exclude`, mean for a path.
pub fn choose_by(patterns: &Ignore, path: &Path, is_dir: bool) -> Choice {
    if !patterns.is_ignored(path) {
        Choice::Take
    } else if is_dir && !patterns.may_skip_dir(path) {
        Choice::Descend
    } else {
        Choice::Skip
    }
}
