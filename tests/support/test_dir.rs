//! A directory of one test's own, and the name by which everything that test left behind is found.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary directory that every user may enter, removed at the end of the test.
///
/// `SAWAGANI_TEST_KEEP=1` keeps it. It lies below `TMPDIR`, which must not be an overlay.
pub(crate) struct TestDir {
    dir: TempDir,
}

impl TestDir {
    pub(crate) fn new() -> Self {
        let mut dir = tempfile::Builder::new()
            .prefix("sawagani-e2e-")
            .rand_bytes(12)
            .tempdir()
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
