//! Directories that somebody is in.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::place::{Place, fill};
use crate::sandbox::swap::recover;

/// A container whose shell is in `job/src`, and a stage with a directory of that name.
fn container() -> (Place, [PathBuf; 1]) {
    let place = Place::new(&["work"]);
    fill(
        &place.root(""),
        &["job/", "job/src/", "job/src/note=x", "own=x"],
    );
    fill(&place.tree(""), &["job/", "job/made=x", "bin=x"]);
    (place, [PathBuf::from("job/src")])
}

fn inodes(place: &Place) -> [u64; 2] {
    ["job", "job/src"].map(|path| fs::metadata(place.root(path)).unwrap().ino())
}

#[test]
fn a_directory_that_somebody_is_in_stays_and_only_its_entries_move() {
    let (place, standing) = container();
    let (before, there) = (place.list_root(), inodes(&place));
    let (swap, tree) = (place.swap().with_standing(&standing), place.open_tree());
    let inside = swap.enter(&tree).unwrap();
    assert_eq!(inodes(&place), there);
    assert!(place.root("job/made").exists() && !place.root("job/src/note").exists());
    inside.leave(&place.kept).unwrap();
    assert_eq!(inodes(&place), there);
    assert_eq!(place.list_root(), before);
    // It was there for the command only.
    assert!(place.tree("job/made").exists() && !place.tree("job/src").exists());
}

#[test]
fn it_stays_also_where_the_build_is_killed_and_comes_back_where_the_command_removed_it() {
    for is_removed in [false, true] {
        let (place, standing) = container();
        let (before, there) = (place.list_root(), inodes(&place));
        let (swap, tree) = (place.swap().with_standing(&standing), place.open_tree());
        std::mem::forget(swap.enter(&tree).unwrap());
        if is_removed {
            fs::remove_dir_all(place.root("job")).unwrap();
        } else {
            fs::write(place.root("job/src/more"), "").unwrap();
        }
        recover(&place.open_root(), &place.aside(), &place.kept).unwrap();
        assert_eq!(place.list_root(), before);
        assert_eq!(inodes(&place) == there, !is_removed);
    }
}
