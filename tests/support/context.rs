//! A build context written for one test: its files, links and modes do not depend on the machine's umask or clock.

use super::test_dir::TestDir;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::rc::Rc;

/// When everything in a context was last changed, unless a test says otherwise: 2020-09-13T12:26:40Z.
pub(crate) const MTIME: i64 = 1_600_000_000;

/// A context directory; files are 0644 and directories 0755 unless a test says otherwise.
pub(crate) struct Context {
    /// Shared with the executors that read it: a test need not keep what it has passed on.
    dir: Rc<TestDir>,
}

impl Context {
    /// A context that holds nothing but a Dockerfile.
    pub(crate) fn new(dockerfile: impl AsRef<str>) -> Self {
        Self::without_dockerfile().file("Dockerfile", dockerfile.as_ref())
    }

    pub(crate) fn without_dockerfile() -> Self {
        Self {
            dir: Rc::new(TestDir::new()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The directory, for as long as the returned value lives.
    pub(crate) fn keep(&self) -> Rc<TestDir> {
        Rc::clone(&self.dir)
    }

    pub(crate) fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.make_parents(path);
        fs::write(self.dir.join(path), contents).expect("write a context file");
        self.mode(path, 0o644)
    }

    /// A file of `size` bytes that takes no space.
    pub(crate) fn sparse_file(self, path: &str, size: u64) -> Self {
        self.make_parents(path);
        File::create(self.dir.join(path))
            .and_then(|file| file.set_len(size))
            .expect("make a sparse file");
        self.mode(path, 0o644)
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.make_parents(&format!("{path}/"));
        self.added(path)
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.make_parents(path);
        symlink(target, self.dir.join(path)).expect("make a symlink");
        self.added(path)
    }

    pub(crate) fn hard_link(self, path: &str, existing: &str) -> Self {
        self.make_parents(path);
        fs::hard_link(self.dir.join(existing), self.dir.join(path)).expect("make a hard link");
        self.added(path)
    }

    pub(crate) fn mode(self, path: &str, mode: u32) -> Self {
        fs::set_permissions(self.dir.join(path), Permissions::from_mode(mode)).expect("set a mode");
        self.added(path)
    }

    /// Sets the time of last change, in seconds; of the link itself for a symlink. A directory's comes after its
    /// entries, as each new entry sets it back.
    pub(crate) fn mtime(self, path: &str, seconds: i64) -> Self {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        utimensat(CWD, self.dir.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).expect("set a time");
        self
    }

    /// Every directory before the last slash.
    fn make_parents(&self, path: &str) {
        for parent in parents(path) {
            let directory = self.dir.join(parent);
            if !directory.exists() {
                fs::create_dir(&directory).expect("make a context directory");
                fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("set a mode");
            }
        }
    }

    /// Gives a new entry, and every directory that it changed, the time of the context.
    fn added(self, path: &str) -> Self {
        let changed: Vec<&str> = parents(path).collect();
        changed.into_iter().fold(
            self.mtime(path, MTIME).mtime("", MTIME),
            |context, parent| context.mtime(parent, MTIME),
        )
    }
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/')
        .map(|(end, _)| &path[..end])
        .filter(|parent| !parent.is_empty())
}
