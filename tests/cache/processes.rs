//! Processes that use one directory, race, and are killed.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use sawagani::cache::local_cache::{HeldBlob, ImageDocument, PruneRules};
use sawagani::cache::{CacheEntry, LocalCache, Lookup, Miss};
use sawagani::image::{
    Descriptor, Digest, ImageConfig, ImageFormat, LayerCompression, Manifest, MediaType, Platform,
};

use super::steps::{gzip_entry, looks};

/// Whom root becomes to be nobody special.
const NOBODY: u32 = 65534;

/// Names the directory that a process which this test starts works on.
const DIR: &str = "SAWAGANI_TEST_CACHE_DIR";
/// What it writes differs by this.
const SEED: &str = "SAWAGANI_TEST_SEED";
/// Steps that the processes store and look for.
const STEPS: u64 = 12;
/// Bytes of the largest layer: some take long enough to be killed in.
const LAYER_BYTES: u64 = 3_000_000;

/// The layer of a step: many blocks, all different, the same in every process.
fn content(step: u64) -> Vec<u8> {
    let size = (step + 1) * LAYER_BYTES / STEPS;
    let mut state = step + 1;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..size).map(next).collect()
}

fn step_entry(step: u64) -> CacheEntry {
    let content = content(step);
    let media_type = MediaType::layer(ImageFormat::Oci, LayerCompression::Gzip);
    CacheEntry {
        layer: Descriptor::of(media_type, &content),
        ..gzip_entry(&format!("step {step}"))
    }
}

/// Looks for a step, checks what is found, and stores it if there is nothing. What is there is always whole.
fn use_step(cache: &LocalCache, step: u64) {
    let entry = step_entry(step);
    match cache.look_up(&entry.keys[0]) {
        Lookup::Hit((found, held)) => {
            assert_eq!(found, entry);
            held.check().expect("what is found is whole");
        }
        Lookup::Miss(miss) => {
            assert_eq!(miss, Miss::Absent);
            let held = write_layer(cache, step);
            // A build has other things to do before its layer gets a name.
            std::thread::sleep(Duration::from_millis(step));
            cache
                .store(&entry, &looks(ImageFormat::Oci), &held)
                .unwrap();
        }
    }
}

fn write_layer(cache: &LocalCache, step: u64) -> HeldBlob {
    let layer = content(step);
    let mut blob = cache.write_blob(&Digest::of(&layer)).unwrap();
    for piece in layer.chunks(10_000) {
        blob.write_all(piece).unwrap();
    }
    blob.commit().unwrap()
}

/// Does the same with a base image of two layers.
fn use_image(cache: &LocalCache, number: u64) {
    let layers = [number, (number + 1) % STEPS];
    let layers = layers.map(|step| (step, step_entry(step)));
    let mut config = ImageConfig::scratch(&amd64());
    config.rootfs.diff_ids = layers
        .iter()
        .map(|(_, entry)| entry.diff_id.clone())
        .collect();
    let config = config.to_json().unwrap();
    let described = Descriptor::of(MediaType::Config(ImageFormat::Oci), &config);
    let descriptors = layers.each_ref().map(|(_, entry)| entry.layer.clone());
    let manifest = Manifest::new(ImageFormat::Oci, &described, &descriptors);
    let bytes = manifest.to_json().unwrap();
    let document = ImageDocument {
        descriptor: Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &bytes),
        bytes,
    };
    match cache.find_image(&document.descriptor.digest, &amd64()) {
        Lookup::Hit(found) => {
            assert_eq!(found.manifest, manifest);
            for layer in found.layers.iter().flatten() {
                layer.check().expect("what is found is whole");
            }
        }
        Lookup::Miss(miss) => {
            assert_eq!(miss, Miss::Absent);
            let held = layers.map(|(step, entry)| match cache.hold(&entry.layer) {
                Ok(held) => held,
                Err(_) => write_layer(cache, step),
            });
            cache.store_image(&document, &config, &held).unwrap();
        }
    }
}

fn amd64() -> Platform {
    Platform::new("linux", "amd64")
}

