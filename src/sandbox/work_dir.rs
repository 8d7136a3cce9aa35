//! The directory that a build works in: made, locked, and removed with everything in it.
//!
//! It belongs to a living process exactly if its lock is held. Nothing here trusts a name: what
//! stands in a directory that others can write to is opened without following links, and only
//! touched if this user owns it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::fs::{Dir, PathContext, PathError, Root};

use super::belongings;
use super::hidden_dir::show_again;
use super::own_root::relative;
use super::removal::remove_in_parallel;
use super::room;
use super::swap::{Swap, SwapError, recover};

const PREFIX: &str = "sawagani-";
const LOCK: &str = "lock";

/// Letters after the prefix: others have directories called `sawagani-something`, too.
const LETTERS: usize = 12;

/// Names that are tried before giving up: each can only fail if somebody removes it in between.
const NAMES_MAX: usize = 128;

/// How often a directory is removed that somebody else removes at the same time: each time, there is less to remove.
const REMOVALS_MAX: usize = 128;

/// A locked directory of our own with mode 0700, in a directory of the user's choice.
#[derive(Debug)]
pub(super) struct WorkDir {
    parent: Dir,
    name: OsString,
    dir: Dir,
    /// Held as long as this value lives.
    _lock: File,
}

impl WorkDir {
    /// Makes a new one in `parent`.
    pub(super) fn create(parent: &Path) -> Result<Self, PathError> {
        let parent = std::path::absolute(parent).on("find", parent)?;
        let parent = Dir::open(&parent)?;
        for _ in 0..NAMES_MAX {
            let name = OsString::from(format!("{PREFIX}{}", random_letters()));
            match parent.create_dir(&name, 0o700) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                other => other?,
            }
            // Another start may take the new directory for a stale one until the lock is held.
            let dir = match parent.open_dir(&name) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            if let Some(lock) = try_lock(&dir)? {
                return Ok(Self {
                    parent,
                    name,
                    dir,
                    _lock: lock,
                });
            }
        }
        let path = parent.path().join(PREFIX);
        Err(PathError::new("create directory", path, Errno::AGAIN))
    }

    /// Returns the open directory.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Returns its absolute path.
    pub(super) fn path(&self) -> PathBuf {
        self.parent.path_of(&self.name)
    }

    /// Removes it with everything in it. What is mounted in it must be unmounted before.
    pub(super) fn remove(&self) -> Result<(), PathError> {
        remove_beside_others(&self.parent, &self.name)
    }
}

/// Removes a work directory. Once its lock file is gone, another start may take it for a stale one and remove it as well:
/// then names vanish, or a new lock file is in it.
fn remove_beside_others(parent: &Dir, name: &OsStr) -> Result<(), PathError> {
    for _ in 1..REMOVALS_MAX {
        match remove_in_parallel(parent, name) {
            Err(error) if is_of_others(&error) => {}
            other => return other,
        }
    }
    remove_in_parallel(parent, name)
}

fn is_of_others(error: &PathError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty
    )
}

/// Puts back into `root` what killed builds with work directories in `parent` have set aside of it.
/// `kept` are the paths, relative to it, that stay where they are.
pub(super) fn recover_stale(
    parent: &Path,
    root: &Root,
    kept: &[PathBuf],
    tool_dir: &Path,
) -> Result<(), SwapError> {
    let Ok(parent) = Dir::open(parent) else {
        return Ok(());
    };
    for name in parent.names()? {
        if !is_work_dir_name(&name) {
            continue;
        }
        let Some((dir, _lock)) = open_if_stale(&parent, &name)? else {
            continue;
        };
        show_again(&dir, tool_dir)?;
        let Some(aside) = aside_of(&dir)? else {
            continue;
        };
        if Swap::is_pending(&aside)? {
            tracing::warn!(aside = %aside.path().display(),
                "putting back the files of this container that a killed build has set aside");
        }
        let kept: Vec<PathBuf> = kept.iter().cloned().chain([relative(dir.path())]).collect();
        recover(root, &aside, &kept)?;
        belongings::give_back_noted(root, &dir);
    }
    Ok(())
}

/// Opens the room for the container's own files, where a work directory has one.
fn aside_of(dir: &Dir) -> Result<Option<Dir>, PathError> {
    let name = OsStr::new(room::ASIDE);
    match dir.metadata_of(name)? {
        Some(found) if found.is_dir() => Ok(Some(dir.open_dir(name)?)),
        Some(_) | None => Ok(None),
    }
}

