//! Listing, measuring, pruning and verifying.

use std::time::{Duration, SystemTime};

use super::*;
use crate::cache::local_cache::{DiskUse, ListedKind, PruneRules};

/// Makes a name look as if it was of use so many hours ago.
fn age(site: &Site, kind: NameKind, name: &str, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    let path = site.cache.name_path(kind, name);
    let file = File::options().write(true).open(path).unwrap();
    let times = fs::FileTimes::new().set_accessed(then).set_modified(then);
    file.set_times(times).unwrap();
}

/// Stores a step under one key, of use so many hours ago.
fn store_aged(site: &Site, name: &str, text: &str, hours: u64) {
    let held = site.add(text);
    let mut entry = entry(name, text);
    entry.keys.truncate(1);
    site.cache.store(&entry, &looks(), &held).unwrap();
    age(site, NameKind::Layer, key(name).as_str(), hours);
}

fn hours_ago(hours: u64) -> Timestamp {
    Timestamp::try_from(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap()
}

#[test]
fn names_are_listed_with_the_size_of_what_they_lead_to() {
    let site = Site::new();
    let image = site.store_image(&["one", "two"]);
    store_aged(&site, "a", "layer", 5);
    let listed = site.cache.list().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (listed[0].kind, &*listed[0].name),
        (ListedKind::Layer, key("a").as_str())
    );
    assert!(listed[0].used < hours_ago(4));
    assert_eq!(listed[1].kind, ListedKind::Image);
    let documents = image.document.bytes.len() + image.config.len();
    assert_eq!(listed[1].size, (documents + "onetwo".len()) as u64);
    let used = site.cache.disk_use().unwrap();
    let expected = DiskUse {
        layers: listed[0].size,
        images: listed[1].size,
        mounts: 0,
        trees: 0,
        unused: 0,
    };
    assert_eq!(used, expected);
}

#[test]
fn what_was_not_of_use_for_long_goes_and_what_others_need_stays() {
    let site = Site::new();
    store_aged(&site, "old", "shared", 50);
    store_aged(&site, "old alone", "alone", 50);
    store_aged(&site, "new", "shared", 1);
    let rules = PruneRules {
        unused_since: Some(hours_ago(10)),
        keep_size: None,
    };
    let pruned = site.cache.prune(&rules).unwrap();
    assert_eq!((pruned.removed.len(), pruned.in_use), (2, 0));
    assert!(pruned.freed > "alone".len() as u64);
    assert!(site.find("new").is_hit());
    assert!(!site.find("old").is_hit() && !site.find("old alone").is_hit());
    assert!(!site.cache.blob_path(&layer("alone").digest).exists());
    assert!(!site.cache.stamp_path(&layer("alone").digest).exists());
    assert_eq!(site.cache.verify(false).unwrap(), []);
}

#[test]
fn a_lookup_counts_as_use_and_a_listing_does_not() {
    let site = Site::new();
    store_aged(&site, "a", "layer a", 50);
    store_aged(&site, "b", "layer b", 50);
    assert!(site.find("a").is_hit());
    site.cache.list().unwrap();
    site.cache.verify(false).unwrap();
    let rules = PruneRules {
        unused_since: Some(hours_ago(10)),
        keep_size: None,
    };
    site.cache.prune(&rules).unwrap();
    assert!(site.find("a").is_hit());
    assert!(!site.find("b").is_hit());
}

#[test]
fn the_oldest_go_until_the_rest_fits() {
    let site = Site::new();
    for (name, hours) in [("a", 4), ("b", 3), ("c", 2), ("d", 1)] {
        store_aged(&site, name, &name.repeat(100_000), hours);
    }
    let rules = PruneRules {
        unused_since: None,
        keep_size: Some(250_000),
    };
    let pruned = site.cache.prune(&rules).unwrap();
    let names: Vec<&str> = pruned.removed.iter().map(|listed| &*listed.name).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&key("a").as_str()) && names.contains(&key("b").as_str()));
    let used = site.cache.disk_use().unwrap();
    assert!(used.layers <= 250_000 && used.unused == 0, "{used:?}");
    assert!(site.find("c").is_hit() && site.find("d").is_hit());
}

