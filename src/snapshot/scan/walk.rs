//! Walks a whole tree with several threads and lists its directories. What counts as changed is decided elsewhere.
//!
//! Each thread goes down depth first, by directory handles and not by paths, so that depth has no limit; while others
//! are short of work it hands over directories instead of entering them. Threads hold a bounded number of directories
//! open, whatever the tree.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::index::{IndexedDir, LatestChange};
use super::jobs::Jobs;
use super::listing::{Cursor, Entry, Listing};
use super::mask::Mask;
use super::seal::{Seal, Sealer};
use crate::fs::{Descent, Dir, Metadata, PathError};
use crate::snapshot::change::DiffError;
use crate::snapshot::excluded::Excluded;
use crate::snapshot::overlay_walk::vanished;

/// More threads than this wait for the kernel's locks rather than for processors, and each may hold 64 directories
/// open.
const THREADS_MAX: usize = 8;

/// A walk in progress.
pub(super) struct Walk<'a> {
    /// What a walk before this one found; empty for the first.
    before: &'a [IndexedDir],
    sealer: Sealer<'a>,
    jobs: Jobs<Job<'a>>,
    /// How many directories have got a number.
    numbered: AtomicUsize,
    latest: LatestChange,
}

/// A directory that any thread may take, with everything below it.
struct Job<'a> {
    dir: Dir,
    place: Place<'a>,
}

/// Where a directory stands in the indexes.
#[derive(Clone)]
struct Place<'a> {
    number: usize,
    /// Number of the directory that was at this path before.
    before: Option<usize>,
    /// It is that one, with the change time that it had: whatever makes, removes or renames something in a directory
    /// changes that.
    has_same_names: bool,
    mask: Option<Mask<'a>>,
}

/// A directory that was listed, with the directories in it that are still to be entered.
struct Level<'a> {
    listing: Arc<Listing>,
    below: std::vec::IntoIter<(usize, Place<'a>)>,
}

/// What one thread found.
struct Found {
    dirs: Vec<(usize, IndexedDir)>,
    latest: LatestChange,
}

impl<'a> Walk<'a> {
    /// Makes ready to walk the tree of `root` but for what `skipped` hides.
    pub(super) fn new(
        root: &Dir,
        before: &'a [IndexedDir],
        skipped: &'a Excluded,
        sealer: Sealer<'a>,
    ) -> Result<Self, DiffError> {
        let place = Place {
            number: 0,
            before: (!before.is_empty()).then_some(0),
            has_same_names: false,
            mask: Mask::of(skipped),
        };
        let dir = root.try_clone()?;
        Ok(Self {
            before,
            sealer,
            jobs: Jobs::new(Job { dir, place }, 2 * threads()),
            numbered: AtomicUsize::new(1),
            latest: LatestChange::until_now(),
        })
    }

    /// Walks the tree and returns its directories by their numbers, the root first.
    pub(super) fn run(self) -> Result<(Vec<IndexedDir>, LatestChange), DiffError> {
        let founds: Vec<_> = thread::scope(|scope| {
            let others: Vec<_> = (1..threads())
                .map(|_| scope.spawn(|| self.work()))
                .collect();
            let mut founds = vec![self.work()];
            founds.extend(others.into_iter().map(|other| match other.join() {
                Ok(found) => found,
                Err(panic) => std::panic::resume_unwind(panic),
            }));
            founds
        });
        let mut dirs = Vec::with_capacity(self.numbered.into_inner());
        let mut latest = self.latest;
        for found in founds {
            let found = found?;
            dirs.extend(found.dirs);
            latest.merge(found.latest);
        }
        dirs.sort_unstable_by_key(|(number, _)| *number);
        Ok((dirs.into_iter().map(|(_, dir)| dir).collect(), latest))
    }

    fn work(&self) -> Result<Found, DiffError> {
        let mut found = Found {
            dirs: Vec::new(),
            latest: self.latest,
        };
        while let Some((job, _taken)) = self.jobs.take() {
            if let Err(error) = self.walk_below(&job, &mut found) {
                self.jobs.stop();
                return Err(error);
            }
        }
        Ok(found)
    }

