//! What one step sees besides the image's files because it asked for it, as plain data.
//!
//! How it is shown is up to each mode. Nothing here knows where the files come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{Dir, PathError, Root};

use super::agent::Agent;
use super::secret::Secret;

/// Something to show, and where.
#[derive(Debug, Clone)]
pub struct StepMount {
    /// Absolute path inside the root, without `.` and `..`; not the root itself. Links are followed.
    pub target: PathBuf,
    /// What is there while the command runs.
    pub shows: Shown,
    /// Whether writing is refused, as far as the mode can.
    pub is_read_only: bool,
}

/// What is shown.
#[derive(Debug, Clone)]
pub enum Shown {
    /// A directory: what the step changes in it stays.
    Kept(FileTree),
    /// A file or directory, which is afterwards what it was.
    Lent(FileTree),
    /// An empty directory in memory.
    Memory {
        /// Its limit in bytes; `None` is the kernel's.
        size: Option<u64>,
    },
    /// A file that is never on a disk where that can be avoided.
    Secret {
        /// All of its contents.
        contents: Secret,
        /// Who may read it.
        access: Access,
    },
    /// A socket behind which the agent is.
    Agent {
        /// Whoever signs.
        agent: Arc<Agent>,
        /// Who may use it.
        access: Access,
    },
}

/// Owner and mode of something that is made for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The user's id in the step.
    pub uid: u32,
    /// The group's id in the step.
    pub gid: u32,
    /// Mode bits, 0o7777 only.
    pub mode: u32,
}

/// A file or directory below a root.
#[derive(Debug, Clone)]
pub struct FileTree {
    /// The tree that it is in.
    pub(super) root: Arc<Root>,
    /// Relative to the root, without links; empty for the root itself.
    pub(super) path: PathBuf,
}

impl FileTree {
    /// Finds `path` in `root`, following links inside it. `None` where nothing is there.
    pub fn find(root: Arc<Root>, path: &Path) -> Result<Option<Self>, PathError> {
        let path = root.resolve(path)?;
        let is_there = root.symlink_metadata(&path)?.is_some();
        Ok(is_there.then_some(Self { root, path }))
    }

    /// Says whether it is below its root, and not the root itself.
    pub(super) fn is_part(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }

    /// Returns where it is for the builder. Nobody may change the way there meanwhile.
    pub(super) fn outside_path(&self) -> PathBuf {
        match self.is_part() {
            false => self.root.path().to_path_buf(),
            true => self.root.outside_path(&self.path),
        }
    }

    /// Opens what is there now, which must be a directory: links are followed inside the root.
    pub(super) fn open_part(&self) -> Result<Dir, PathError> {
        self.root.open_dir(&self.path)
    }

    /// Opens it; `None` for a file.
    pub fn open_dir(&self) -> Result<Option<Root>, PathError> {
        let found = self.root.symlink_metadata(&self.path)?;
        match found.is_some_and(|found| found.is_dir()) {
            true => Ok(Some(Root::from_dir(self.root.open_dir(&self.path)?))),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_part_that_is_open_stays_what_it_is_and_a_link_leads_nowhere_outside() {
        let temp = tempfile::tempdir().unwrap();
        let (outside, cache) = (temp.path().join("outside"), temp.path().join("cache"));
        for dir in [&outside, &cache.join("sub")] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(cache.join("sub/mine"), "").unwrap();
        let root = Arc::new(Root::open(&cache).unwrap());
        let part = FileTree::find(root, Path::new("sub")).unwrap().unwrap();
        let open = part.open_part().unwrap();
        fs::rename(cache.join("sub"), cache.join("moved")).unwrap();
        symlink(&outside, cache.join("sub")).unwrap();
        assert!(open.lasting_path().join("mine").exists());
        // The name is a link by now, to what is not there inside.
        part.open_part().unwrap_err();
    }
}
