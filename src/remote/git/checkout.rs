//! The files of a commit. This module writes names that a server chose, each through an open directory.
//!
//! Architecture invariant: nothing here follows a symbolic link or replaces what is there, so a tree cannot lead out of
//! the directory, whatever it says twice.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::super::error::RemoteError;
use super::budget::Budget;
use super::error::{GitError, malformed};
use super::object::{EntryKind, ObjectId, ObjectKind, TreeEntry, tree_entries};
use super::pack::Pack;
use super::url::RepositoryUrl;
use crate::fs::{Dir, PathError, Timestamp};
use crate::http::Untrusted;

/// Deepest nesting of directories. Longer paths than the kernel takes are of no use to anybody.
const DEPTH_MAX: usize = 512;

/// Trees of the directories along one path, which are all held.
const TREES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest path, and longest text of a symbolic link (Linux, `PATH_MAX`).
const PATH_BYTES_MAX: usize = 4096;

/// Paths that are kept for the index of `.git`, together.
const KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is looked at of a `.gitattributes`.
const ATTRIBUTES_BYTES_MAX: usize = 1024 * 1024;

/// Modes of what is made (BuildKit, `source/git`: umask 022).
const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;
const DIR_MODE: u32 = 0o755;

/// What `.gitattributes` may ask for and git does when it checks out.
const CONVERSIONS: [&str; 4] = ["eol=crlf", "working-tree-encoding", "ident", "filter="];

/// Writes the files of one commit.
pub(super) struct Checkout<'a> {
    pack: &'a Pack,
    repository: &'a RepositoryUrl,
    commit: ObjectId,
    times: Option<Timestamp>,
    keeps_files: bool,
    stop: &'a CancellationToken,
    budget: &'a mut Budget,
    links: Vec<Gitlink>,
    files: Vec<CheckedOut>,
    /// Bytes of the trees of the directories that are open.
    trees_bytes: usize,
    kept_bytes: usize,
    has_warned: bool,
}

/// A commit of another repository in a tree.
pub(super) struct Gitlink {
    /// Relative to the repository.
    pub(super) path: String,
    pub(super) id: ObjectId,
    /// The empty directory in its place.
    pub(super) dir: Dir,
}

/// A file that was made.
pub(super) struct CheckedOut {
    /// Relative to the repository.
    pub(super) path: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) id: ObjectId,
    pub(super) size: u64,
}

impl<'a> Checkout<'a> {
    pub(super) fn new(
        pack: &'a Pack,
        repository: &'a RepositoryUrl,
        commit: ObjectId,
        stop: &'a CancellationToken,
        budget: &'a mut Budget,
    ) -> Self {
        Self {
            pack,
            repository,
            commit,
            times: None,
            keeps_files: false,
            stop,
            budget,
            links: Vec::new(),
            files: Vec::new(),
            trees_bytes: 0,
            kept_bytes: 0,
            has_warned: false,
        }
    }

    /// Files and directories get this time.
    pub(super) fn with_times(self, times: Option<Timestamp>) -> Self {
        Self { times, ..self }
    }

    /// Whether the files are told in the end.
    pub(super) fn keeping_files(self, keeps_files: bool) -> Self {
        Self {
            keeps_files,
            ..self
        }
    }

