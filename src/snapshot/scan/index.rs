//! What every file of a tree was at one moment, as far as `stat` tells. This module knows files, not what changed them.

use std::hash::RandomState;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::listing::{Cursor, Listing};
use super::seal::Sealer;
use super::walk::Walk;
use crate::fs::{KnownContents, Root, Timestamp};
use crate::snapshot::change::DiffError;
use crate::snapshot::excluded::Excluded;

/// A change time further in the future than this is from before the clock was set back, and no reason to wait. One
/// that is nearer may come of a file system whose clock is finer than ours.
const FUTURE_SECONDS: i64 = 1;
/// More than any change time that counts can be away; a clock that is set back meanwhile shall not keep us.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// What the files of a tree were when it was walked. About 90 bytes per file; what the next index finds unchanged, the
/// two have in common.
#[derive(Debug)]
pub struct Index {
    /// By number, the root first; a directory's directories have consecutive numbers. Which they are depends on how
    /// the threads ran, and shows nowhere.
    dirs: Vec<IndexedDir>,
    skipped: Arc<Excluded>,
    /// Seals made under one key can be compared.
    key: RandomState,
    latest: LatestChange,
}

/// One directory of an index.
#[derive(Debug)]
pub(super) struct IndexedDir {
    pub(super) listing: Arc<Listing>,
    /// Number of the first directory in it.
    pub(super) first_child: usize,
}

impl Index {
    /// Returns the index of a tree without files: held against it, all of another tree is new.
    pub fn of_nothing() -> Self {
        let root = IndexedDir {
            listing: Arc::default(),
            first_child: 1,
        };
        Self {
            dirs: vec![root],
            skipped: Arc::default(),
            key: RandomState::new(),
            latest: LatestChange::until_now(),
        }
    }

    /// Walks the tree of `root` for the first time, with all processors. Stats every file, reads none: what `known`
    /// does not have of their contents stays unknown.
    ///
    /// `skipped` are the paths that are never a part of the tree, mount points above all; neither this walk nor the
    /// later ones enter them. The tree must not be changed meanwhile.
    pub fn take(root: &Root, skipped: &Excluded, known: &KnownContents) -> Result<Self, DiffError> {
        let skipped = Arc::new(skipped.clone());
        let sealer = Sealer::of_known(known);
        let (dirs, latest) = Walk::new(root.dir(), &[], &skipped, sealer)?.run()?;
        Ok(Self {
            dirs,
            skipped,
            key: known.key().clone(),
            latest,
        })
    }

    /// Walks the tree again, after a step; it is the one walk that the step costs. Stats every file, and reads those
    /// that have another change time than before or are new.
    ///
    /// Every process of the step must have ended: a program that still has a file mapped changes it without a trace.
    pub fn retake(&self, root: &Root) -> Result<Self, DiffError> {
        let sealer = Sealer::reading(&self.key);
        let (dirs, latest) = Walk::new(root.dir(), &self.dirs, &self.skipped, sealer)?.run()?;
        Ok(Self {
            dirs,
            skipped: Arc::clone(&self.skipped),
            key: self.key.clone(),
            latest,
        })
    }

    /// Waits until whatever happens next to a file gives it another change time than this index has of it. To be
    /// called before a step starts.
    ///
    /// Kernels before Linux 6.13 take change times from a clock that ticks every 1 to 10 milliseconds, and some file
    /// systems keep whole seconds. Mostly the time has passed long since.
    pub fn wait_until_changes_show(&self) {
        let start = Instant::now();
        while self.latest.may_come_again(coarse_now()) && start.elapsed() < LONGEST_WAIT {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns how much memory the index takes, in bytes, and how many entries it has.
    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize) {
        let listings = self.dirs.iter().map(|dir| dir.listing.memory());
        let entries = self.dirs.iter().map(|dir| dir.listing.len());
        let bytes = size_of::<IndexedDir>() * self.dirs.capacity() + listings.sum::<usize>();
        (bytes, entries.sum())
    }

    /// Returns in how many directories this index has the listing in common with another.
    #[cfg(test)]
    pub(super) fn common_listings(&self, other: &Self) -> usize {
        let is_common = |dir: &&IndexedDir| {
            let mut others = other.dirs.iter();
            others.any(|other| Arc::ptr_eq(&dir.listing, &other.listing))
        };
        self.dirs.iter().filter(is_common).count()
    }

    /// Returns a cursor over the directory of this number, the root's being 0.
    pub(super) fn cursor(&self, number: usize) -> Cursor<'_> {
        let dir = &self.dirs[number];
        Cursor::new(&dir.listing, dir.first_child)
    }
}