/// Removes the work directories in `parent` that this user owns and no process holds. What cannot
/// be removed is left with a warning: it is not this build's.
pub(super) fn remove_stale(parent: &Path) {
    let outcome = Dir::open(parent).and_then(|parent| {
        for name in parent.names()? {
            if is_work_dir_name(&name)
                && let Err(error) = remove_if_stale(&parent, &name)
            {
                tracing::warn!(%error, source = %error.source, "a former build's files stay");
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        tracing::debug!(%error, "cannot look for former builds' files");
    }
}

fn is_work_dir_name(name: &OsStr) -> bool {
    let letters = name.as_encoded_bytes().strip_prefix(PREFIX.as_bytes());
    letters.is_some_and(|letters| {
        letters.len() == LETTERS && letters.iter().all(u8::is_ascii_lowercase)
    })
}

fn remove_if_stale(parent: &Dir, name: &OsStr) -> Result<(), PathError> {
    let Some((dir, _lock)) = open_if_stale(parent, name)? else {
        return Ok(());
    };
    if let Some(aside) = aside_of(&dir)?
        && Swap::is_pending(&aside)?
    {
        tracing::warn!(path = %aside.path().display(), "a killed build's files of this container stay");
        return Ok(());
    }
    tracing::info!(path = %dir.path().display(), "removing the files of a former build");
    remove_beside_others(parent, name)
}

/// Opens the work directory `name` and takes its lock, where it is this user's and nobody has it.
fn open_if_stale(parent: &Dir, name: &OsStr) -> Result<Option<(Dir, File)>, PathError> {
    if !is_own_directory(parent, name)? {
        return Ok(None);
    }
    let Ok(dir) = parent.open_dir(name) else {
        // Removed, or replaced, by its owner just now.
        return Ok(None);
    };
    // Between the look and the opening, it may have been exchanged for another one.
    let metadata = dir.metadata()?;
    if metadata.uid != own_uid() {
        return Ok(None);
    }
    if dir.metadata_of(OsStr::new(LOCK))?.is_none() {
        // Not ours, or about to be locked, or its maker died before it could: only the last one is
        // empty for long, and taking it from a living one makes that take another name.
        let _ = parent.remove_dir(name);
        return Ok(None);
    }
    Ok(try_lock(&dir)?.map(|lock| (dir, lock)))
}

fn is_own_directory(parent: &Dir, name: &OsStr) -> Result<bool, PathError> {
    let metadata = parent.metadata_of(name)?;
    Ok(metadata.is_some_and(|metadata| metadata.is_dir() && metadata.uid == own_uid()))
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Takes the lock of the work directory `dir`. `None` where somebody else holds it, or has removed
/// the directory since it was opened.
fn try_lock(dir: &Dir) -> Result<Option<File>, PathError> {
    let path = dir.path().join(LOCK);
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = match rustix::fs::openat(dir, LOCK, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno).on("open", path),
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).on("lock", path),
    }
    // Who removed the directory held the lock until then, of a file that has no name any more.
    let held = rustix::fs::fstat(&lock).on("stat", &path)?;
    let is_there = match dir.metadata_of(OsStr::new(LOCK))? {
        Some(named) => named.ino == held.st_ino && named.dev == held.st_dev,
        None => false,
    };
    let is_file = FileType::from_raw_mode(held.st_mode) == FileType::RegularFile;
    Ok((is_there && is_file).then_some(lock))
}

/// Returns [`LETTERS`] letters that nobody can guess.
fn random_letters() -> String {
    let mut bytes = [0_u8; LETTERS];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    debug_assert_eq!(filled, Ok(bytes.len()), "up to 256 bytes come at once");
    // 256 is no multiple of 26: the first letters come a little more often, which is no harm in a
    // name that only must not be taken.
    bytes
        .map(|byte| char::from(b'a' + byte % 26))
        .iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(path: &Path) -> Vec<OsString> {
        Dir::open(path).unwrap().names().unwrap()
    }

    #[test]
    fn a_stale_directory_is_removed_and_a_live_one_stays() {
        let temp = tempfile::tempdir().unwrap();
        let live = WorkDir::create(temp.path()).unwrap();
        let stale = WorkDir::create(temp.path()).unwrap();
        std::fs::create_dir(stale.path().join("l")).unwrap();
        std::fs::write(stale.path().join("l/file"), "left").unwrap();
        drop(stale);
        std::fs::create_dir(temp.path().join("sawagani-emptyemptyem")).unwrap();
        remove_stale(temp.path());
        assert_eq!(names(temp.path()), std::slice::from_ref(&live.name));
        live.remove().unwrap();
        assert!(names(temp.path()).is_empty());
    }

    #[test]
    fn two_who_remove_one_directory_do_not_stop_each_other() {
        let temp = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let ending = WorkDir::create(temp.path()).unwrap();
            for number in 0..30 {
                let dir = ending.path().join(format!("l/{number}/sub"));
                std::fs::create_dir_all(&dir).unwrap();
                std::fs::write(dir.join("file"), "").unwrap();
            }
            std::thread::scope(|scope| {
                let others = [(); 2].map(|()| {
                    scope.spawn(|| remove_beside_others(&ending.parent, &ending.name).unwrap())
                });
                ending.remove().unwrap();
                for other in others {
                    other.join().unwrap();
                }
            });
            assert!(names(temp.path()).is_empty());
        }
    }

    #[test]
    fn two_may_remove_a_directory_at_the_same_moment() {
        let temp = tempfile::tempdir().unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    remove_stale(temp.path());
                }
            });
            let made_and_removed = (0..200).map(|_| WorkDir::create(temp.path())?.remove());
            let failed: Vec<PathError> = made_and_removed.filter_map(Result::err).collect();
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(failed.is_empty(), "{failed:?}");
        });
    }

    #[test]
    fn a_killed_builds_directory_stays_until_the_root_directory_is_put_back() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        std::fs::create_dir(path("kaniko")).unwrap();
        std::fs::write(path("own"), "kept").unwrap();
        let killed = WorkDir::create(&path("kaniko")).unwrap();
        for dir in [room::ASIDE, room::TREES] {
            killed.dir().create_dir(OsStr::new(dir), 0o700).unwrap();
        }
        let tree = killed.path().join(room::TREES);
        std::fs::write(tree.join("stage"), "").unwrap();
        let (root, tree) = (Root::open(temp.path()).unwrap(), Root::open(&tree).unwrap());
        let aside = Dir::open(&killed.path().join(room::ASIDE)).unwrap();
        let kept = [PathBuf::from("kaniko")];
        let swap = Swap::new(Root::open(temp.path()).unwrap(), aside, &kept).unwrap();
        std::mem::forget(swap.enter(&tree).unwrap());
        // As SIGKILL does it: the lock goes, and nothing else.
        drop(killed);
        assert_eq!(names(temp.path()), ["kaniko", "stage"]);
        remove_stale(&path("kaniko"));
        assert_eq!(names(&path("kaniko")).len(), 1);
        recover_stale(&path("kaniko"), &root, &kept, &path("kaniko")).unwrap();
        assert_eq!(names(temp.path()), ["kaniko", "own"]);
        remove_stale(&path("kaniko"));
        assert!(names(&path("kaniko")).is_empty());
    }

    #[test]
    fn what_is_not_a_work_directory_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        std::fs::create_dir(path("precious")).unwrap();
        std::fs::write(path("precious/file"), "kept").unwrap();
        symlink(path("precious"), path("sawagani-linklinklink")).unwrap();
        std::fs::write(path("sawagani-filefilefile"), "kept").unwrap();
        // A lock that is a link is neither followed nor taken.
        std::fs::create_dir(path("sawagani-traptraptrap")).unwrap();
        symlink(path("precious/file"), path("sawagani-traptraptrap/lock")).unwrap();
        // Somebody else's directory: no lock, or not such a name.
        std::fs::create_dir(path("sawagani-foreignforei")).unwrap();
        std::fs::write(path("sawagani-foreignforei/file"), "kept").unwrap();
        std::fs::create_dir(path("sawagani-notes")).unwrap();
        std::fs::write(path("sawagani-notes/lock"), "kept").unwrap();
        let before = names(temp.path());
        remove_stale(temp.path());
        assert_eq!(names(temp.path()), before);
        for kept in [
            "precious/file",
            "sawagani-foreignforei/file",
            "sawagani-notes/lock",
        ] {
            assert_eq!(std::fs::read(path(kept)).unwrap(), b"kept");
        }
    }

    #[test]
    fn a_work_directory_is_private_and_its_name_new() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let first = WorkDir::create(temp.path()).unwrap();
        let second = WorkDir::create(temp.path()).unwrap();
        assert_ne!(first.name, second.name);
        let mode = std::fs::metadata(first.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}
