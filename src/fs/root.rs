//! A directory that paths from outside cannot leave.
//!
//! A path is read as a process with this root directory would read it: absolute or relative, `..`
//! stops at the root, and symbolic links, absolute ones too, resolve inside.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Dir, Ledger, Metadata, PathError};

/// Symbolic links that one path may pass before it counts as a loop, as in Linux (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;

/// The root of a file tree.
#[derive(Debug)]
pub struct Root {
    dir: Dir,
}

impl Root {
    /// Opens the directory at `path`, a path of ours or of the user, as a root.
    pub fn open(path: &Path) -> Result<Self, PathError> {
        Ok(Self {
            dir: Dir::open(path)?,
        })
    }

    /// Makes an open directory the root of what lies below it.
    pub fn from_dir(dir: Dir) -> Self {
        Self { dir }
    }

    /// Reads and writes the tree through `ledger` from now on: see [`Dir::with_ledger`].
    pub fn with_ledger(self, ledger: Arc<Ledger>) -> Self {
        Self {
            dir: self.dir.with_ledger(ledger),
        }
    }

    /// Returns the root directory itself.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Returns the path of the root, for messages.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns where `path` is for somebody outside of the root, for messages only.
    pub fn outside_path(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").unwrap_or(path);
        self.dir.path().join(inside)
    }

