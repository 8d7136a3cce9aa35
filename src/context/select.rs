//! Which files a source of COPY or ADD names, in a build context, a stage or an image.
//!
//! Sources are read as BuildKit reads them: cleaned against `/`, so that nothing outside is named;
//! links are followed inside the root; wildcards match one component each and do not follow links.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::fs::glob::{BadPattern, Glob};
use crate::fs::{Choice, Dir, Metadata, PathError, Root};

use super::dockerignore::IgnoreError;

/// Says of a path, relative to the root, whether it takes part.
pub type Chooser<'a> = dyn Fn(&Path, &Metadata) -> Choice + 'a;

/// Why a source names nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Nothing has that path.
    #[error("`/{}`: not found", .0.display())]
    NotFound(PathBuf),
    /// Something has that path, but it does not take part.
    #[error("`/{}`: not found", .0.display())]
    LeftOut(PathBuf),
    /// The path leads through a link, and links are not followed here.
    #[error("`/{}`: not found: `/{}` is a symbolic link", path.display(), link.display())]
    BehindLink {
        /// The path.
        path: PathBuf,
        /// The link on its way.
        link: PathBuf,
    },
    /// The wildcards cannot be read.
    #[error("cannot read the wildcards of `{pattern}`")]
    BadPattern {
        /// The source as written.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: BadPattern,
    },
    /// The wildcards of a path that keeps its parents cannot be read.
    #[error("cannot read the wildcards of `{pattern}`")]
    BadParentsPattern {
        /// The source as written.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: IgnoreError,
    },
    /// The files could not be looked at.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Returns the paths, relative to `root`, that `pattern` names, sorted. Wildcards that match nothing
/// give an empty list; a plain path that is not there is an error.
///
/// Looks only into directories that the pattern can match in.
pub fn select(
    root: &Root,
    pattern: &str,
    choose: &Chooser<'_>,
) -> Result<Vec<PathBuf>, SelectError> {
    let path = clean(Path::new(pattern));
    if !has_wildcards(path.as_os_str()) {
        return select_plain(root, path, choose).map(|path| vec![path]);
    }
    let plain: PathBuf = path
        .iter()
        .take_while(|name| !has_wildcards(name))
        .collect();
    let patterns = path.iter().skip(plain.iter().count());
    let patterns = patterns.map(|name| Glob::new(&name.to_string_lossy()));
    let patterns: Vec<Glob> =
        patterns
            .collect::<Result<_, _>>()
            .map_err(|source| SelectError::BadPattern {
                pattern: pattern.to_owned(),
                source,
            })?;
    let start = root.resolve(&plain)?;
    if !root.metadata(&start)?.is_some_and(|found| found.is_dir()) {
        return Ok(Vec::new());
    }
    let mut matches = Matches {
        root,
        choose,
        found: Vec::new(),
    };
    matches.search(&root.open_dir(&start)?, &start, &patterns)?;
    Ok(matches.found)
}

/// Returns `path` relative to the root, without `.`, and with `..` taken back as far as the root.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

fn select_plain(root: &Root, path: PathBuf, choose: &Chooser<'_>) -> Result<PathBuf, SelectError> {
    let resolved = root.resolve(&path)?;
    let Some(metadata) = root.symlink_metadata(&resolved)? else {
        return Err(SelectError::NotFound(path));
    };
    let link = root.symlink_metadata(&path)?;
    let takes_link = match link.filter(Metadata::is_symlink) {
        Some(link) => choose(&path, &link) == Choice::Take,
        None => true,
    };
    if takes_link && takes_part(root, &resolved, &metadata, choose)? {
        Ok(path)
    } else {
        Err(SelectError::LeftOut(path))
    }
}

/// Says whether a path, or for a directory anything below it, takes part.
pub(super) fn takes_part(
    root: &Root,
    path: &Path,
    metadata: &Metadata,
    choose: &Chooser<'_>,
) -> Result<bool, PathError> {
    if path.as_os_str().is_empty() {
        return Ok(true);
    }
    match choose(path, metadata) {
        Choice::Take => Ok(true),
        Choice::Skip => Ok(false),
        Choice::Descend | Choice::Pass if !metadata.is_dir() => Ok(false),
        Choice::Descend | Choice::Pass => {
            let dir = root.open_dir(path)?;
            for name in dir.names()? {
                let Some(metadata) = dir.metadata_of(&name)? else {
                    continue;
                };
                if takes_part(root, &path.join(&name), &metadata, choose)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

struct Matches<'a> {
    root: &'a Root,
    choose: &'a Chooser<'a>,
    found: Vec<PathBuf>,
}

impl Matches<'_> {
    fn search(&mut self, dir: &Dir, path: &Path, patterns: &[Glob]) -> Result<(), SelectError> {
        let Some((first, rest)) = patterns.split_first() else {
            return Ok(());
        };
        for name in dir.names()? {
            if !first.matches(&name.to_string_lossy()) {
                continue;
            }
            let Some(metadata) = dir.metadata_of(&name)? else {
                continue;
            };
            let path = path.join(&name);
            let choice = (self.choose)(&path, &metadata);
            if choice == Choice::Skip {
                continue;
            }
            if !rest.is_empty() {
                if metadata.is_dir() {
                    self.search(&dir.open_dir(&name)?, &path, rest)?;
                }
            } else if self.leads_to_what_takes_part(&path, &metadata, choice)? {
                self.found.push(path);
            }
        }
        Ok(())
    }
}

impl Matches<'_> {
    /// Says whether a match is copied: a link is followed, and what it leads to must take part too.
    fn leads_to_what_takes_part(
        &self,
        path: &Path,
        metadata: &Metadata,
        choice: Choice,
    ) -> Result<bool, PathError> {
        if !metadata.is_symlink() {
            return Ok(choice == Choice::Take || metadata.is_dir());
        }
        let resolved = self.root.resolve(path)?;
        match self.root.symlink_metadata(&resolved)? {
            Some(found) => takes_part(self.root, &resolved, &found, self.choose),
            None => Ok(false),
        }
    }
}

/// Says whether a name or a path has an unescaped `*`, `?` or `[`.
pub fn has_wildcards(name: &OsStr) -> bool {
    let mut bytes = name.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}
