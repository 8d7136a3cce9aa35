//! Sources of COPY that keep their parents, as `--parents` has it: in `left/./right`, the directories of `right` are made at
//! the destination as well, in `right` alone all of them.
//!
//! `left` is read as any source is, and must be directories. `right` is a pattern of an ignore file's grammar, with `**`
//! for any depth; links on its way are not followed, as in BuildKit's copier, which walks there.

use std::path::{Path, PathBuf};

use crate::fs::{Choice, Root};

use super::dockerignore::Ignore;
use super::select::{Chooser, SelectError, clean, has_wildcards, select, takes_part};

/// What divides the two sides of a source.
const PIVOT: &str = "/./";

/// What such a source names.
#[derive(Debug)]
pub struct WithParents {
    /// The directories that paths are kept below of, relative to the root.
    pub dirs: Vec<PathBuf>,
    /// Which paths, relative to such a directory, are meant.
    pub wanted: Wanted,
}

/// Which paths below a directory are meant.
#[derive(Debug)]
pub struct Wanted(Option<Ignore>);

impl Wanted {
    /// Says whether a path takes part.
    pub fn choose(&self, path: &Path, is_dir: bool) -> Choice {
        match &self.0 {
            None => Choice::Take,
            Some(patterns) if patterns.is_ignored(path) => Choice::Take,
            Some(patterns) if is_dir && patterns.may_match_below(path) => Choice::Pass,
            Some(_) => Choice::Skip,
        }
    }
}

/// Finds what `source` names in `root`. Something that is not there is an error, unless either side has wildcards.
pub fn select_with_parents(
    root: &Root,
    source: &str,
    choose: &Chooser<'_>,
) -> Result<WithParents, SelectError> {
    let (left, right) = source.split_once(PIVOT).unwrap_or(("", source));
    let right = clean(Path::new(right));
    let is_pattern = has_wildcards(left.as_ref()) || has_wildcards(right.as_os_str());
    let dirs = match select(root, left, choose) {
        Ok(dirs) => dirs,
        Err(SelectError::NotFound(_)) if is_pattern => Vec::new(),
        Err(SelectError::NotFound(left)) => return Err(SelectError::NotFound(left.join(right))),
        Err(error) => return Err(error),
    };
    if !is_pattern {
        require(root, Path::new(left), &right, choose)?;
    }
    let mut with_parents = WithParents {
        dirs: Vec::with_capacity(dirs.len()),
        wanted: wanted(source, &right)?,
    };
    for dir in dirs {
        if root.metadata(&dir)?.is_some_and(|found| found.is_dir()) {
            with_parents.dirs.push(dir);
        }
    }
    Ok(with_parents)
}

/// Reads the right side. Nothing there means all that is below.
fn wanted(source: &str, right: &Path) -> Result<Wanted, SelectError> {
    let pattern = right.to_string_lossy();
    let pattern = match pattern.as_ref() {
        "" => return Ok(Wanted(None)),
        // In an ignore file it would take back what is above; in a path it is a character.
        text if text.starts_with('!') => format!("\\{text}"),
        text => text.to_owned(),
    };
    let patterns = Ignore::from_patterns(&[pattern]);
    let patterns = patterns.map_err(|error| SelectError::BadParentsPattern {
        pattern: source.to_owned(),
        source: error,
    })?;
    Ok(Wanted(Some(patterns)))
}

