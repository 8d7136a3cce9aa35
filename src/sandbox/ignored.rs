//! `--ignore-path` in a container's own root directory: which of its files a pattern means. This module knows names.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::fs::glob::Glob;

/// Returns `paths` with those in the place of a pattern that are there now below `root`. One without a pattern stays as it
/// is. What cannot be listed has no files that anybody could move either.
pub(super) fn found_in(root: &Path, paths: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    paths.iter().flat_map(|path| expand(root, path)).collect()
}

fn expand(root: &Path, path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        found = match pattern(name) {
            None => found.into_iter().map(|above| above.join(name)).collect(),
            Some(glob) => {
                let matching = |above: PathBuf| matching(root, above, &glob);
                found.into_iter().flat_map(matching).collect()
            }
        };
    }
    found
}

fn pattern(name: &OsStr) -> Option<Glob> {
    let text = name.to_str().filter(|text| Glob::has_wildcards(text))?;
    Glob::new(text).ok()
}

fn matching(root: &Path, above: PathBuf, glob: &Glob) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root.join(&above)) else {
        return Vec::new();
    };
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    let names = names.filter(|name| glob.matches(&name.to_string_lossy()));
    names.map(|name| above.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_what_is_there_and_a_path_is_itself() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["srv/a/log", "srv/b/log", "srv/c", "var"] {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let found = |texts: &[&str]| {
            let paths = texts.iter().map(PathBuf::from).collect();
            let mut found = found_in(root.path(), &paths);
            found.sort();
            found
        };
        let expected = ["none/here", "srv/a/log", "srv/b/log", "srv/c/log"].map(PathBuf::from);
        assert_eq!(found(&["none/here", "srv/*/log"]), expected);
        assert_eq!(found(&["srv/[bx]", "none/*"]), [PathBuf::from("srv/b")]);
    }
}