    /// Returns the tree of a directory of the commit.
    pub(super) fn subtree(&self, root: ObjectId, subdir: &str) -> Result<ObjectId, RemoteError> {
        let mut tree = root;
        for name in subdir.split('/').filter(|name| !name.is_empty()) {
            let bytes = self.tree_bytes(&tree)?;
            let is_it = |entry: &TreeEntry<'_>| {
                entry.kind == EntryKind::Directory && entry.name == name.as_bytes()
            };
            let mut entries = tree_entries(&bytes);
            let found = entries.find(|entry| entry.as_ref().map_or(true, is_it));
            let found = found.transpose().map_err(|error| self.broken(error))?;
            tree = found
                .map(|entry| entry.id)
                .ok_or_else(|| GitError::NoSubdir {
                    repository: self.repository.to_string(),
                    commit: self.commit.to_string(),
                    subdir: subdir.to_owned(),
                })?;
        }
        Ok(tree)
    }

    /// Writes a tree, which is at `path` of the repository, into an empty directory.
    pub(super) fn tree(&mut self, id: ObjectId, dir: &Dir, path: &str) -> Result<(), RemoteError> {
        self.tree_at(id, dir, path.as_bytes(), 0)
    }

    /// Returns the submodules, and the files if they were to be kept.
    pub(super) fn finish(self) -> (Vec<Gitlink>, Vec<CheckedOut>) {
        (self.links, self.files)
    }

    fn tree_at(
        &mut self,
        id: ObjectId,
        dir: &Dir,
        path: &[u8],
        depth: usize,
    ) -> Result<(), RemoteError> {
        if self.stop.is_cancelled() {
            return Err(RemoteError::Stopped);
        }
        if depth > DEPTH_MAX {
            return Err(self.hostile(path, "it is nested too deep"));
        }
        let bytes = self.tree_bytes(&id)?;
        self.trees_bytes += bytes.len();
        if self.trees_bytes > TREES_BYTES_MAX {
            return Err(self.hostile(path, "the directories that it is in are too large"));
        }
        for entry in tree_entries(&bytes) {
            let entry = entry.map_err(|error| self.broken(error))?;
            let mut path = path.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name);
            self.check(&entry, &path)?;
            self.entry(&entry, dir, path, depth)?;
        }
        self.trees_bytes -= bytes.len();
        Ok(())
    }

    /// As git refuses names (`verify_path`): `.git` in any case is a repository to somebody.
    fn check(&mut self, entry: &TreeEntry<'_>, path: &[u8]) -> Result<(), RemoteError> {
        let is_plain = !entry.name.is_empty() && !entry.name.contains(&b'/');
        if !is_plain || [&b"."[..], b".."].contains(&entry.name) {
            return Err(self.hostile(path, "it is no name"));
        }
        if entry.name.eq_ignore_ascii_case(b".git") {
            return Err(self.hostile(path, "`.git` is for git itself"));
        }
        if path.len() >= PATH_BYTES_MAX {
            return Err(self.hostile(path, "its path is too long"));
        }
        let counted = self.budget.entry();
        counted.map_err(|problem| self.hostile(path, problem))
    }

    fn entry(
        &mut self,
        entry: &TreeEntry<'_>,
        dir: &Dir,
        path: Vec<u8>,
        depth: usize,
    ) -> Result<(), RemoteError> {
        let name = OsStr::from_bytes(entry.name);
        match entry.kind {
            EntryKind::File { is_executable } => {
                let size = self.file(entry.id, dir, name, is_executable)?;
                self.note(path, entry, size)?;
            }
            EntryKind::Symlink => {
                let target = self.pack.get(&entry.id, ObjectKind::Blob);
                let target = target.map_err(|error| self.broken(error))?;
                if target.is_empty() || target.len() > PATH_BYTES_MAX || target.contains(&0) {
                    return Err(self.hostile(&path, "it is no text of a symbolic link"));
                }
                dir.create_symlink(OsStr::from_bytes(&target), name)?;
                self.set_time(dir, name)?;
                self.note(path, entry, target.len() as u64)?;
            }
            EntryKind::Directory => {
                let made = self.directory(dir, name)?;
                self.tree_at(entry.id, &made, &path, depth + 1)?;
                self.set_time(dir, name)?;
            }
            EntryKind::Submodule => {
                let made = self.directory(dir, name)?;
                self.set_time(dir, name)?;
                self.links.push(Gitlink {
                    path: String::from_utf8_lossy(&path).into_owned(),
                    id: entry.id,
                    dir: made,
                });
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        id: ObjectId,
        dir: &Dir,
        name: &OsStr,
        is_executable: bool,
    ) -> Result<u64, RemoteError> {
        let mode = match is_executable {
            true => EXECUTABLE_MODE,
            false => FILE_MODE,
        };
        let looks_at = name == ".gitattributes";
        let mut seen = Vec::new();
        let mut file = dir.create_new_file(name, mode)?;
        let budget = &mut *self.budget;
        let copied = self.pack.copy_blob(&id, |bytes| {
            budget.bytes(bytes.len()).map_err(malformed)?;
            if looks_at {
                let room = ATTRIBUTES_BYTES_MAX - seen.len();
                seen.extend_from_slice(&bytes[..room.min(bytes.len())]);
            }
            file.write_all(bytes).map_err(std::io::Error::other)
        });
        let size = copied.map_err(|error| self.broken(error))?;
        // Whatever the umask is.
        file.set_mode(mode)?;
        if let Some(times) = self.times {
            file.set_mtime(times)?;
        }
        if looks_at {
            self.warn_of_conversions(&seen);
        }
        Ok(size)
    }

    fn directory(&self, dir: &Dir, name: &OsStr) -> Result<Dir, PathError> {
        dir.create_dir(name, DIR_MODE)?;
        let made = dir.open_dir(name)?;
        made.set_own_mode(DIR_MODE)?;
        Ok(made)
    }

    fn set_time(&self, dir: &Dir, name: &OsStr) -> Result<(), PathError> {
        match self.times {
            Some(times) => dir.set_mtime(name, times),
            None => Ok(()),
        }
    }

    fn note(&mut self, path: Vec<u8>, entry: &TreeEntry<'_>, size: u64) -> Result<(), RemoteError> {
        if !self.keeps_files {
            return Ok(());
        }
        self.kept_bytes += path.len();
        if self.kept_bytes > KEPT_BYTES_MAX {
            return Err(self.hostile(&path, "there are too many paths for `.git`"));
        }
        self.files.push(CheckedOut {
            path,
            kind: entry.kind,
            id: entry.id,
            size,
        });
        Ok(())
    }

    /// Files are written as they are in the repository; git would convert some.
    fn warn_of_conversions(&mut self, attributes: &[u8]) {
        let text = String::from_utf8_lossy(attributes);
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let asks = lines.find_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.find(|word| CONVERSIONS.iter().any(|it| word.starts_with(it)))
        });
        if let (Some(word), false) = (asks, self.has_warned) {
            self.has_warned = true;
            warn!(
                "`.gitattributes` of the git repository `{}` asks for `{}`, which is not done: files are as they are stored",
                self.repository,
                Untrusted(word)
            );
        }
    }

    fn tree_bytes(&self, id: &ObjectId) -> Result<Vec<u8>, RemoteError> {
        let bytes = self.pack.get(id, ObjectKind::Tree);
        bytes.map_err(|error| self.broken(error))
    }

    fn hostile(&self, path: &[u8], problem: &'static str) -> RemoteError {
        RemoteError::Git(GitError::HostileEntry {
            repository: self.repository.to_string(),
            commit: self.commit.to_string(),
            path: Untrusted(&String::from_utf8_lossy(path)).to_string(),
            problem,
        })
    }

    /// Says why an object cannot be had: everything is here by now.
    fn broken(&self, error: std::io::Error) -> RemoteError {
        if self.stop.is_cancelled() {
            return RemoteError::Stopped;
        }
        match error.downcast::<PathError>() {
            Ok(error) => error.into(),
            Err(error) => RemoteError::Git(GitError::Protocol {
                repository: self.repository.to_string(),
                problem: error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pack::tests::pack_of_a_tree;
    use super::*;

    /// Checks out two files of four bytes; returns how many are told.
    fn check_out(budget: &mut Budget, keeps: bool) -> Result<usize, String> {
        let (pack, tree) = pack_of_a_tree(&["a", "b"], b"1234");
        let url = url::Url::parse("https://h/r.git").unwrap();
        let (repository, stop) = (RepositoryUrl::Http(url), CancellationToken::new());
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let checkout = Checkout::new(&pack, &repository, tree, &stop, budget);
        let mut checkout = checkout.keeping_files(keeps);
        let written = checkout.tree(tree, &dir, "");
        written.map_err(|error| error.to_string())?;
        Ok(checkout.finish().1.len())
    }

    #[test]
    fn files_and_their_bytes_are_counted_beyond_one_repository() {
        let mut budget = Budget::of(4, 100);
        assert!(check_out(&mut budget, false).is_ok() && check_out(&mut budget, false).is_ok());
        let error = check_out(&mut budget, false).unwrap_err();
        assert!(error.contains("`a`: there are too many entries"), "{error}");
        let error = check_out(&mut Budget::of(4, 7), false).unwrap_err();
        assert!(error.contains("too large together"), "{error}");
    }

    #[test]
    fn files_are_told_only_where_somebody_asks_for_them() {
        assert_eq!(check_out(&mut Budget::new(), false), Ok(0));
        assert_eq!(check_out(&mut Budget::new(), true), Ok(2));
    }
}
