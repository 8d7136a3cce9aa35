//! The build context: a directory whose files COPY and ADD may read.

use std::path::{Path, PathBuf};

use crate::fs::{Choice, Metadata, Root};

use super::dockerignore::Ignore;

/// A directory and what is left out of it.
#[derive(Debug)]
pub struct BuildContext {
    root: Root,
    ignore: Ignore,
    /// The ignore file's path, for messages.
    ignore_path: PathBuf,
    /// Directories that are never part of it, relative to it.
    left_out: Vec<PathBuf>,
}

impl BuildContext {
    /// Makes a context of `root`; what `ignore` excludes is not there for anybody who asks.
    pub fn new(root: Root, ignore_path: PathBuf, ignore: Ignore) -> Self {
        Self {
            root,
            ignore,
            ignore_path,
            left_out: Vec::new(),
        }
    }

    /// Reads the same directory through `root`, which may know better who its files belong to.
    pub fn in_root(self, root: Root) -> Self {
        Self { root, ..self }
    }

    /// Leaves out directories of the builder's own, relative to the context, whatever the ignore file says.
    pub fn without(self, left_out: Vec<PathBuf>) -> Self {
        Self { left_out, ..self }
    }

    /// Returns the directory.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Says whether a path, relative to the context, takes part.
    pub fn choose(&self, path: &Path, metadata: &Metadata) -> Choice {
        if self.is_left_out(path) {
            return Choice::Skip;
        }
        choose_by(&self.ignore, path, metadata.is_dir())
    }

    /// Says why a path is left out; `None` where it is not.
    pub fn why_ignored(&self, path: &Path) -> Option<String> {
        if self.is_left_out(path) {
            let path = path.display();
            return Some(format!("`{path}` is a directory of the builder's own"));
        }
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

    /// Says whether the ignore file excludes a path, and has no exceptions that could bring back any.
    pub fn is_surely_ignored(&self, path: &Path) -> bool {
        let is_ignored = match path.as_os_str().is_empty() {
            true => self.ignore.takes_everything(),
            false => self.ignore.is_ignored(path),
        };
        is_ignored && !self.ignore.has_exceptions()
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.left_out.iter().any(|out| path.starts_with(out))
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
