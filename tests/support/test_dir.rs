//! A directory of one test's own, and the name by which everything that test left behind is found.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// Room that is left to others; a container has 64 MB there by default, and a registry with Debian needs 100.
const MEMORY_BYTES: u64 = 4 << 30;

/// A temporary directory that every user may enter, removed at the end of the test.
///
/// `SAWAGANI_TEST_KEEP=1` keeps it. It lies below `TMPDIR`, which must not be an overlay.
pub(crate) struct TestDir {
    dir: TempDir,
}

impl TestDir {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// A directory in memory, where the machine has enough of it: for servers that wait for the disk after every write.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new(MEMORY);
        let room = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
        if room < MEMORY_BYTES {
            return Self::new();
        }
        Self::below(memory)
    }

    fn below(parent: &Path) -> Self {
        let mut dir = tempfile::Builder::new()
            .prefix("sawagani-e2e-")
            .rand_bytes(12)
            .tempdir_in(parent)
            .expect("make a temporary directory");
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
            .expect("open the directory to all");
        dir.disable_cleanup(std::env::var_os("SAWAGANI_TEST_KEEP").is_some());
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory's own name: no other test, process or mount on the machine has it in its paths.
    pub(crate) fn token(&self) -> &str {
        self.dir
            .path()
            .file_name()
            .and_then(|name| name.to_str())
            .expect("an ASCII name")
    }
}
