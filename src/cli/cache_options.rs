//! Which caches a run uses, from words to meaning.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracing::{debug, warn};

use crate::cache::LocalCache;
use crate::fs::{PathContext, PathError};

use super::environment::absolute;
use super::flags::CacheFlags;

/// Where kaniko looks for base images.
pub(super) const DEFAULT_DIR: &str = "/cache";

/// The caches of one run.
#[derive(Debug, Clone)]
pub(super) struct CacheOptions {
    /// What was kept before is not used.
    pub(super) oldest: Timestamp,
    /// Layers of base images are kept unpacked where that is possible.
    pub(super) keeps_unpacked: bool,
    dir: Option<CacheDir>,
}

/// A directory that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CacheDir {
    /// Absolute.
    path: PathBuf,
    /// The user has named it; nobody else's directory is made.
    is_explicit: bool,
}

impl CacheOptions {
    /// Checks the flags. Looks at no file.
    pub(super) fn new(flags: &CacheFlags, current_dir: &Path) -> Self {
        Self {
            oldest: oldest(flags.cache_ttl),
            keeps_unpacked: flags.cache_unpacked,
            dir: cache_dir(flags, current_dir),
        }
    }

    /// Opens the directory, where there is one to use. One that cannot be used is a warning: the build can do without.
    pub(super) fn open_dir(&self) -> Option<Arc<LocalCache>> {
        let dir = self.dir.as_ref()?;
        if !dir.is_explicit && !dir.path.is_dir() {
            debug!("there is no cache directory `{}`", dir.path.display());
            return None;
        }
        match open(&dir.path, self.oldest) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(error) => {
                let dir = dir.path.display();
                warn!(
                    "the cache directory `{dir}` is not used: {error}: {}",
                    error.source
                );
                None
            }
        }
    }
}

/// Opens a cache directory by its real path, which leads to it also while links of the root directory are moved aside.
fn open(path: &Path, oldest: Timestamp) -> Result<LocalCache, PathError> {
    std::fs::create_dir_all(path).on("create directory", path)?;
    let path = std::fs::canonicalize(path).on("find", path)?;
    LocalCache::open(&path, oldest)
}

/// Returns the directory to use; `None` without `--cache` and `--cache-dir`, and where no cache is wanted.
fn cache_dir(flags: &CacheFlags, current_dir: &Path) -> Option<CacheDir> {
    match (flags.cache, flags.dir()) {
        (Some(false), _) | (None, None) => None,
        (Some(true) | None, Some(path)) => Some(CacheDir {
            path: absolute(path, current_dir),
            is_explicit: true,
        }),
        (Some(true), None) => Some(CacheDir {
            path: PathBuf::from(DEFAULT_DIR),
            is_explicit: false,
        }),
    }
}

/// Returns the time since which what was kept may be used.
pub(super) fn oldest(ttl: SignedDuration) -> Timestamp {
    let oldest = Timestamp::now().saturating_sub(ttl);
    // Longer than time goes back: nothing is too old.
    oldest.unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::ExecutorFlags;
    use clap::Parser;

    fn dir(arguments: &[&str]) -> Option<CacheDir> {
        let arguments = ["executor"].iter().chain(arguments);
        let flags = ExecutorFlags::try_parse_from(arguments).unwrap();
        cache_dir(&flags.cache, Path::new("/job"))
    }

    #[test]
    fn a_directory_is_used_if_it_is_named_or_the_cache_is_wanted() {
        let named = |path: &str, is_explicit| {
            let path = PathBuf::from(path);
            Some(CacheDir { path, is_explicit })
        };
        assert_eq!(dir(&[]), None);
        assert_eq!(dir(&["--cache-dir="]), None);
        assert_eq!(dir(&["--cache=false", "--cache-dir=c"]), None);
        assert_eq!(dir(&["--cache"]), named("/cache", false));
        assert_eq!(
            dir(&["--cache=true", "--cache-dir="]),
            named("/cache", false)
        );
        assert_eq!(dir(&["--cache-dir=c"]), named("/job/c", true));
        assert_eq!(dir(&["--cache", "--cache-dir", "/c"]), named("/c", true));
    }

    #[test]
    fn a_named_directory_is_made_and_one_that_cannot_be_is_no_error() {
        let temp = tempfile::tempdir().unwrap();
        let options = |path: &Path| CacheOptions {
            oldest: Timestamp::MIN,
            keeps_unpacked: false,
            dir: Some(CacheDir {
                path: path.to_path_buf(),
                is_explicit: true,
            }),
        };
        let made = temp.path().join("a/b");
        assert!(options(&made).open_dir().unwrap().is_writable());
        let file = temp.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(options(&file).open_dir().is_none());
    }

    #[test]
    fn a_lifetime_ends_at_the_beginning_of_time() {
        assert!(oldest(SignedDuration::from_hours(1)) < Timestamp::now());
        assert!(oldest(SignedDuration::from_hours(-1)) > Timestamp::now());
        assert_eq!(oldest(SignedDuration::MAX), Timestamp::MIN);
    }
}