#[test]
fn what_a_build_holds_survives_a_pruning() {
    let site = Site::new();
    site.store("a", "layer");
    let (_, held) = site.find("a").hit().unwrap();
    let about_to_be_named = site.add("new layer");
    let rules = PruneRules {
        unused_since: Some(hours_ago(0)),
        keep_size: Some(0),
    };
    let pruned = site.again().prune(&rules).unwrap();
    assert_eq!((pruned.removed.len(), pruned.in_use), (2, 2));
    assert_eq!(text_of(&held), "layer");
    assert!(held.path().unwrap().exists());
    let new = entry("new", "new layer");
    site.cache
        .store(&new, &looks(), &about_to_be_named)
        .unwrap();
    drop((held, about_to_be_named));
    assert!(site.find("new").is_hit());
    let pruned = site.cache.prune(&PruneRules::default()).unwrap();
    assert_eq!(
        (pruned.removed.len(), pruned.freed),
        (0, "layer".len() as u64)
    );
    assert!(site.find("new").is_hit());
}

#[test]
fn damage_is_found_told_and_repaired() {
    let site = Site::new();
    site.store("a", "layer a");
    site.store("b", "layer b");
    let image = site.store_image(&["one"]);
    damage(&site.cache.blob_path(&layer("layer a").digest));
    fs::remove_file(site.cache.blob_path(&layer("one").digest)).unwrap();
    let digest = &image.document.descriptor.digest;
    let problems = site.cache.verify(false).unwrap();
    let has = |path: PathBuf| problems.iter().any(|problem| problem.path == path);
    assert!(has(site.cache.blob_path(&layer("layer a").digest)));
    assert!(has(site.cache.name_path(NameKind::Image, digest.hex())));
    assert_eq!(problems.len(), 2, "{problems:?}");
    // The names of the damaged layer lead nowhere once it is removed.
    assert_eq!(site.cache.verify(true).unwrap().len(), 4);
    assert_eq!(site.cache.verify(false).unwrap(), []);
    assert!(site.find("b").is_hit());
    assert!(matches!(site.find("a"), Lookup::Miss(Miss::Absent)));
}

#[test]
fn a_pipe_in_the_place_of_a_file_keeps_nobody_waiting() {
    let site = Site::new();
    site.store("a", "layer a");
    site.store("b", "layer b");
    let pipe_for = |path: &Path| {
        fs::remove_file(path).unwrap();
        let dir = crate::fs::Dir::open(path.parent().unwrap()).unwrap();
        let kind = crate::fs::FileKind::Fifo;
        dir.create_node(path.file_name().unwrap(), kind, 0o644)
            .unwrap();
    };
    pipe_for(&site.cache.blob_path(&layer("layer a").digest));
    pipe_for(&site.cache.name_path(NameKind::Layer, key("b").as_str()));
    assert!(!site.find("a").is_hit() && !site.find("b").is_hit());
    site.cache.verify(true).unwrap();
    assert_eq!(site.cache.verify(false).unwrap(), []);
}

/// Starts `work` while a lock is held, and says whether it waits for that.
fn waits_for(lock: DirLock, work: impl FnOnce() + Send) -> bool {
    std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        std::thread::sleep(Duration::from_millis(300));
        let waits = !worker.is_finished();
        drop(lock);
        worker.join().unwrap();
        waits
    })
}

#[test]
fn whoever_reads_or_writes_names_and_whoever_removes_things_wait_for_each_other() {
    let site = Site::new();
    site.store("a", "layer");
    let image = site.store_image(&["one"]);
    let digest = &image.document.descriptor.digest;
    let held = site.add("new");
    let cache = &site.cache;
    let shared = || cache.lock_shared().unwrap();
    let exclusive = || cache.lock_exclusive().unwrap();
    let prune = || drop(cache.prune(&PruneRules::default()).unwrap());
    assert!(waits_for(shared(), prune));
    assert!(waits_for(shared(), || drop(cache.verify(true).unwrap())));
    assert!(waits_for(exclusive(), || drop(cache.look_up(&key("a")))));
    assert!(waits_for(exclusive(), || drop(
        cache.find_image(digest, &platform())
    )));
    assert!(waits_for(exclusive(), || drop(cache.hold(&layer("one")))));
    assert!(waits_for(exclusive(), || {
        cache.store(&entry("new", "new"), &looks(), &held).unwrap();
    }));
    assert!(waits_for(exclusive(), || drop(site.add("newer"))));
    assert!(waits_for(exclusive(), || drop(cache.list().unwrap())));
}
