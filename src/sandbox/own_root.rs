//! The root directory of the container that the builder runs in, and whether it may be exchanged
//! for a stage's while a command runs: mode `inplace`.
//!
//! Two signs are looked at: the executor's own image says what it is, and has nothing that images of
//! distributions have. Everywhere else the user has to allow it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use crate::fs::{Dir, PathContext, PathError};
use crate::sys::Errno;

use super::failure::Failure;
use super::mountinfo::Mount;

/// A file in the tool's directory that the executor's own image has, and no other should.
pub(super) const MARKER: &str = ".sawagani-image";

/// What images of distributions have, relative to the root directory. Ours has none of it, and jobs make none: what they
/// make, such as `/out` or `/usr/local/bin`, is moved aside as all else.
const OF_DISTRIBUTIONS: [&str; 5] = ["boot", "lib", "sbin", "usr/bin", "usr/lib"];

/// Fails unless this is the executor's own image, whose directory of the tool is `tool_dir`. `kept` are directories
/// that a job asked for.
pub(super) fn check_own_image(
    tool_dir: &Path,
    kept: &[PathBuf],
    mounts: &[Mount],
) -> Result<(), Failure> {
    let marker = tool_dir.join(MARKER);
    std::fs::symlink_metadata(&marker)
        .map_err(|error| Failure::from_io(format!("find {}", marker.display()), &error))?;
    let kept = kept_paths(tool_dir, mounts, kept.iter().cloned());
    match foreign_path(Path::new("/"), &kept) {
        None => Ok(()),
        Some(path) => Err(Failure::with_detail(
            format!("look at /{path}"),
            "not of the executor's own image",
        )),
    }
}

/// Returns what `root` has of a distribution's image, unless it is there for something in `kept`, paths relative to it.
fn foreign_path(root: &Path, kept: &[PathBuf]) -> Option<&'static str> {
    OF_DISTRIBUTIONS.into_iter().find(|path| {
        let is_there = std::fs::symlink_metadata(root.join(path)).is_ok();
        is_there && !kept.iter().any(|kept| kept.starts_with(path))
    })
}

/// Returns the paths, relative to the root directory, that stay where they are while a stage's
/// files are in it: everything mounted, the tool's directory, and `others`, which are absolute.
pub(super) fn kept_paths(
    tool_dir: &Path,
    mounts: &[Mount],
    others: impl IntoIterator<Item = PathBuf>,
) -> Vec<PathBuf> {
    let points = mounts.iter().map(|mount| mount.point.clone());
    let all = points.chain([tool_dir.to_path_buf()]).chain(others);
    let kept: BTreeSet<PathBuf> = all
        .map(|path| relative(&path))
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    kept.into_iter().collect()
}