    fn walk_below(&self, job: &Job<'a>, found: &mut Found) -> Result<(), DiffError> {
        let mut way = Descent::new(&job.dir)?;
        let mut levels = vec![self.list(way.dir(), job.place.clone(), found)?];
        while let Some(level) = levels.last_mut() {
            let Some((position, place)) = level.below.next() else {
                levels.pop();
                way.leave()?;
                continue;
            };
            let name = level.listing.name(position);
            if self.jobs.are_wanted() {
                let dir = way.dir().open_dir(name)?;
                self.jobs.put(Job { dir, place });
            } else {
                way.enter(name)?;
                levels.push(self.list(way.dir(), place, found)?);
            }
        }
        Ok(())
    }

    /// Lists one directory. Where nothing in it changed, the listing from before is kept, so that an index costs
    /// memory only for what differs from the one before.
    fn list(&self, dir: &Dir, place: Place<'a>, found: &mut Found) -> Result<Level<'a>, DiffError> {
        let before = place.before.map(|number| &self.before[number]);
        let mut olds = before.map(|before| Cursor::new(&before.listing, before.first_child));
        let mut listing = Listing::default();
        let mut below = Vec::new();
        let mut same = 0;
        for name in names(dir, before.filter(|_| place.has_same_names))? {
            let name = name.as_ref();
            let mask = Mask::at(place.mask.as_ref(), name);
            if Mask::hides(mask.as_ref()) {
                continue;
            }
            let old = olds.as_mut().and_then(|olds| olds.seek(name));
            let (metadata, seal) = self.look_at(dir, name, old.as_ref())?;
            let is_same = old.is_some_and(|old| old.metadata == metadata);
            same += usize::from(is_same);
            found.latest.add(metadata.ctime);
            if metadata.is_dir() {
                let before = old.and_then(|old| old.child);
                below.push((listing.len(), before, is_same, mask));
            }
            if !listing.push(name, &metadata, seal) {
                return Err(too_many_file_systems(dir, name).into());
            }
        }
        let listing = match before {
            Some(before) if same == listing.len() && same == before.listing.len() => {
                Arc::clone(&before.listing)
            }
            Some(_) | None => {
                listing.shrink();
                Arc::new(listing)
            }
        };
        let first_child = self.numbered.fetch_add(below.len(), Ordering::Relaxed);
        let indexed = IndexedDir {
            listing: Arc::clone(&listing),
            first_child,
        };
        found.dirs.push((place.number, indexed));
        let numbered = below.into_iter().zip(first_child..);
        let below: Vec<_> = numbered
            .map(|((position, before, has_same_names, mask), number)| {
                let place = Place {
                    number,
                    before,
                    has_same_names,
                    mask,
                };
                (position, place)
            })
            .collect();
        Ok(Level {
            listing,
            below: below.into_iter(),
        })
    }

    /// Stats one entry, and seals it unless it is what it was: then its seal is as well.
    fn look_at(
        &self,
        dir: &Dir,
        name: &OsStr,
        old: Option<&Entry<'_>>,
    ) -> Result<(Metadata, Option<Seal>), DiffError> {
        let Some(metadata) = dir.metadata_of(name)? else {
            return Err(vanished(dir, name));
        };
        let seal = match old {
            Some(old) if old.metadata == metadata => old.seal,
            Some(_) | None => self.sealer.seal(dir, name, &metadata)?,
        };
        Ok((metadata, seal))
    }
}

/// Returns the names in a directory, sorted by their bytes: from `before`, without a look at the directory, where it
/// still has those.
fn names<'b>(dir: &Dir, before: Option<&'b IndexedDir>) -> Result<Vec<Cow<'b, OsStr>>, PathError> {
    Ok(match before {
        Some(before) => before.listing.names().map(Cow::Borrowed).collect(),
        None => dir.names()?.into_iter().map(Cow::Owned).collect(),
    })
}

fn threads() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    processors.min(THREADS_MAX)
}

fn too_many_file_systems(dir: &Dir, name: &OsStr) -> PathError {
    let source = io::Error::other("more than 65,536 file systems in one directory");
    PathError::new("list", dir.path_of(name), source)
}