/// The latest change times of an index.
#[derive(Debug, Clone, Copy)]
pub(super) struct LatestChange {
    /// What is later does not count.
    horizon: Timestamp,
    /// The latest of all.
    any: Option<Timestamp>,
    /// The latest without nanoseconds: where a file system keeps none, it comes again until the second is over.
    whole_second: Option<i64>,
}

impl LatestChange {
    /// Begins with none, for a tree that nobody changes from now on.
    pub(super) fn until_now() -> Self {
        Self::until(coarse_now())
    }

    fn until(now: Timestamp) -> Self {
        let seconds = now.seconds + FUTURE_SECONDS;
        Self {
            horizon: Timestamp { seconds, ..now },
            any: None,
            whole_second: None,
        }
    }

    /// Takes one file's change time in.
    pub(super) fn add(&mut self, ctime: Timestamp) {
        if ctime > self.horizon {
            return;
        }
        self.any = self.any.max(Some(ctime));
        if ctime.nanos == 0 {
            self.whole_second = self.whole_second.max(Some(ctime.seconds));
        }
    }

    /// Takes in what another thread found.
    pub(super) fn merge(&mut self, other: Self) {
        self.any = self.any.max(other.any);
        self.whole_second = self.whole_second.max(other.whole_second);
    }

    /// Says whether a change at the time `now` could get a change time that is there already.
    fn may_come_again(self, now: Timestamp) -> bool {
        self.any.is_some_and(|any| now <= any)
            || self.whole_second.is_some_and(|whole| now.seconds <= whole)
    }
}

/// Returns the time that a file changed now would get, at the least.
fn coarse_now() -> Timestamp {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    Timestamp {
        seconds: now.tv_sec,
        // Below a billion.
        nanos: u32::try_from(now.tv_nsec).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp {
        seconds: 1000,
        nanos: 500,
    };

    fn latest(changes: &[(i64, u32)]) -> LatestChange {
        let mut latest = LatestChange::until(NOW);
        for (seconds, nanos) in changes.iter().copied() {
            latest.add(Timestamp { seconds, nanos });
        }
        latest
    }

    fn later(nanos: u32) -> Timestamp {
        Timestamp { nanos, ..NOW }
    }

    #[test]
    fn the_clock_must_be_past_the_latest_change() {
        let latest = latest(&[(999, 7), (1000, 500), (1000, 400)]);
        assert!(latest.may_come_again(NOW));
        assert!(!latest.may_come_again(later(501)));
        let nothing = LatestChange::until(NOW);
        assert!(!nothing.may_come_again(NOW));
    }

    #[test]
    fn a_time_without_nanoseconds_comes_again_until_its_second_is_over() {
        let latest = latest(&[(1000, 0), (999, 5)]);
        assert!(latest.may_come_again(later(999_999_999)));
        assert!(!latest.may_come_again(Timestamp::from_seconds(1001)));
    }

    #[test]
    fn a_time_from_before_the_clock_was_set_back_hides_no_recent_one() {
        let recent = (1000, 600);
        let latest = latest(&[(90_000, 1), recent, (90_000, 0)]);
        assert!(latest.may_come_again(later(600)));
        assert!(!latest.may_come_again(later(601)));
    }

    #[test]
    fn after_the_wait_a_change_gets_another_time() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("f");
        std::fs::write(&file, "x").unwrap();
        let root = Root::open(temp.path()).unwrap();
        let index = Index::take(&root, &Excluded::new(), &KnownContents::default()).unwrap();
        index.wait_until_changes_show();
        let found = root.symlink_metadata("f".as_ref()).unwrap().unwrap();
        assert!(coarse_now() > found.ctime);
    }
}
