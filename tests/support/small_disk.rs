//! A file system that is soon full.

use super::test_dir::TestDir;
use super::tool::Tool;
use std::path::{Path, PathBuf};

/// A tmpfs of a few megabytes; dropping it unmounts it.
pub(crate) struct SmallDisk {
    dir: TestDir,
}

impl SmallDisk {
    pub(crate) fn of_megabytes(megabytes: u32) -> Self {
        let disk = Self {
            dir: TestDir::new(),
        };
        std::fs::create_dir(disk.path()).expect("make a mount point");
        Tool::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"])
            .arg(disk.path())
            .run();
        disk
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("disk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path: &Path = &self.path();
        // Lazily: a leaked process must fail the test by the leak check, not by a panic in here.
        let unmounted = Tool::new("umount").arg("--lazy").arg(path).output();
        if !unmounted.status.success() {
            eprintln!("cannot unmount {}", path.display());
        }
    }
}
