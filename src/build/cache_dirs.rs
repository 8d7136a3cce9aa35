//! The directories behind `RUN --mount=type=cache`: in the work directory, one for each cache of this build, and who
//! uses which at the moment.
//!
//! This module knows names and locks. It must not know steps or where a cache's contents come from.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dockerfile::Sharing;
use crate::fs::{PathError, Root};

/// How often somebody who waits for a cache looks if the build goes on.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// All caches of a build, by name.
pub(super) struct CacheDirs {
    make_dir: Box<MakeDir>,
    caches: Mutex<BTreeMap<String, Vec<CacheDir>>>,
    /// Somebody has stopped using one.
    freed: Condvar,
}

/// Makes an empty directory of the build's.
type MakeDir = dyn Fn() -> Result<Root, PathError> + Send + Sync;

/// One directory. The first of a name is the cache; others are for RUNs that must have one of their own while it is in
/// use.
struct CacheDir {
    root: Arc<Root>,
    users: usize,
    /// Its only user does not share it, or has not filled it yet.
    is_held: bool,
    is_filled: bool,
}

/// A directory that is in use until this value goes.
pub(super) struct CacheUse<'a> {
    dirs: &'a CacheDirs,
    name: String,
    index: usize,
    root: Arc<Root>,
}

impl CacheDirs {
    /// Makes an empty collection, whose directories come from `make_dir`.
    pub(super) fn new(
        make_dir: impl Fn() -> Result<Root, PathError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make_dir: Box::new(make_dir),
            caches: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// Gives the directory of the cache `name` to a RUN, which waits as long as others may not share it. `fill` makes a
    /// new one what it starts as. Fails if `check_going` does meanwhile.
    ///
    /// Who takes several takes them in the order of their names, and each name once: nobody then waits in a circle.
    pub(super) fn take(
        &self,
        name: &str,
        sharing: Sharing,
        check_going: impl Fn() -> Result<()>,
        fill: impl FnOnce(&Root) -> Result<()>,
    ) -> Result<CacheUse<'_>> {
        let (held, is_filled) = self.hold(name, sharing, check_going)?;
        if !is_filled {
            fill(&held.root)?;
        }
        let mut caches = self.lock();
        if let Some(dir) = held.dir(&mut caches) {
            dir.is_filled = true;
            dir.is_held = sharing != Sharing::Shared;
        }
        drop(caches);
        self.freed.notify_all();
        Ok(held)
    }

