//! Files with several names: a plain directory keeps the links that an overlay breaks.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::{Tree, set_mode};
use crate::snapshot::overlay::tests::write;

/// Makes the files `h1`, `h2` and `h3`, which are one.
pub(super) fn three_names(root: &Path) {
    write(&root.join("h1"), "x");
    for name in ["h2", "h3"] {
        fs::hard_link(root.join("h1"), root.join(name)).unwrap();
    }
}

#[test]
fn a_file_changed_in_place_has_changed_under_all_its_names() {
    let expected = ["f h1 1", "h h2 => h1", "h h3 => h1"];
    let mut tree = Tree::over(three_names);
    let changes = tree.changes(|root| set_mode(&root.join("h2"), 0o600));
    assert_eq!(changes, expected);
    let changes = tree.changes(|root| {
        let mut file = OpenOptions::new().write(true).open(root.join("h3"));
        file.as_mut().unwrap().write_all(b"y").unwrap();
    });
    assert_eq!(changes, expected);
}

#[test]
fn a_name_that_goes_or_becomes_a_file_of_its_own_leaves_the_others_as_they_were() {
    let mut tree = Tree::over(three_names);
    let changes = tree.changes(|root| fs::remove_file(root.join("h1")).unwrap());
    assert_eq!(changes, ["- h1"]);
    let changes = tree.changes(|root| {
        write(&root.join("new"), "new");
        fs::rename(root.join("new"), root.join("h3")).unwrap();
    });
    assert_eq!(changes, ["f h3 3"]);
}

#[test]
fn a_new_name_brings_all_names_of_its_file() {
    let mut tree = Tree::over(three_names);
    let changes = tree.changes(|root| {
        fs::hard_link(root.join("h1"), root.join("h0")).unwrap();
    });
    let expected = ["f h0 1", "h h1 => h0", "h h2 => h0", "h h3 => h0"];
    assert_eq!(changes, expected);
    let changes = tree.changes(|root| {
        fs::rename(root.join("h3"), root.join("h4")).unwrap();
    });
    let expected = ["- h3", "f h0 1", "h h1 => h0", "h h2 => h0", "h h4 => h0"];
    assert_eq!(changes, expected);
}

#[test]
fn a_moved_directory_brings_the_other_names_of_its_files_from_where_nothing_changed() {
    let mut tree = Tree::over(|root| {
        write(&root.join("b/f"), "x");
        fs::create_dir(root.join("a")).unwrap();
        fs::hard_link(root.join("b/f"), root.join("a/f")).unwrap();
    });
    let changes = tree.changes(|root| fs::rename(root.join("b"), root.join("c")).unwrap());
    let expected = ["- b", "d a", "f a/f 1", "d c", "h c/f => a/f"];
    assert_eq!(changes, expected);
}
