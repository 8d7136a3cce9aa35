//! Trees that are deep, wide or large.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use super::Tree;
use crate::snapshot::overlay::tests::write;
use crate::snapshot::scan::Index;

#[test]
fn a_tree_of_ten_thousand_levels_is_walked() {
    const LEVELS: usize = 10_500;
    let mut tree = Tree::over(|_| {});
    let name = OsStr::new("d");
    let build = |root: &Path| {
        let mut dir = crate::fs::Dir::open(root).unwrap();
        for _ in 0..LEVELS {
            dir.create_dir(name, 0o755).unwrap();
            dir.create_file(OsStr::new("f"), 0o644).unwrap();
            dir = dir.open_dir(name).unwrap();
        }
    };
    let (lines, summary) = tree.try_changes(build).unwrap();
    assert_eq!(summary.files as usize, 2 * LEVELS);
    assert_eq!(lines.last().unwrap(), "f f 0");
    let changes = tree.changes(|root| {
        let dir = crate::fs::Dir::open(root).unwrap();
        crate::fs::remove_tree(&dir, name).unwrap();
    });
    assert_eq!(changes, ["- d"]);
}

#[test]
fn a_directory_of_twenty_thousand_names_is_compared_name_by_name() {
    let number = |number: u32| OsString::from(format!("{number:05}"));
    let mut tree = Tree::over(|root| {
        for place in 0..20_000 {
            fs::write(root.join(number(place)), "").unwrap();
        }
    });
    let changes = tree.changes(|root| {
        for place in (0..20_000).step_by(5000) {
            fs::remove_file(root.join(number(place))).unwrap();
        }
        fs::write(root.join("10000x"), "x").unwrap();
    });
    assert_eq!(
        changes,
        ["- 00000", "- 05000", "- 10000", "- 15000", "f 10000x 1"]
    );
}

#[test]
fn an_entry_costs_less_than_a_hundred_bytes() {
    let tree = Tree::over(|root| {
        for dir in 0..100 {
            for file in 0..10 {
                let name = format!("directory-{dir}/a-name-like-many.{file}");
                write(&root.join(name), "");
            }
        }
    });
    let (bytes, entries) = tree.before.memory();
    assert_eq!(entries, 1100);
    assert!(bytes < 100 * entries + size_of::<Index>(), "{bytes}");
}