/// Not a test of its own: what the racing processes do, for ever.
#[test]
#[ignore = "started by the tests of races"]
fn child_that_uses_a_cache_directory() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let mut state: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    loop {
        // As each build does: this is what removes the rests of dead ones.
        let cache = LocalCache::open(Path::new(&dir), Timestamp::UNIX_EPOCH).unwrap();
        for _ in 0..3 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let number = (state >> 33) % STEPS;
            match (state >> 40) % 3 {
                0 => use_image(&cache, number),
                _ => use_step(&cache, number),
            }
        }
        let rules = PruneRules {
            unused_since: None,
            keep_size: Some(LAYER_BYTES * ((state >> 50) % (STEPS / 2))),
        };
        cache.prune(&rules).unwrap();
    }
}

/// Not a test of its own: what a process may do that can write nothing.
#[test]
#[ignore = "started by the test of a directory that is only read"]
fn child_that_may_only_read() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let cache = LocalCache::open(Path::new(&dir), Timestamp::UNIX_EPOCH).unwrap();
    assert!(!cache.is_writable());
    let (_, held) = cache.look_up(&step_entry(0).keys[0]).hit().unwrap();
    held.check().unwrap();
    assert!(cache.write_blob(held.digest()).is_err());
    assert!(cache.prune(&PruneRules::default()).is_err());
    assert_eq!(cache.verify(false).unwrap(), []);
    assert_eq!(cache.list().unwrap().len(), 1);
}

#[test]
fn a_directory_of_somebody_else_is_only_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    use_step(&LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap(), 0);
    let readable = |path: &Path| {
        let changed = Command::new("chmod")
            .args(["-R", "a-w,a+rX"])
            .arg(path)
            .status();
        assert!(changed.unwrap().success());
    };
    readable(temp.path());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--ignored",
            "--exact",
            "processes::child_that_may_only_read",
        ])
        .env(DIR, &dir);
    if rustix::process::geteuid().is_root() {
        child.uid(NOBODY).gid(NOBODY);
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    let changed = Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(temp.path())
        .status();
    assert!(changed.unwrap().success());
}

/// A process that works on the directory; killed when dropped.
struct Racer(Child);

impl Racer {
    fn start(dir: &Path, seed: u64) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "processes::child_that_uses_a_cache_directory",
            ])
            .env(DIR, dir)
            .env(SEED, seed.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Ends it with SIGKILL, wherever it is.
    fn kill(mut self) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_that_race_and_are_killed_leave_a_clean_cache() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let cache = LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    for round in 0..20 {
        let racers: Vec<Racer> = (0..3)
            .map(|seed| Racer::start(&dir, round * 10 + seed))
            .collect();
        // Different moments of their work.
        std::thread::sleep(Duration::from_millis(60 + round * 37));
        assert_eq!(
            cache.verify(false).unwrap(),
            [],
            "round {round}, while they run"
        );
        racers.into_iter().for_each(Racer::kill);
        assert_eq!(cache.verify(false).unwrap(), [], "round {round}");
    }
    for step in 0..STEPS {
        use_step(&cache, step);
    }
    let unfinished = || std::fs::read_dir(dir.join("tmp")).unwrap().count();
    LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(unfinished(), 0);
    cache.prune(&PruneRules::default()).unwrap();
    assert_eq!(cache.disk_use().unwrap().unused, 0);
    assert_eq!(cache.verify(false).unwrap(), []);
    for step in 0..STEPS {
        assert!(cache.look_up(&step_entry(step).keys[0]).is_hit(), "{step}");
    }
}

#[test]
fn a_process_killed_in_the_middle_of_a_blob_leaves_only_what_the_next_removes() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    let unfinished = || std::fs::read_dir(dir.join("tmp")).unwrap().count();
    let mut seed = 0;
    while unfinished() == 0 {
        let racer = Racer::start(&dir, seed);
        std::thread::sleep(Duration::from_millis(100 + seed * 7 % 50));
        racer.kill();
        seed += 1;
        assert!(seed < 200, "no process was ever killed while it wrote");
    }
    let cache = LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(unfinished(), 0);
    assert_eq!(cache.verify(false).unwrap(), []);
}
