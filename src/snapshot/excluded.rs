//! Paths that are no part of a step's changes: names, and patterns of names. This module knows names, no files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::fs::glob::{BadPattern, Glob};

/// Paths, relative to the root, that are left out with everything below them. Never the root itself.
#[derive(Debug, Clone, Default)]
pub struct Excluded {
    /// Each with its components.
    paths: BTreeMap<PathBuf, Vec<NamePattern>>,
}

/// What one component of an excluded path means.
#[derive(Debug, Clone)]
pub(super) enum NamePattern {
    /// This name.
    Is(OsString),
    /// All names like this.
    IsLike(Glob),
}

impl Excluded {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes paths whose components may be patterns of Go's `filepath.Match`, one for each directory on the way, as
    /// kaniko's ignore list (`pkg/util/fs_util.go`).
    ///
    /// # Errors
    /// If a component is no pattern.
    pub fn of_patterns<'a>(
        paths: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Self, BadPattern> {
        let pattern = |name: &OsStr| match name.to_str() {
            Some(text) if Glob::has_wildcards(text) => Ok(NamePattern::IsLike(Glob::new(text)?)),
            Some(_) | None => Ok(NamePattern::Is(name.to_os_string())),
        };
        let mut excluded = Self::new();
        for path in paths {
            let patterns: Result<_, _> = names(path).map(pattern).collect();
            excluded.add(path, patterns?);
        }
        Ok(excluded)
    }

    fn add(&mut self, path: &Path, patterns: Vec<NamePattern>) {
        if !patterns.is_empty() {
            self.paths.insert(path.to_path_buf(), patterns);
        }
    }

    /// Says whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Returns the paths as they were given.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.paths.keys()
    }

    /// Says whether a path, relative to the root, is itself left out. What is below such a path does not count.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let is_meant = |patterns: &Vec<NamePattern>| {
            let mut names = path.iter();
            let all = patterns
                .iter()
                .all(|pattern| names.next().is_some_and(|name| pattern.means(name)));
            all && names.next().is_none()
        };
        self.paths.values().any(is_meant)
    }

    /// Returns the components of each path.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &[NamePattern]> {
        self.paths.values().map(Vec::as_slice)
    }
}

/// Paths without patterns.
impl FromIterator<PathBuf> for Excluded {
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> Self {
        let mut excluded = Self::new();
        for path in paths {
            let patterns = names(&path).map(|name| NamePattern::Is(name.to_os_string()));
            excluded.add(&path, patterns.collect());
        }
        excluded
    }
}

impl NamePattern {
    /// Says whether a name is meant. What is no text in a name counts as the replacement character.
    pub(super) fn means(&self, name: &OsStr) -> bool {
        match self {
            Self::Is(wanted) => wanted == name,
            Self::IsLike(glob) => glob.matches(&name.to_string_lossy()),
        }
    }
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_patterns(texts: &[&str]) -> Result<Excluded, BadPattern> {
        let paths: Vec<PathBuf> = texts.iter().map(PathBuf::from).collect();
        Excluded::of_patterns(&paths)
    }

    #[test]
    fn a_pattern_is_of_one_name_and_a_path_of_as_many_as_it_has() {
        let excluded = of_patterns(&["/var/*", "tmp/a?c", "opt/[ab]/\\*", "srv"]).unwrap();
        for path in ["var/x", "var/.hidden", "tmp/abc", "opt/a/*", "srv"] {
            assert!(excluded.holds(Path::new(path)), "{path}");
        }
        for path in [
            "var", "var/x/y", "tmp/ac", "tmp/abcd", "opt/c/*", "opt/a/b", "", "srvx",
        ] {
            assert!(!excluded.holds(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn the_root_is_never_left_out() {
        assert!(of_patterns(&["", "/", "."]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        assert_eq!(
            of_patterns(&["a/[b"]).unwrap_err(),
            BadPattern("[b".to_owned())
        );
    }

    #[test]
    fn plain_paths_have_no_patterns() {
        let plain: Excluded = [PathBuf::from("a/*")].into_iter().collect();
        assert!(plain.holds(Path::new("a/*")) && !plain.holds(Path::new("a/b")));
    }
}
