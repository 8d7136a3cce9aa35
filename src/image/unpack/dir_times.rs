//! The times of directories, which can be set only after their contents are in place.

use std::collections::BTreeMap;

use super::entry_path::to_path;
use crate::fs::{PathError, Root, Timestamp};

/// The modification time that each directory is to have at the end, by real path. The only list that
/// grows with an archive, and with its directories only.
#[derive(Debug, Default)]
pub(super) struct DirTimes {
    times: BTreeMap<Box<[u8]>, Timestamp>,
}

impl DirTimes {
    pub(super) fn set(&mut self, path: &[u8], mtime: Timestamp) {
        self.times.insert(path.into(), mtime);
    }

    pub(super) fn contains(&self, path: &[u8]) -> bool {
        self.times.contains_key(path)
    }

    /// Forgets a directory that was removed, and all below.
    pub(super) fn forget_tree(&mut self, path: &[u8]) {
        self.times.remove(path);
        let mut below = path.to_vec();
        below.push(b'/');
        let doomed: Vec<Box<[u8]>> = self
            .times
            .range(below.clone().into_boxed_slice()..)
            .take_while(|(path, _)| path.starts_with(&below))
            .map(|(path, _)| path.clone())
            .collect();
        for path in doomed {
            self.times.remove(&path);
        }
    }

    /// Sets the times. Directories are opened without following a link, wherever one may be now.
    pub(super) fn apply(&self, root: &Root) -> Result<(), PathError> {
        for (path, mtime) in &self.times {
            if let Some(dir) = root.open_real_dir(to_path(path))? {
                dir.set_own_mtime(*mtime)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgetting_a_tree_keeps_its_neighbours() {
        let mut times = DirTimes::default();
        for path in ["a", "a/b", "a/b/c", "a-", "a0", "ab"] {
            times.set(path.as_bytes(), Timestamp::EPOCH);
        }
        times.forget_tree(b"a");
        let left: Vec<&[u8]> = times.times.keys().map(|path| &path[..]).collect();
        assert_eq!(left, [&b"a-"[..], b"a0", b"ab"]);
    }
}