/// Returns `path` from the root directory on, without `.` and `..`.
pub(super) fn relative(path: &Path) -> PathBuf {
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::ParentDir => {
                relative.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    relative
}

/// Held by the one build whose stages may be in the root directory, and by the first processes of its
/// commands: it is free when all of them have ended.
#[derive(Debug)]
pub struct RootLock {
    file: File,
}

impl AsFd for RootLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl RootLock {
    /// Waits for its turn.
    pub(super) fn take() -> Result<Self, PathError> {
        // The directory itself: entries come and go, and a name would have to be kept out of stages.
        let file = File::open("/").on("open directory", "/")?;
        if file.try_lock().is_err() {
            tracing::warn!("waiting for another build in this container");
            file.lock().on("lock", "/")?;
        }
        Ok(Self { file })
    }
}

/// A link in the tool's directory to where the work directory of a build in `inplace` lies, for whoever
/// comes after a build that was killed and knows nothing of its options.
const PARENT: &str = ".sawagani-work";

/// Notes the directory in which a work directory lies. Where there is no directory of the tool, nothing.
pub(super) fn note_parent(tool_dir: &Path, work_dir: &Path) -> Result<(), PathError> {
    let (Some(dir), Some(parent)) = (open_tool_dir(tool_dir)?, work_dir.parent()) else {
        return Ok(());
    };
    forget_parent(tool_dir)?;
    let before = dir.metadata()?.mtime;
    dir.create_symlink(parent.as_os_str(), OsStr::new(PARENT))?;
    dir.set_own_mtime(before)
}

/// Returns what [`note_parent`] noted.
pub(super) fn noted_parent(tool_dir: &Path) -> Option<PathBuf> {
    let dir = open_tool_dir(tool_dir).ok()??;
    dir.read_link(OsStr::new(PARENT)).ok().map(PathBuf::from)
}

/// Removes the note.
pub(super) fn forget_parent(tool_dir: &Path) -> Result<(), PathError> {
    let name = OsStr::new(PARENT);
    match open_tool_dir(tool_dir)? {
        Some(dir) if dir.metadata_of(name)?.is_some() => {
            let before = dir.metadata()?.mtime;
            dir.remove_file(name)?;
            dir.set_own_mtime(before)
        }
        Some(_) | None => Ok(()),
    }
}

fn open_tool_dir(tool_dir: &Path) -> Result<Option<Dir>, PathError> {
    match Dir::open(tool_dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

const PROBE: &str = "probe";

/// Moves a directory from `work` into `root` and back, as every switch of stages does. Fails where
/// they are not on the same mount, and where the root directory cannot be written to.
pub(super) fn try_exchange(root: &Dir, work: &Dir) -> Result<(), Failure> {
    let before = root.metadata()?;
    let name = OsStr::new(PROBE);
    // A name that is nobody's, as the work directory's own is.
    let unique = work.path().file_name().unwrap_or(name);
    if root.metadata_of(unique)?.is_some() {
        return Err(Failure::new("rename to /", Errno::EXIST));
    }
    work.create_dir(name, 0o700)?;
    let outcome = work
        .rename(name, root, unique)
        .map_err(|error| Failure::from_io("rename to /", &error.source));
    if outcome.is_ok() {
        root.rename(unique, work, name)?;
        // Nobody shall see that something was there for a moment.
        root.set_own_mtime(before.mtime)?;
    }
    let removed: Result<(), PathError> = work.remove_dir(name);
    outcome?;
    Ok(removed?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(point: &str) -> Mount {
        Mount {
            point: PathBuf::from(point),
            kind: "ext4".to_owned(),
            is_writable: true,
        }
    }

    #[test]
    fn an_image_of_a_distribution_is_told_from_ours() {
        let temp = tempfile::tempdir().unwrap();
        let make = |path| std::fs::create_dir_all(temp.path().join(path)).unwrap();
        let found = |kept: &[&str]| {
            let kept: Vec<PathBuf> = kept.iter().map(PathBuf::from).collect();
            foreign_path(temp.path(), &kept)
        };
        // What the image has, and what jobs make.
        for path in ["bin", "busybox", "etc", "kaniko", "out", "usr/local/bin"] {
            make(path);
        }
        assert_eq!(found(&[]), None);
        make("usr/lib/x");
        assert_eq!(found(&[]), Some("usr/lib"));
        assert_eq!(found(&["usr/lib/x"]), None);
        make("lib");
        assert_eq!(found(&["usr/lib/x", "usr"]), Some("lib"));
    }

    #[test]
    fn what_stays_is_named_from_the_root_on() {
        let mounts = [mount("/"), mount("/etc/hosts")];
        let others = [PathBuf::from("/var/../tmp/./x/"), PathBuf::from("/")];
        let kept = kept_paths(Path::new("/kaniko"), &mounts, others);
        let expected = ["etc/hosts", "kaniko", "tmp/x"].map(PathBuf::from);
        assert_eq!(kept, expected);
    }

    #[test]
    fn an_exchange_that_was_tried_leaves_no_trace() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        root.create_dir(OsStr::new("work"), 0o700).unwrap();
        let work = root.open_dir(OsStr::new("work")).unwrap();
        // The name of the work directory is taken in the root directory here.
        let outcome = try_exchange(&root, &work);
        assert_eq!(outcome, Err(Failure::new("rename to /", Errno::EXIST)));
        work.create_dir(OsStr::new("inner"), 0o700).unwrap();
        let inner = work.open_dir(OsStr::new("inner")).unwrap();
        let before = root.metadata().unwrap().mtime;
        assert_eq!(try_exchange(&root, &inner), Ok(()));
        assert_eq!(root.metadata().unwrap().mtime, before);
        assert!(inner.names().unwrap().is_empty());
        assert_eq!(root.names().unwrap(), ["work"]);
        let elsewhere = Dir::open(Path::new("/dev/shm")).unwrap();
        let failure = try_exchange(&elsewhere, &inner).unwrap_err();
        assert_eq!(failure.to_string(), "rename to /: EXDEV");
    }
}
