//! Swaps on a real overlay, in a container whose image has directories of its own: the kernel refuses
//! to rename these.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::killed::{busy_command, recover_here, swap_once};
use super::place::{Listing, Place};
use super::{fault, layered_debian, run};
use crate::fs::Dir;

/// Lists without inodes and numbers of names: an overlay that copies a file up changes these.
fn list(place: &Place) -> Listing {
    let mut listing = place.list_root();
    for line in listing.values_mut() {
        line.file = (0, 0);
    }
    listing
}

#[test]
fn the_kernel_refuses_to_rename_these_directories() {
    let place = layered_debian();
    let etc = Dir::open(&place.root("etc")).unwrap();
    let error = etc.rename(OsStr::new("own.d"), &place.aside(), OsStr::new("own.d"));
    assert_eq!(
        error.unwrap_err().kind(),
        std::io::ErrorKind::CrossesDevices
    );
}

#[test]
fn directories_of_the_containers_own_image_are_set_aside_by_parts() {
    let place = layered_debian();
    let (root, tree) = (list(&place), place.list_tree());
    for _ in 0..2 {
        run(&place, |root| assert!(!root.join("etc/own.d").exists())).unwrap();
        assert_eq!(list(&place), root);
        assert_eq!(place.list_tree(), tree);
    }
    run(&place, |root| {
        fs::create_dir_all(root.join("etc/own.d/file")).unwrap();
    })
    .unwrap();
    assert_eq!(list(&place), root);
    assert!(place.tree("etc/own.d/file").is_dir());
    assert_eq!(fs::read(place.root("etc/own.d/file")).unwrap(), b"own");
}

#[test]
fn a_swap_on_an_overlay_killed_now_and_then_is_undone() {
    for count in (0..).step_by(5) {
        let place = layered_debian();
        let root = list(&place);
        fault::die_after(count);
        let outcome = swap_once(&place, &busy_command);
        let was_killed = fault::live();
        if was_killed && outcome.is_err() {
            recover_here(&place).unwrap();
        }
        assert_eq!(list(&place), root, "killed after {count} changes");
        if !was_killed {
            assert_eq!(fs::read(place.tree("etc/passwd")).unwrap(), b"changed");
            assert!(!place.root("").join(Path::new("own/deep")).exists());
            break;
        }
    }
}