    /// Opens the directory at `path`, following links inside the root.
    pub fn open_dir(&self, path: &Path) -> Result<Dir, PathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = self
            .openat(path, flags)
            .map_err(|errno| self.error("open directory", path, errno))?;
        Ok(self.dir.in_same_tree(fd, self.outside_path(path)))
    }

    /// Opens the directory at `path` provided that no symbolic link is on the way. `None` where there
    /// is one, or where something is missing or not a directory.
    pub fn open_real_dir(&self, path: &Path) -> Result<Option<Dir>, PathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        match self.openat2(path, flags, resolve) {
            Ok(fd) => Ok(Some(self.dir.in_same_tree(fd, self.outside_path(path)))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(self.error("open directory", path, errno)),
        }
    }

    /// Opens the regular file at `path` for reading, following links inside the root. Anything else
    /// is an error and is never opened.
    pub fn open_file(&self, path: &Path) -> Result<File, PathError> {
        let handle = self
            .openat(path, OFlags::PATH | OFlags::CLOEXEC)
            .map_err(|errno| self.error("open", path, errno))?;
        self.dir
            .open_regular(handle.as_fd(), &self.outside_path(path))
    }

    /// Returns the metadata of what `path` leads to, following links inside the root; `None` where
    /// nothing is there.
    pub fn metadata(&self, path: &Path) -> Result<Option<Metadata>, PathError> {
        self.stat(path, OFlags::PATH | OFlags::CLOEXEC)
    }

    /// Returns the metadata of `path`, whose last component is not followed; `None` where nothing
    /// is there.
    pub fn symlink_metadata(&self, path: &Path) -> Result<Option<Metadata>, PathError> {
        self.stat(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
    }

    /// Opens the directory that holds `path` and returns it with the last name, which is not
    /// followed and need not exist. A path that ends at the root itself is an error.
    pub fn open_parent(&self, path: &Path) -> Result<(Dir, OsString), PathError> {
        let Some(name) = path.file_name() else {
            return Err(self.error("open", path, Errno::INVAL));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.open_dir(parent)?, name.to_os_string()))
    }

    /// Returns the path, relative to the root, that `path` leads to when every symbolic link on the
    /// way is followed. Components that do not exist are kept as they are; empty for the root.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, PathError> {
        let mut pending: VecDeque<OsString> = names(path);
        let mut resolved = PathBuf::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                resolved.pop();
                continue;
            }
            let Some(target) = self.link_target(&resolved, &name)? else {
                resolved.push(&name);
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(self.error("follow links of", path, Errno::LOOP));
            }
            let target = PathBuf::from(target);
            if target.is_absolute() {
                resolved.clear();
            }
            for name in names(&target).into_iter().rev() {
                pending.push_front(name);
            }
        }
        Ok(resolved)
    }

    /// Returns the text of the symbolic link `name` in `parent`; `None` where there is no link.
    fn link_target(&self, parent: &Path, name: &OsStr) -> Result<Option<OsString>, PathError> {
        let dir = match self.open_dir(parent) {
            Ok(dir) => dir,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match dir.metadata_of(name)? {
            Some(metadata) if metadata.is_symlink() => dir.read_link(name).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    fn stat(&self, path: &Path, flags: OFlags) -> Result<Option<Metadata>, PathError> {
        match self.openat(path, flags) {
            Ok(fd) => match self.dir.look_at(fd.as_fd()) {
                Ok(metadata) => Ok(Some(metadata)),
                Err(errno) => Err(self.error("stat", path, errno)),
            },
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(self.error("stat", path, errno)),
        }
    }

    fn openat(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        self.openat2(path, flags, resolve)
    }

    fn openat2(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        loop {
            match rustix::fs::openat2(self.dir.as_fd(), path, flags, Mode::empty(), resolve) {
                // The kernel gives up when anything is renamed or mounted meanwhile (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn error(&self, action: &'static str, path: &Path, errno: Errno) -> PathError {
        PathError::new(action, self.outside_path(path), errno)
    }
}

/// Says whether a path is not there, or leads through something that is not a directory.
fn is_absent(error: &PathError) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Returns the components of `path` in order, `..` included, `.` and slashes left out.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_os_string()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, Root) {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("usr/lib")).unwrap();
        symlink("usr/lib", temp.path().join("lib")).unwrap();
        symlink("/usr", temp.path().join("absolute")).unwrap();
        symlink("../../../..", temp.path().join("usr/up")).unwrap();
        symlink("loop", temp.path().join("loop")).unwrap();
        std::fs::write(temp.path().join("usr/lib/file"), "inside").unwrap();
        let root = Root::open(temp.path()).unwrap();
        (temp, root)
    }

    #[test]
    fn links_resolve_inside_the_root() {
        let (_temp, root) = tree();
        let cases = [
            ("/lib/file", "usr/lib/file"),
            ("absolute/lib/../lib/file", "usr/lib/file"),
            ("usr/up/usr/up/lib/new/name", "usr/lib/new/name"),
            ("../../etc/passwd", "etc/passwd"),
            ("/", ""),
            (".", ""),
        ];
        for (path, expected) in cases {
            let resolved = root.resolve(Path::new(path)).unwrap();
            assert_eq!(resolved, Path::new(expected), "{path}");
        }
        assert!(root.resolve(Path::new("loop/x")).is_err());
    }

    #[test]
    fn a_path_that_climbs_out_opens_nothing_outside() {
        let (temp, root) = tree();
        let outside = temp.path().parent().unwrap().join("sawagani-outside");
        std::fs::write(&outside, "outside").unwrap();
        let climbs = [
            "../sawagani-outside",
            "usr/up/sawagani-outside",
            outside.to_str().unwrap(),
        ];
        for path in climbs {
            assert!(root.open_file(Path::new(path)).is_err(), "{path}");
            assert_eq!(root.metadata(Path::new(path)).unwrap(), None, "{path}");
        }
        std::fs::remove_file(&outside).unwrap();
    }

    #[test]
    fn a_real_directory_is_reached_without_links_only() {
        let (_temp, root) = tree();
        assert!(root.open_real_dir(Path::new("usr/lib")).unwrap().is_some());
        assert!(root.open_real_dir(Path::new("")).unwrap().is_some());
        for path in [
            "lib",
            "absolute/lib",
            "usr/none",
            "usr/lib/file",
            "usr/lib/file/x",
        ] {
            assert!(
                root.open_real_dir(Path::new(path)).unwrap().is_none(),
                "{path}"
            );
        }
    }

    #[test]
    fn a_named_pipe_is_refused_and_not_opened() {
        let (_temp, root) = tree();
        let name = OsStr::new("pipe");
        let dir = root.dir();
        dir.create_node(name, crate::fs::FileKind::Fifo, 0o644)
            .unwrap();
        assert!(dir.open_file(name).is_err());
        assert!(root.open_file(Path::new("pipe")).is_err());
    }

    #[test]
    fn names_with_slashes_or_dots_are_refused() {
        let (_temp, root) = tree();
        for name in ["", ".", "..", "a/b", "/etc"] {
            let name = OsStr::new(name);
            assert!(root.dir().metadata_of(name).is_err(), "{name:?}");
            assert!(root.dir().create_dir(name, 0o755).is_err(), "{name:?}");
        }
    }
}
