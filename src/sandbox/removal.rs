//! Removing a work directory fast: it holds whole images, and the job waits for the end.

use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::fs::{Dir, PathError, remove_tree};

/// Subtrees to hand out: enough for the threads to end at about the same time.
const PARTS_WANTED: usize = 64;
/// Levels that are opened to find that many; `l/0/usr/share` is the fourth.
const LEVELS: usize = 4;
/// More threads than this only wait for one another's journal.
const THREADS_MAX: usize = 8;

/// Removes `name` in `parent` and everything below it. Nothing there is success.
pub(super) fn remove_in_parallel(parent: &Dir, name: &OsStr) -> Result<(), PathError> {
    let parts = Mutex::new(parts_of(parent, name));
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 1..threads.min(THREADS_MAX) {
            // Without another thread it only takes longer.
            let _ = thread::Builder::new().spawn_scoped(scope, || remove_parts(&parts));
        }
        remove_parts(&parts);
    });
    // What a part failed at is met again here, and is the error.
    remove_tree(parent, name)
}

struct Part {
    dir: Arc<Dir>,
    name: OsString,
}

fn remove_parts(parts: &Mutex<Vec<Part>>) {
    let next = || parts.lock().ok()?.pop();
    while let Some(part) = next() {
        let _ = remove_tree(&part.dir, &part.name);
    }
}

/// Returns subtrees of `name` that can be removed independently. What cannot be opened is left out.
fn parts_of(parent: &Dir, name: &OsStr) -> Vec<Part> {
    let Ok(top) = parent.open_dir(name) else {
        return Vec::new();
    };
    let mut level = vec![Arc::new(top)];
    let mut parts = Vec::new();
    for _ in 0..LEVELS {
        parts = level.iter().flat_map(directories_in).collect();
        if parts.len() >= PARTS_WANTED {
            break;
        }
        level = parts
            .iter()
            .filter_map(|part: &Part| part.dir.open_dir(&part.name).ok().map(Arc::new))
            .collect();
    }
    parts
}

fn directories_in(dir: &Arc<Dir>) -> Vec<Part> {
    let is_dir =
        |name: &OsString| matches!(dir.metadata_of(name), Ok(Some(found)) if found.is_dir());
    let names = dir.names().unwrap_or_default();
    let part = |name| Part {
        dir: Arc::clone(dir),
        name,
    };
    names.into_iter().filter(is_dir).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_and_deep_tree_goes_whole() {
        let temp = tempfile::tempdir().unwrap();
        for top in 0..5 {
            for below in 0..20 {
                let dir = temp.path().join(format!("tree/l/{top}/{below}/a/b/c"));
                std::fs::create_dir_all(&dir).unwrap();
                std::fs::write(dir.join("file"), "").unwrap();
            }
        }
        let parent = Dir::open(temp.path()).unwrap();
        remove_in_parallel(&parent, OsStr::new("tree")).unwrap();
        remove_in_parallel(&parent, OsStr::new("tree")).unwrap();
        assert!(parent.names().unwrap().is_empty());
    }
}
