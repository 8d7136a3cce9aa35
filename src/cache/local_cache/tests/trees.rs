//! Unpacked layers.

use std::sync::Arc;

use super::*;
use crate::cache::local_cache::{DiskUse, HeldTree, ListedKind, NewTree, PruneRules, TreeKey};
use crate::image::OverlayXattrs;
use crate::sandbox::{Ids, Mode, OwnerMaps};

const TRUSTED: OverlayXattrs = OverlayXattrs::Trusted;

fn owners() -> OwnerMaps {
    let uid = rustix::process::geteuid();
    assert!(uid.is_root(), "this test needs root: it sets owners");
    OwnerMaps {
        users: "0 0 1000\n".to_owned(),
        groups: "0 0 1000\n".to_owned(),
    }
}

fn chain_id() -> Digest {
    Digest::of(b"chain")
}

fn key() -> TreeKey {
    TreeKey::new(&chain_id(), TRUSTED, &owners(), Mode::Ns)
}

fn begin(cache: &Arc<LocalCache>) -> NewTree {
    let tree = cache.new_tree(&chain_id(), key(), &owners(), 0).unwrap();
    let tree = tree.expect("there is room");
    fs::create_dir(tree.root().join("etc")).unwrap();
    fs::write(tree.root().join("etc/passwd"), "root").unwrap();
    tree
}

fn make(cache: &Arc<LocalCache>) {
    let mut tree = begin(cache);
    tree.publish().unwrap();
    tree.finish(true).unwrap();
}

fn cache(site: &Site) -> Arc<LocalCache> {
    Arc::new(site.again())
}

fn find(site: &Site) -> Lookup<HeldTree> {
    cache(site).find_tree(&key())
}

