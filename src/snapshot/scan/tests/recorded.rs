//! A tree with a ledger has the same layer of the same step as one where all is real.

use std::ffi::OsStr;
use std::sync::Arc;

use super::*;
use crate::fs::{FileKind, Ledger, Rights, copy_tree};

const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const CAPABILITY: &str = "security.capability";

fn new_root(rights: Option<Rights>) -> (tempfile::TempDir, Root) {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    match rights {
        Some(rights) => (temp, root.with_ledger(Arc::new(Ledger::new(rights)))),
        None => (temp, root),
    }
}

fn fill(root: &Root, known: &mut KnownContents) {
    let dir = root.dir();
    for name in ["a", "b", "c", "d", "e", "f", "same"].map(OsStr::new) {
        let mut file = dir.create_new_file(name, 0o644).unwrap();
        file.write_all(name.as_bytes()).unwrap();
        file.set_mtime(crate::fs::Timestamp::EPOCH).unwrap();
        let mut hasher = known.hasher();
        hasher.update(name.as_bytes());
        known.insert(&file.metadata().unwrap(), hasher);
    }
    let device = OsStr::new("device");
    dir.create_node(device, FileKind::CharDevice(0x103), 0o666)
        .unwrap();
    dir.set_mtime(device, crate::fs::Timestamp::EPOCH).unwrap();
    dir.create_dir(OsStr::new("dir"), 0o700).unwrap();
}

/// One change of each kind that a ledger records, and some that are none.
fn work(root: &Root) {
    let dir = root.dir();
    let name = OsStr::new;
    dir.set_owner(name("a"), 10, 11).unwrap();
    dir.set_mode(name("b"), 0o000).unwrap();
    dir.set_xattr(name("c"), name(CAPABILITY), &NET_RAW)
        .unwrap();
    dir.set_mode(name("same"), 0o644).unwrap();
    dir.set_owner(name("same"), 0, 0).unwrap();
    dir.set_xattr(name("e"), name(CAPABILITY), &NET_RAW)
        .unwrap();
    dir.remove_xattr(name("e"), name(CAPABILITY)).unwrap();
    dir.set_owner(name("f"), 3, 3).unwrap();
    dir.set_owner(name("f"), 0, 0).unwrap();
    dir.remove_file(name("d")).unwrap();
    dir.create_node(name("d"), FileKind::BlockDevice(0x801), 0o600)
        .unwrap();
    dir.set_mtime(name("d"), crate::fs::Timestamp::EPOCH)
        .unwrap();
    dir.set_mode(name("device"), 0o600).unwrap();
    let below = dir.open_dir(name("dir")).unwrap();
    let file = below.create_new_file(name("new"), 0o600).unwrap();
    file.set_owner(0, 42).unwrap();
    file.set_mode(0o2555).unwrap();
    file.set_mtime(crate::fs::Timestamp::EPOCH).unwrap();
    below.set_own_mode(0o000).unwrap();
    below.set_own_mtime(crate::fs::Timestamp::EPOCH).unwrap();
}

fn changes(root: &Root, known: &KnownContents) -> Vec<String> {
    let excluded = Excluded::new();
    let before = Index::take(root, &excluded, known).unwrap();
    before.wait_until_changes_show();
    work(root);
    let after = before.retake(root).unwrap();
    let diff = ScanDiff {
        before: &before,
        after: &after,
        root,
        excluded: &excluded,
    };
    let mut lines = Vec::new();
    diff.visit(|change| {
        lines.push(line(&change));
        Ok::<(), DiffError>(())
    })
    .unwrap();
    lines
}

#[test]
fn a_step_changes_the_same_whether_the_truth_is_in_the_files_or_in_a_ledger() {
    let found = [None, Some(Rights::PlainUser), Some(Rights::OneId)].map(|rights| {
        let (_temp, root) = new_root(rights);
        let mut known = KnownContents::default();
        fill(&root, &mut known);
        changes(&root, &known)
    });
    let is_there = |text: &str| found[0].iter().any(|line| line.contains(text));
    assert_eq!(found[0].len(), 7, "{:#?}", found[0]);
    assert!(!is_there("same") && is_there("dir/new"), "{:#?}", found[0]);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);
}

#[test]
fn a_step_in_a_copy_of_a_tree_changes_the_same_as_in_the_tree() {
    let (_temp, root) = new_root(Some(Rights::PlainUser));
    let mut known = KnownContents::default();
    fill(&root, &mut known);
    let (_copied, copied) = new_root(Some(Rights::PlainUser));
    let mut known_of_copy = KnownContents::default();
    copy_tree(&root, &copied, &mut known_of_copy).unwrap();
    assert_eq!(changes(&copied, &known_of_copy), changes(&root, &known));
}
