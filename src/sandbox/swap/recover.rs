//! Putting the container back: the last part of every swap, and all that is left to do after one that
//! was killed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::fs::{Dir, PathError, Root};

use super::enter::slot_name;
use super::hands::{carry, create_dir, open_or_create_dir, remove_all, rename};
use super::journal::{Journal, Phase};
use super::kept::{Kept, Role};
use super::{SwapError, name, reserve};

/// Makes `root` what it was before the swap whose entries are in `aside`, and says whether there was
/// one. What a stage has in `root` is removed. `kept_now` is what must be kept as of now: the mount
/// points, which a command may have moved. The journal knows what was kept before.
///
/// May be killed itself, and called again.
pub(in crate::sandbox) fn recover(
    root: &Root,
    aside: &Dir,
    kept_now: &[PathBuf],
) -> Result<bool, SwapError> {
    reserve::release(aside)?;
    let Some(mut journal) = Journal::read(aside)? else {
        // Killed while removing it, perhaps.
        remove_all(aside, OsStr::new(name::TRASH))?;
        return Ok(false);
    };
    match journal.phase {
        Phase::SettingAside | Phase::Returning => {}
        Phase::Stage => {
            let trash = Trash::open(aside)?;
            let moved = bring_home(root, &trash, &journal, kept_now)?;
            throw_out(root, &trash, &journal, &moved)?;
            journal.phase = Phase::Returning;
            journal.write(aside)?;
        }
    }
    put_back(root, aside, &journal)?;
    remove_all(aside, OsStr::new(name::TRASH))?;
    Ok(true)
}

/// Moves the container's own entries back, in a root directory with nothing of a stage, and gives the
/// merged directories their own looks. After that, there is no journal any more.
pub(super) fn put_back(root: &Root, aside: &Dir, journal: &Journal) -> Result<(), PathError> {
    let own = aside.open_dir(OsStr::new(name::OWN))?;
    for (number, dir) in journal.plan.dirs.iter().enumerate() {
        let to = open_or_create_real(root, &dir.path.0)?;
        let slot = own.open_dir(&slot_name(number))?;
        for name in slot.names()? {
            // What was half set aside by parts is on both sides, and joined here.
            carry(&slot, &name, &to, &dir.path.0, &mut |_, _| Ok(()))?;
        }
    }
    let parts = journal
        .parts
        .iter()
        .map(|parts| (&parts.path, &parts.looks));
    let merged = journal.plan.dirs.iter().map(|dir| (&dir.path, &dir.looks));
    for (path, looks) in parts.chain(merged) {
        if let Some(dir) = root.open_real_dir(&path.0)? {
            looks.give_to(&dir)?;
        }
    }
    Journal::remove(aside)
}

/// Opens a merged directory; the command may have removed it.
fn open_or_create_real(root: &Root, path: &Path) -> Result<Dir, PathError> {
    let mut dir = root.dir().try_clone()?;
    for name in path.iter() {
        dir = open_or_create_dir(&dir, name)?;
    }
    Ok(dir)
}

/// Where a stage's entries go that nobody needs any more.
struct Trash {
    /// Empty when opened: a killed recovery may have left others with the same names.
    dir: Dir,
    count: std::cell::Cell<u32>,
}

impl Trash {
    fn open(aside: &Dir) -> Result<Self, PathError> {
        let all = open_or_create_dir(aside, OsStr::new(name::TRASH))?;
        let name = OsString::from(all.names()?.len().to_string());
        Ok(Self {
            dir: create_dir(&all, &name)?,
            count: std::cell::Cell::new(0),
        })
    }

    fn throw(&self, from: &Dir, name: &OsStr) -> Result<(), PathError> {
        let number = self.count.replace(self.count.get() + 1);
        let bin = create_dir(&self.dir, &OsString::from(number.to_string()))?;
        carry(from, name, &bin, Path::new(""), &mut |_, _| Ok(()))
    }
}

/// Moves to `trash` what a stage has in the root directory.
fn throw_out(
    root: &Root,
    trash: &Trash,
    journal: &Journal,
    new: &[PathBuf],
) -> Result<(), PathError> {
    let before = journal.plan.kept.iter().map(|path| &path.0);
    let mut kept = Kept::found_in(root, before.chain(new))?;
    // Those that nothing is kept below are known from the journal only.
    kept.merge(root, journal.plan.dirs.iter().map(|dir| &dir.path.0))?;
    for path in kept.merged() {
        let Some(dir) = root.open_real_dir(path)? else {
            continue;
        };
        for name in dir.names()? {
            if kept.role(&path.join(&name)) == Role::Free {
                trash.throw(&dir, &name)?;
            }
        }
    }
    Ok(())
}

/// Moves merged directories back to their places that the command has moved with the mounts below them.
/// Returns what must be kept besides, after that.
///
/// They are known by their inodes. What the command made in their places is thrown away.
fn bring_home(
    root: &Root,
    trash: &Trash,
    journal: &Journal,
    kept_now: &[PathBuf],
) -> Result<Vec<PathBuf>, SwapError> {
    let mut new = journal.plan.new_ones(kept_now);
    let mut is_at_home = false;
    // Each round brings a directory home.
    for _ in 0..=journal.plan.dirs.len() {
        let Some((away, home)) = find_moved(root, journal, &new)? else {
            is_at_home = true;
            break;
        };
        clear(root, trash, &home, kept_now)?;
        let (from, name) = root.open_parent(&away)?;
        let (to, home_name) = root.open_parent(&home)?;
        rename(&from, &name, &to, &home_name)?;
        for path in &mut new {
            if let Ok(inside) = path.strip_prefix(&away) {
                *path = home.join(inside);
            }
        }
        new.retain(|path| journal.plan.asked.iter().all(|asked| asked.0 != *path));
    }
    match new.first() {
        Some(path) if !is_at_home => Err(SwapError::MovedMount {
            path: Path::new("/").join(path),
        }),
        Some(_) | None => Ok(new),
    }
}

/// Makes `home` a free name in a directory that exists.
fn clear(root: &Root, trash: &Trash, home: &Path, kept_now: &[PathBuf]) -> Result<(), SwapError> {
    if let Some(path) = kept_now.iter().find(|path| path.starts_with(home)) {
        let path = Path::new("/").join(path);
        return Err(SwapError::MovedMount { path });
    }
    let mut dir = root.dir().try_clone()?;
    let mut names = home.iter().peekable();
    while let Some(name) = names.next() {
        let is_last = names.peek().is_none();
        let is_dir = dir.metadata_of(name)?.map(|found| found.is_dir());
        if is_dir == Some(false) || (is_last && is_dir.is_some()) {
            trash.throw(&dir, name)?;
        }
        if !is_last {
            dir = open_or_create_dir(&dir, name)?;
        }
    }
    Ok(())
}

/// Returns where a merged directory is and where it belongs; the outermost first.
fn find_moved(
    root: &Root,
    journal: &Journal,
    new: &[PathBuf],
) -> Result<Option<(PathBuf, PathBuf)>, PathError> {
    for path in new {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for dir in above {
            let Some(open) = root.open_real_dir(dir)? else {
                break;
            };
            let metadata = open.metadata()?;
            let found = journal.plan.dirs.iter().find(|merged| {
                merged.identity == (metadata.dev, metadata.ino) && merged.path.0 != dir
            });
            if let Some(merged) = found {
                return Ok(Some((dir.to_path_buf(), merged.path.0.clone())));
            }
        }
    }
    Ok(None)
}