    /// Returns the names of all caches that a RUN has used, in order.
    pub(super) fn used(&self) -> Vec<String> {
        let caches = self.lock();
        let used = caches
            .iter()
            .filter(|(_, dirs)| dirs.iter().any(|dir| dir.is_filled));
        used.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the directory of a cache; `None` where no RUN has used it.
    pub(super) fn root(&self, name: &str) -> Option<Arc<Root>> {
        let caches = self.lock();
        let first = caches.get(name)?.first()?;
        first.is_filled.then(|| Arc::clone(&first.root))
    }

    /// Waits for a directory and takes it; says whether it is filled. One that is not is held.
    fn hold(
        &self,
        name: &str,
        sharing: Sharing,
        check_going: impl Fn() -> Result<()>,
    ) -> Result<(CacheUse<'_>, bool)> {
        let mut caches = self.lock();
        loop {
            let dirs = caches.entry(name.to_owned()).or_default();
            let index = match dirs.iter().position(|dir| dir.is_free_for(sharing)) {
                None if dirs.is_empty() || sharing == Sharing::Private => {
                    dirs.push(self.new_dir()?);
                    Some(dirs.len() - 1)
                }
                // Only the first is everybody's.
                Some(index) if index > 0 && sharing != Sharing::Private => None,
                other => other,
            };
            if let Some(index) = index {
                let dir = &mut dirs[index];
                dir.users += 1;
                dir.is_held = sharing != Sharing::Shared || !dir.is_filled;
                let held = CacheUse {
                    dirs: self,
                    name: name.to_owned(),
                    index,
                    root: Arc::clone(&dir.root),
                };
                return Ok((held, dir.is_filled));
            }
            let waited = self.freed.wait_timeout(caches, LOOK_INTERVAL);
            caches = waited.unwrap_or_else(PoisonError::into_inner).0;
            check_going()?;
        }
    }

    fn new_dir(&self) -> Result<CacheDir> {
        let root = (self.make_dir)();
        Ok(CacheDir {
            root: Arc::new(root.context("cannot make the directory of a cache mount")?),
            users: 0,
            is_held: false,
            is_filled: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<CacheDir>>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheDir {
    fn is_free_for(&self, sharing: Sharing) -> bool {
        match sharing {
            Sharing::Shared => !self.is_held,
            Sharing::Private | Sharing::Locked => self.users == 0,
        }
    }
}

impl CacheUse<'_> {
    /// Returns the directory.
    pub(super) fn root(&self) -> &Arc<Root> {
        &self.root
    }

    fn dir<'a>(&self, caches: &'a mut BTreeMap<String, Vec<CacheDir>>) -> Option<&'a mut CacheDir> {
        caches.get_mut(&self.name)?.get_mut(self.index)
    }
}

impl Drop for CacheUse<'_> {
    fn drop(&mut self) {
        let mut caches = self.dirs.lock();
        if let Some(dir) = self.dir(&mut caches) {
            dir.users -= 1;
            dir.is_held &= dir.users > 0;
        }
        drop(caches);
        self.dirs.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn dirs(temp: &tempfile::TempDir) -> CacheDirs {
        let place = temp.path().to_path_buf();
        let made = AtomicUsize::new(0);
        CacheDirs::new(move || {
            let path = place.join(made.fetch_add(1, Ordering::Relaxed).to_string());
            std::fs::create_dir(&path).unwrap();
            Root::open(&path)
        })
    }

    fn take<'a>(dirs: &'a CacheDirs, name: &str, sharing: Sharing) -> Result<CacheUse<'a>> {
        let too_late = || anyhow::bail!("somebody else has it");
        dirs.take(name, sharing, too_late, |_| Ok(()))
    }

    #[test]
    fn what_is_shared_is_one_directory_at_the_same_time() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        let one = take(&dirs, "a", Sharing::Shared).unwrap();
        let two = take(&dirs, "a", Sharing::Shared).unwrap();
        let other = take(&dirs, "b", Sharing::Shared).unwrap();
        assert_eq!(one.root().path(), two.root().path());
        assert_ne!(one.root().path(), other.root().path());
        assert_eq!(dirs.used(), ["a", "b"]);
    }

    #[test]
    fn a_private_cache_in_use_makes_another_one() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        let one = take(&dirs, "a", Sharing::Private).unwrap();
        let two = take(&dirs, "a", Sharing::Private).unwrap();
        assert_ne!(one.root().path(), two.root().path());
        let first = one.root().path().to_path_buf();
        drop(one);
        let again = take(&dirs, "a", Sharing::Private).unwrap();
        assert_eq!(again.root().path(), first);
        assert_eq!(dirs.root("a").unwrap().path(), first);
    }

    #[test]
    fn a_locked_cache_is_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        let held = take(&dirs, "a", Sharing::Locked).unwrap();
        assert!(take(&dirs, "a", Sharing::Locked).is_err());
        assert!(take(&dirs, "a", Sharing::Shared).is_err());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let taken = dirs.take("a", Sharing::Locked, || Ok(()), |_| Ok(()));
                taken.unwrap().root().path().to_path_buf()
            });
            std::thread::sleep(Duration::from_millis(20));
            let path = held.root().path().to_path_buf();
            drop(held);
            assert_eq!(waiting.join().unwrap(), path);
        });
    }

    #[test]
    fn a_cache_is_filled_once() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        let filled = AtomicUsize::new(0);
        for _ in 0..3 {
            let fill = |_: &Root| {
                filled.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            drop(dirs.take("a", Sharing::Shared, || Ok(()), fill).unwrap());
        }
        assert_eq!(filled.load(Ordering::Relaxed), 1);
    }
}