#[test]
fn a_finished_tree_is_found_with_what_is_known_of_it() {
    let site = Site::new();
    assert!(!find(&site).is_hit());
    make(&cache(&site));
    let found = find(&site).hit().unwrap();
    assert!(found.is_root_opaque());
    let file = found.root().join("etc/passwd");
    assert_eq!(fs::read_to_string(file).unwrap(), "root");
    let dir = fs::metadata(found.root().parent().unwrap()).unwrap();
    assert_eq!(dir.mode() & 0o777, 0o700);
    // Known to be on the disk: it outlives a start of the machine.
    let stamp = fs::read_to_string(found.root().with_file_name("stamp")).unwrap();
    assert!(stamp.contains(r#""boot":null"#), "{stamp}");
}

#[test]
fn what_is_not_finished_is_not_used_and_goes() {
    let site = Site::new();
    let cache = cache(&site);
    let mut tree = begin(&cache);
    assert!(!find(&site).is_hit());
    tree.publish().unwrap();
    assert!(!find(&site).is_hit());
    let place = tree.root();
    drop(tree);
    assert!(!place.exists());
    // As SIGKILL does it: the lock goes, and nothing else.
    let mut killed = begin(&cache);
    killed.publish().unwrap();
    let killed_dir = killed.root().with_file_name("owners");
    fs::rename(killed_dir.parent().unwrap(), site.temp.path().join("kept")).unwrap();
    drop(killed);
    let place = cache.trees_dir().join(key().as_str());
    fs::rename(site.temp.path().join("kept"), &place).unwrap();
    let unfinished = cache.trees_dir().join("new-killed");
    fs::create_dir(&unfinished).unwrap();
    assert!(!find(&site).is_hit());
    cache.remove_stale_trees();
    assert!(!unfinished.exists());
    make(&cache);
    assert!(find(&site).is_hit());
}

#[test]
fn a_tree_that_was_tampered_with_is_not_used_and_replaced() {
    let site = Site::new();
    let cache = cache(&site);
    let changes: [&dyn Fn(&Path); 5] = [
        &|root| {
            // Same size, and the time that it had.
            let file = root.join("etc/passwd");
            let time = fs::metadata(&file).unwrap().modified().unwrap();
            fs::write(&file, "toor").unwrap();
            let file = File::options().write(true).open(file).unwrap();
            file.set_modified(time).unwrap();
        },
        &|root| fs::write(root.join("etc/new"), "").unwrap(),
        &|root| fs::remove_file(root.join("etc/passwd")).unwrap(),
        &|root| {
            let mode = fs::Permissions::from_mode(0o4755);
            fs::set_permissions(root.join("etc/passwd"), mode).unwrap();
        },
        &|root| {
            let stamp = root.with_file_name("stamp");
            let text = fs::read_to_string(&stamp).unwrap();
            let other = text.replace("\"boot\":null", "\"boot\":\"another start\"");
            fs::write(stamp, other).unwrap();
        },
    ];
    for change in changes {
        make(&cache);
        let root = find(&site).hit().unwrap().root();
        change(&root);
        assert!(!find(&site).is_hit());
    }
    make(&cache);
    assert!(find(&site).is_hit());
}

#[test]
fn other_owners_and_other_marks_have_other_trees() {
    let site = Site::new();
    make(&cache(&site));
    let shifted = OwnerMaps {
        users: "0 100000 1000\n".to_owned(),
        ..owners()
    };
    for other in [
        TreeKey::new(&chain_id(), OverlayXattrs::User, &owners(), Mode::Ns),
        TreeKey::new(&chain_id(), TRUSTED, &owners(), Mode::Userns(Ids::Whole)),
        TreeKey::new(&chain_id(), TRUSTED, &shifted, Mode::Ns),
        TreeKey::new(&Digest::of(b"x"), TRUSTED, &owners(), Mode::Ns),
    ] {
        assert!(!cache(&site).find_tree(&other).is_hit());
    }
    // The same text, and other users behind it: as in a namespace of another namespace.
    let held = find(&site).hit().unwrap();
    let owned = held.root().with_file_name("owners").join("999-999");
    drop(held);
    std::os::unix::fs::chown(&owned, Some(5), Some(999)).unwrap();
    assert!(!find(&site).is_hit());
}

#[test]
fn who_comes_second_keeps_its_own_tree_until_it_is_done() {
    let site = Site::new();
    let cache = cache(&site);
    make(&cache);
    let held = find(&site).hit().unwrap();
    let mut second = begin(&cache);
    second.publish().unwrap();
    second.finish(false).unwrap();
    assert_ne!(second.root(), held.root());
    assert!(second.root().join("etc/passwd").exists());
    let own = second.root();
    drop(second);
    assert!(!own.exists() && held.root().exists());
}

#[test]
fn trees_are_listed_measured_pruned_and_verified() {
    let site = Site::new();
    let cache = cache(&site);
    make(&cache);
    let listed = cache.list().unwrap();
    assert_eq!((listed.len(), listed[0].kind), (1, ListedKind::Tree));
    let expected = DiskUse {
        trees: listed[0].size,
        ..DiskUse::default()
    };
    assert!(listed[0].size >= 4);
    assert_eq!(cache.disk_use().unwrap(), expected);
    assert_eq!(cache.verify(false).unwrap(), []);
    let everything = PruneRules {
        keep_size: Some(0),
        ..PruneRules::default()
    };
    let held = find(&site).hit().unwrap();
    let pruned = cache.prune(&everything).unwrap();
    assert_eq!((pruned.removed.len(), pruned.in_use), (0, 1));
    fs::write(held.root().join("etc/passwd"), "toor").unwrap();
    let root = held.root();
    drop(held);
    let problems = cache.verify(false).unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path, root.parent().unwrap());
    assert_eq!(cache.verify(true).unwrap(), problems);
    assert_eq!(cache.verify(true).unwrap(), []);
    make(&cache);
    let pruned = cache.prune(&everything).unwrap();
    assert_eq!((pruned.removed.len(), pruned.freed), (1, listed[0].size));
    assert!(fs::read_dir(cache.trees_dir()).unwrap().next().is_none());
}
