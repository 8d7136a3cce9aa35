//! What stays where it is during a swap.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::fs::{PathError, Root};

/// What a swap does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It stays, with everything below it, and is never opened.
    Kept,
    /// It is a directory with something kept below it: it stays, and its other entries move.
    Merged,
    /// It moves, with everything below it.
    Free,
}

/// The kept paths that are there, and the directories above them.
#[derive(Debug)]
pub(super) struct Kept {
    /// Relative to the root; none is below another.
    kept: BTreeSet<PathBuf>,
    /// Relative to the root, which is always one of them: the empty path.
    merged: BTreeSet<PathBuf>,
}

impl Kept {
    /// Finds out which of `paths` are in `root`. One that is not there, or that is reached through a
    /// link only, needs no keeping.
    pub(super) fn found_in<'p>(
        root: &Root,
        paths: impl IntoIterator<Item = &'p PathBuf>,
    ) -> Result<Self, PathError> {
        // Sorted, so that a path comes after those above it.
        let paths: BTreeSet<PathBuf> = plain(paths);
        let mut found = Self {
            kept: BTreeSet::new(),
            merged: BTreeSet::from([PathBuf::new()]),
        };
        for path in paths {
            if found.is_below_kept(&path) || !is_there(root, &path)? {
                continue;
            }
            let above = path.ancestors().skip(1).map(Path::to_path_buf);
            found.merged.extend(above);
            found.kept.insert(path);
        }
        Ok(found)
    }

    /// Returns the merged directories, each after the one that holds it.
    pub(super) fn merged(&self) -> impl Iterator<Item = &Path> {
        self.merged.iter().map(PathBuf::as_path)
    }

    /// Returns the kept paths.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Path> {
        self.kept.iter().map(PathBuf::as_path)
    }

    /// Returns the role of a path whose parent is a merged directory.
    pub(super) fn role(&self, path: &Path) -> Role {
        if self.kept.contains(path) {
            Role::Kept
        } else if self.merged.contains(path) {
            Role::Merged
        } else {
            Role::Free
        }
    }

    fn is_below_kept(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.kept.contains(above))
    }
}

/// Returns the paths relative to the root, without the root itself and what climbs.
pub(super) fn plain<'p, C: FromIterator<PathBuf>>(
    paths: impl IntoIterator<Item = &'p PathBuf>,
) -> C {
    paths.into_iter().filter_map(|path| inside(path)).collect()
}

fn inside(path: &Path) -> Option<PathBuf> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let is_plain = |component| matches!(component, Component::Normal(_));
    let is_below = path.components().next().is_some();
    // Collected anew, so that neither `a//b` nor `a/` is another path than `a/b` or `a`.
    (is_below && path.components().all(is_plain)).then(|| path.components().collect())
}

fn is_there(root: &Root, path: &Path) -> Result<bool, PathError> {
    let parent = path.parent().unwrap_or(Path::new(""));
    match (root.open_real_dir(parent)?, path.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.metadata_of(name)?.is_some()),
        (None, _) | (_, None) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_is_there_is_kept_and_what_is_above_it_is_merged() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        std::fs::create_dir_all(root.join("var/run/secrets")).unwrap();
        std::fs::create_dir_all(root.join("proc/sys")).unwrap();
        symlink("var", root.join("link")).unwrap();
        let asked = [
            "/var/run/secrets/",
            "proc//sys",
            "proc",
            "none/at/all",
            "link/run/secrets",
            "/",
            "../outside",
        ]
        .map(PathBuf::from);
        let kept = Kept::found_in(&Root::open(root).unwrap(), &asked).unwrap();
        let merged: Vec<&Path> = kept.merged().collect();
        assert_eq!(merged, ["", "var", "var/run"].map(Path::new));
        for (path, role) in [
            ("proc", Role::Kept),
            ("var/run/secrets", Role::Kept),
            ("var/run", Role::Merged),
            ("link", Role::Free),
            ("none", Role::Free),
        ] {
            assert_eq!(kept.role(Path::new(path)), role, "{path}");
        }
    }
}
