//! Programs where every user can reach them: a checkout may lie in a home that others cannot enter.

use super::tool::Tool;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Names a directory that goes with the run, on the disk of `TMPDIR`: see `.ci/run`.
const KEEP_VARIABLE: &str = "SAWAGANI_TEST_PROGRAMS";

/// Puts the program `built` at `path` for everybody to execute: by a link, as it may be large, and by a copy from another disk.
pub(crate) fn install(built: &Path, path: &Path) {
    let is_linked = fs::hard_link(built, path).is_ok()
        || kept_copy(built).is_some_and(|copy| fs::hard_link(copy, path).is_ok());
    if !is_linked {
        copy(built, path);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("let all run a program");
}

/// The copy that all tests of this run link to; `None` where nothing would remove it.
fn kept_copy(built: &Path) -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os(KEEP_VARIABLE)?);
    let metadata = fs::metadata(built).expect("stat a program");
    let kept = dir.join(format!(
        "{}-{}.{}",
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec()
    ));
    if !kept.exists() {
        fs::create_dir_all(&dir).expect("make a directory for programs");
        // Several processes may do so at once, and none may see an unfinished one.
        let unfinished = TempDir::new_in(&dir).expect("make a directory for a program");
        copy(built, &unfinished.path().join("program"));
        fs::rename(unfinished.path().join("program"), &kept).expect("put a program in place");
    }
    Some(kept)
}

/// By another program: a child that this process starts meanwhile would have the copy open for writing for a moment, and
/// what is open so cannot be executed.
fn copy(built: &Path, path: &Path) {
    Tool::new("cp").arg(built).arg(path).run();
}
