//! What is made once per machine and kept between runs: base images.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Returns `<cache>/<name>`, made by `make` (which is given an empty directory) unless an earlier run has made it.
///
/// The cache is `target/e2e-cache`, or what `SAWAGANI_TEST_CACHE` names. One process makes an entry at a time, and an
/// entry appears whole or not at all. `name` carries a version: change it with what `make` does.
pub(crate) fn entry(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = directory();
    let made = cache.join(name);
    let _lock = lock(&cache, name);
    if !made.exists() {
        let unfinished = cache.join(format!("{name}.unfinished"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).expect("remove what an interrupted run left");
        }
        fs::create_dir(&unfinished).expect("make a cache entry");
        make(&unfinished);
        fs::rename(&unfinished, &made).expect("put a cache entry in place");
    }
    made
}

/// Takes the machine-wide lock called `name`; it is released when the returned file is dropped or the process ends.
pub(crate) fn machine_lock(name: &str) -> File {
    lock(&directory(), name)
}

pub(super) fn directory() -> PathBuf {
    let cache = match std::env::var_os("SAWAGANI_TEST_CACHE") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("e2e-cache"),
    };
    fs::create_dir_all(&cache).expect("make the cache directory");
    cache
}

fn lock(cache: &Path, name: &str) -> File {
    let file = File::create(cache.join(format!("{name}.lock"))).expect("open a lock file");
    file.lock().expect("lock a cache entry");
    file
}
