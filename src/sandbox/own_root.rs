//! The root directory of the container that the builder runs in, and whether it may be exchanged
//! for a stage's while a command runs: mode `inplace`.
//!
//! Nothing is guessed. It is either the executor's own image, which says so and in which nearly
//! nothing else is, or the user allows it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
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

/// What the executor's own image has in its root directory, what container runtimes put there, and
/// what jobs do. An image of a distribution has more: `usr`, `lib`, `sbin`.
const KNOWN: [&str; 15] = [
    ".dockerenv",
    "bin",
    "builds",
    "busybox",
    "cache",
    "dev",
    "etc",
    "home",
    "kaniko",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "var",
];
/// The working directory of the executor's own image.
const WORKSPACE: &str = "workspace";

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
    let names = Dir::open(Path::new("/"))?.names()?;
    match unknown_name(&names, tool_dir, kept, mounts) {
        None => Ok(()),
        Some(name) => Err(Failure::with_detail(
            format!("look at /{}", name.to_string_lossy()),
            "not of the executor's own image",
        )),
    }
}

/// Returns the first of the root directory's `names` that neither the executor's own image has nor
/// a mount explains.
fn unknown_name<'a>(
    names: &'a [OsString],
    tool_dir: &Path,
    kept: &[PathBuf],
    mounts: &[Mount],
) -> Option<&'a OsString> {
    let points = mounts.iter().map(|mount| mount.point.as_path());
    let explained: BTreeSet<&OsStr> = points
        .chain([tool_dir])
        .chain(kept.iter().map(PathBuf::as_path))
        .filter_map(first_name)
        .chain(KNOWN.iter().map(OsStr::new))
        .chain([OsStr::new(WORKSPACE)])
        .collect();
    names
        .iter()
        .find(|name| !explained.contains(name.as_os_str()))
}

fn first_name(path: &Path) -> Option<&OsStr> {
    path.components().find_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
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

    fn names(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    #[test]
    fn an_image_of_a_distribution_is_told_from_ours() {
        let tool = Path::new("/kaniko");
        let mounts = [mount("/"), mount("/data/work"), mount("/proc")];
        let ours = names(&[
            ".dockerenv",
            "busybox",
            "data",
            "etc",
            "kaniko",
            "workspace",
        ]);
        assert_eq!(unknown_name(&ours, tool, &[], &mounts), None);
        let theirs = names(&["bin", "etc", "kaniko", "lib", "usr"]);
        assert_eq!(
            unknown_name(&theirs, tool, &[], &mounts),
            Some(&OsString::from("lib"))
        );
        let moved = names(&["etc", "opt"]);
        let tool = Path::new("/opt/tool");
        assert_eq!(unknown_name(&moved, tool, &[], &mounts), None);
        let cached = names(&["etc", "opt", "store"]);
        assert!(unknown_name(&cached, tool, &[], &mounts).is_some());
        let kept = [PathBuf::from("/store/cache")];
        assert_eq!(unknown_name(&cached, tool, &kept, &mounts), None);
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