/// Fails unless `right`, a plain path, is below `left` and takes part.
fn require(
    root: &Root,
    left: &Path,
    right: &Path,
    choose: &Chooser<'_>,
) -> Result<(), SelectError> {
    let shown = clean(left).join(right);
    let mut path = root.resolve(left)?;
    let mut names = right.iter().peekable();
    while let Some(name) = names.next() {
        path.push(name);
        let found = root.symlink_metadata(&path)?;
        let found = found.ok_or_else(|| SelectError::NotFound(shown.clone()))?;
        if found.is_symlink() && names.peek().is_some() {
            return Err(SelectError::BehindLink {
                path: shown,
                link: path,
            });
        }
    }
    let found = root.symlink_metadata(&path)?;
    let found = found.ok_or_else(|| SelectError::NotFound(shown.clone()))?;
    match takes_part(root, &path, &found, choose)? {
        true => Ok(()),
        false => Err(SelectError::LeftOut(shown)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use crate::fs::Metadata;

    use super::*;

    fn tree() -> (tempfile::TempDir, Root) {
        let temp = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/x/c", "d", "!odd"] {
            std::fs::create_dir_all(temp.path().join(path)).unwrap();
            std::fs::write(temp.path().join(path).join("file"), "").unwrap();
        }
        std::fs::write(temp.path().join("a/plain"), "").unwrap();
        symlink("a", temp.path().join("link")).unwrap();
        let root = Root::open(temp.path()).unwrap();
        (temp, root)
    }

    fn everything(_: &Path, _: &Metadata) -> Choice {
        Choice::Take
    }

    fn find(root: &Root, source: &str) -> Result<WithParents, SelectError> {
        select_with_parents(root, source, &everything)
    }

    #[test]
    fn the_first_pivot_divides_a_source() {
        let (_temp, root) = tree();
        for (source, dirs, wanted) in [
            ("a/b/c", vec![""], "a/b/c"),
            ("./a/b/c", vec![""], "a/b/c"),
            ("/a/../a/./b", vec!["a"], "b"),
            ("a/./b/./c", vec!["a"], "b/c"),
            ("a/*/./c", vec!["a/b", "a/x"], "c"),
            ("/./a/b", vec![""], "a/b"),
            ("link/./b", vec!["link"], "b"),
            ("!odd/file", vec![""], "!odd/file"),
        ] {
            let found = find(&root, source).unwrap();
            let dirs: Vec<PathBuf> = dirs.into_iter().map(PathBuf::from).collect();
            assert_eq!(found.dirs, dirs, "{source}");
            let choice = found.wanted.choose(Path::new(wanted), true);
            assert_eq!(choice, Choice::Take, "{source}");
        }
    }

    #[test]
    fn only_directories_that_may_lead_to_it_are_entered() {
        let (_temp, root) = tree();
        let choose = |source: &str, path: &str, is_dir| {
            let found = find(&root, source).unwrap();
            found.wanted.choose(Path::new(path), is_dir)
        };
        for (source, path, is_dir, choice) in [
            ("a/b/c", "a", true, Choice::Pass),
            ("a/b/c", "a/b", true, Choice::Pass),
            ("a/b/c", "a/b/c/below", false, Choice::Take),
            ("a/b/c", "a/x", true, Choice::Skip),
            ("a/b/c", "d", true, Choice::Skip),
            ("a/*/c", "a/other", true, Choice::Pass),
            ("a/*/c", "a/other", false, Choice::Skip),
            ("a/**/f*", "a/deep/er", true, Choice::Pass),
            ("a/**/f*", "d", true, Choice::Skip),
            (".", "any", false, Choice::Take),
        ] {
            assert_eq!(choose(source, path, is_dir), choice, "{source} {path}");
        }
    }

    #[test]
    fn a_missing_path_is_an_error_unless_there_are_wildcards() {
        let (_temp, root) = tree();
        for source in ["none", "a/none/b", "a/./none", "none/./b", "a/plain/./b"] {
            let error = find(&root, source).unwrap_err();
            assert!(matches!(error, SelectError::NotFound(_)), "{source}");
        }
        let error = find(&root, "link/b").unwrap_err();
        assert!(matches!(error, SelectError::BehindLink { .. }), "{error}");
        for source in ["none/./*", "*/none", "n*/./b", "none*"] {
            assert!(find(&root, source).is_ok(), "{source}");
        }
        assert!(find(&root, "a/p*/./b").unwrap().dirs.is_empty());
        let error = find(&root, "a/[").unwrap_err();
        assert!(matches!(error, SelectError::BadParentsPattern { .. }));
    }
}
