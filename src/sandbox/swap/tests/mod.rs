//! Swaps in a directory that stands for the root directory of a container.

pub(in crate::sandbox::swap) mod fault;
mod killed;
mod layered;
mod place;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use self::place::{Listing, Place, fill, set_mode, set_mtime};
use super::leave::Left;
use super::{Swap, SwapError, recover};

/// What [`container`] keeps.
const KEPT: [&str; 5] = [
    "proc",
    "etc/resolv.conf",
    "etc/hosts",
    "var/run/secrets/token",
    "tool",
];

/// A container with mounts, so to speak, and a Debian image in its tree.
fn debian() -> Place {
    let place = Place::new(&KEPT);
    container(&place.root(""));
    image(&place.tree(""));
    // What was set last changed no time but that of the change.
    set_mtime(&place.root(""), 1_100_000_000);
    place
}

/// The same in a container that is made from an image with all these directories.
fn layered_debian() -> Place {
    let place = Place::layered(&KEPT, container);
    image(&place.tree(""));
    set_mtime(&place.root(""), 1_100_000_000);
    place
}

fn container(root: &Path) {
    fill(
        root,
        &[
            "proc/",
            "proc/1/",
            "etc/",
            "etc/own.d/",
            "etc/own.d/file=own",
            "etc/resolv.conf=mounted",
            "etc/hosts=mounted",
            "etc/passwd=own",
            "var/",
            "var/run/",
            "var/run/secrets/",
            "var/run/secrets/token=secret",
            "tool/",
            "tool/executor=program",
            "own=own",
            "link>own",
        ],
    );
    fs::hard_link(root.join("own"), root.join("etc/second")).unwrap();
    set_mode(&root.join("etc"), 0o700);
    xattr::set(root, "user.container", b"root");
}

fn image(tree: &Path) {
    fill(
        tree,
        &[
            "proc/",
            "etc/",
            "etc/passwd=image",
            "etc/alternatives/",
            "etc/alternatives/awk>/usr/bin/mawk",
            "etc/resolv.conf=image",
            "usr/",
            "usr/bin/",
            "usr/bin/mawk=awk",
            "bin>usr/bin",
            "var/",
            "var/lib/",
            "var/run>/run",
            "run/",
            "run/lock/",
            "tmp/",
        ],
    );
    set_mode(&tree.join("tmp"), 0o1777);
    set_mode(&tree.join("etc"), 0o751);
    xattr::set(&tree.join("etc"), "user.image", b"etc");
}

mod xattr {
    use std::ffi::OsStr;
    use std::path::Path;

    use crate::fs::Dir;

    pub(super) fn set(path: &Path, key: &str, value: &[u8]) {
        let dir = Dir::open(path).unwrap();
        dir.set_own_xattr(OsStr::new(key), value).unwrap();
    }
}

/// Runs `command` with the tree inside, and returns what is known afterwards.
fn run(place: &Place, command: impl FnOnce(&Path)) -> Result<Left, SwapError> {
    let (swap, tree) = (place.swap(), place.open_tree());
    let inside = swap.enter(&tree).unwrap();
    command(&place.root(""));
    inside.leave(&place.kept)
}

fn paths(listing: &Listing) -> Vec<&str> {
    listing.keys().map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn a_command_that_does_nothing_changes_nothing() {
    let place = debian();
    let (root, tree) = (place.list_root(), place.list_tree());
    let left = run(&place, |_| {}).unwrap();
    assert_eq!(place.list_root(), root);
    assert_eq!(place.list_tree(), tree);
    let untouched: Vec<PathBuf> = left.untouched.into_iter().collect();
    let expected = [
        "bin",
        "etc/alternatives",
        "etc/passwd",
        "run",
        "tmp",
        "usr",
        "var/lib",
    ];
    assert_eq!(untouched, expected.map(PathBuf::from));
    assert!(!Swap::is_pending(&place.aside()).unwrap());
}

#[test]
fn the_command_sees_the_image_and_what_is_kept() {
    let place = debian();
    let tree = place.list_tree();
    let (swap, opened) = (place.swap(), place.open_tree());
    let inside = swap.enter(&opened).unwrap();
    let seen = place.list_root();
    assert!(Swap::is_pending(&place.aside()).unwrap());
    let expected = [
        "",
        "bin",
        "etc",
        "etc/alternatives",
        "etc/alternatives/awk",
        "etc/hosts",
        "etc/passwd",
        "etc/resolv.conf",
        "proc",
        "proc/1",
        "run",
        "run/lock",
        "tmp",
        "tool",
        "tool/executor",
        "usr",
        "usr/bin",
        "usr/bin/mawk",
        "var",
        "var/lib",
        "var/run",
        "var/run/secrets",
        "var/run/secrets/token",
    ];
    assert_eq!(paths(&seen), expected);
    for path in ["", "etc", "etc/passwd", "var", "usr", "tmp"] {
        assert_eq!(seen[Path::new(path)], tree[Path::new(path)], "{path}");
    }
    assert_eq!(seen[Path::new("etc/resolv.conf")].contents, b"mounted");
    let hidden = ["etc/resolv.conf", "proc", "var/run"];
    assert_eq!(inside.hidden(), hidden.map(PathBuf::from));
    inside.leave(&place.kept).unwrap();
}

#[test]
fn what_the_command_does_is_in_the_tree_and_nothing_else_is() {
    let place = debian();
    let (root, before) = (place.list_root(), place.list_tree());
    let left = run(&place, |root| {
        fs::write(root.join("etc/passwd"), "changed").unwrap();
        fs::write(root.join("new"), "new").unwrap();
        fs::create_dir(root.join("etc/new.d")).unwrap();
        fs::remove_dir_all(root.join("usr")).unwrap();
        fs::rename(root.join("tmp"), root.join("etc/tmp")).unwrap();
        fs::write(root.join("etc/resolv.conf"), "mounted anew").unwrap();
        set_mode(&root.join("var"), 0o700);
        fs::write(root.join("run/lock/file"), "").unwrap();
    })
    .unwrap();
    let mut own = place.list_root();
    assert_eq!(own[Path::new("etc/resolv.conf")].contents, b"mounted anew");
    own.insert(
        PathBuf::from("etc/resolv.conf"),
        root[Path::new("etc/resolv.conf")].clone(),
    );
    assert_eq!(own, root);
    let tree = place.list_tree();
    let expected = [
        "",
        "bin",
        "etc",
        "etc/alternatives",
        "etc/alternatives/awk",
        "etc/new.d",
        "etc/passwd",
        "etc/resolv.conf",
        "etc/tmp",
        "new",
        "proc",
        "run",
        "run/lock",
        "run/lock/file",
        "var",
        "var/lib",
        "var/run",
    ];
    assert_eq!(paths(&tree), expected);
    assert_eq!(tree[Path::new("etc/passwd")].contents, b"changed");
    for path in ["proc", "etc/resolv.conf", "var/run", "bin", "var/lib"] {
        assert_eq!(tree[Path::new(path)], before[Path::new(path)], "{path}");
    }
    assert_eq!(tree[Path::new("var")].mode & 0o7777, 0o700);
    for path in ["", "etc"] {
        assert!(
            tree[Path::new(path)].mtime.0 > 1_200_000_000,
            "`{path}` was changed"
        );
    }
    assert_eq!(tree[Path::new("var")].mtime, before[Path::new("var")].mtime);
    // The directory itself was not touched, only one below it.
    assert!(left.untouched.contains(Path::new("run")));
    assert!(!left.untouched.contains(Path::new("etc/passwd")));
}

#[test]
fn a_directory_that_the_image_lacks_comes_only_with_what_the_command_put_there() {
    let place = Place::new(&["etc/hosts", "var/run/secrets"]);
    fill(
        &place.root(""),
        &["etc/", "etc/hosts=", "var/", "var/run/", "var/run/secrets/"],
    );
    fill(&place.tree(""), &["file=image"]);
    let (root, before) = (place.list_root(), place.list_tree());
    run(&place, |root| {
        set_mtime(&root.join("etc"), 1_300_000_000);
        assert!(root.join("etc/hosts").exists());
    })
    .unwrap();
    assert_eq!(place.list_tree(), before);
    run(&place, |root| {
        fs::write(root.join("var/run/pid"), "1").unwrap();
        set_mode(&root.join("etc"), 0o711);
    })
    .unwrap();
    let tree = place.list_tree();
    assert_eq!(
        paths(&tree),
        ["", "etc", "file", "var", "var/run", "var/run/pid"]
    );
    assert_eq!(tree[Path::new("etc")].mode & 0o7777, 0o711);
    assert_eq!(place.list_root(), root);
}

#[test]
fn what_is_written_where_a_link_is_hidden_goes_where_the_link_leads() {
    let place = debian();
    let root = place.list_root();
    run(&place, |root| {
        fs::write(root.join("var/run/pid"), "1").unwrap();
        fs::create_dir_all(root.join("var/run/lock/below")).unwrap();
        fs::write(root.join("run/lock/other"), "2").unwrap();
    })
    .unwrap();
    let tree = place.list_tree();
    assert_eq!(
        fs::read_link(place.tree("var/run")).unwrap(),
        Path::new("/run")
    );
    for path in ["run/pid", "run/lock/below", "run/lock/other"] {
        assert!(tree.contains_key(Path::new(path)), "{path}");
    }
    assert_eq!(place.list_root(), root);
}

#[test]
fn what_is_written_where_a_dangling_link_is_hidden_is_an_error_and_the_container_is_whole() {
    let place = debian();
    fs::remove_dir_all(place.tree("run")).unwrap();
    let root = place.list_root();
    run(&place, |_| {}).unwrap();
    let outcome = run(&place, |root| {
        fs::write(root.join("var/run/pid"), "1").unwrap()
    });
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("`/var/run`"), "{error}");
    assert_eq!(place.list_root(), root);
    assert!(!Swap::is_pending(&place.aside()).unwrap());
}

#[test]
fn a_link_out_of_the_tree_leads_nowhere_outside() {
    let place = debian();
    let outside = tempfile::tempdir().unwrap();
    fs::remove_file(place.tree("var/run")).unwrap();
    symlink(outside.path(), place.tree("var/run")).unwrap();
    let outcome = run(&place, |root| {
        fs::write(root.join("var/run/pid"), "1").unwrap()
    });
    assert!(outcome.is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn the_command_may_remove_what_is_no_mount_point() {
    let place = debian();
    let before = place.list_root();
    run(&place, |root| {
        // The kernel would refuse the mount points; these two are none.
        fs::remove_dir_all(root.join("tool")).unwrap();
        fs::remove_dir_all(root.join("var")).unwrap();
        symlink("etc", root.join("var")).unwrap();
    })
    .unwrap();
    assert_eq!(fs::read_link(place.tree("var")).unwrap(), Path::new("etc"));
    let mut expected = before;
    expected
        .retain(|path, _| !path.starts_with("tool") && !path.starts_with("var/run/secrets/token"));
    assert_eq!(place.list_root(), expected);
}

#[test]
fn a_directory_that_was_moved_with_its_mount_is_an_error_and_moved_home() {
    let place = debian();
    let root = place.list_root();
    let (swap, tree) = (place.swap(), place.open_tree());
    let inside = swap.enter(&tree).unwrap();
    fs::rename(place.root("var"), place.root("usr/moved")).unwrap();
    fs::write(place.root("var"), "in the way").unwrap();
    let now: Vec<PathBuf> = ["proc", "etc/hosts", "etc/resolv.conf", "tool", "work"]
        .iter()
        .chain(&["usr/moved/run/secrets/token"])
        .map(PathBuf::from)
        .collect();
    let error = inside.leave(&now).unwrap_err();
    assert!(matches!(error, SwapError::MovedMount { .. }), "{error}");
    assert_eq!(place.list_root(), root);
}

#[test]
fn a_swap_beside_a_killed_one_is_refused_and_recovering_twice_is_no_error() {
    let place = debian();
    let root = place.list_root();
    let (swap, tree) = (place.swap(), place.open_tree());
    drop(swap.enter(&tree).unwrap());
    assert!(matches!(swap.enter(&tree), Err(SwapError::Pending { .. })));
    assert!(recover(&place.open_root(), &place.aside(), &place.kept).unwrap());
    assert_eq!(place.list_root(), root);
    assert!(!recover(&place.open_root(), &place.aside(), &place.kept).unwrap());
    run(&place, |_| {}).unwrap();
}

#[test]
fn a_journal_that_nobody_understands_is_an_error_and_changes_nothing() {
    let place = debian();
    fs::write(place.root("work/aside/journal"), "nonsense\n").unwrap();
    let root = place.list_root();
    let outcome = recover(&place.open_root(), &place.aside(), &place.kept);
    assert!(matches!(outcome, Err(SwapError::Journal { .. })));
    assert_eq!(place.list_root(), root);
}

#[test]
fn names_that_are_no_text_and_directories_that_nobody_may_enter_are_swapped() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new(&[]);
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff\n");
    let mut place = place;
    place.kept.push(PathBuf::from(odd).join("kept"));
    fs::create_dir_all(place.root("").join(odd).join("kept")).unwrap();
    fs::write(place.root("").join(odd).join("own"), "own").unwrap();
    fill(&place.tree(""), &["closed/", "closed/file="]);
    fs::create_dir(place.tree("").join(odd)).unwrap();
    set_mode(&place.tree("closed"), 0);
    let (root, tree) = (place.list_root(), place.list_tree());
    let (swap, opened) = (place.swap(), place.open_tree());
    let inside = swap.enter(&opened).unwrap();
    assert!(!place.root("").join(odd).join("own").exists());
    inside.leave(&place.kept).unwrap();
    assert_eq!((place.list_root(), place.list_tree()), (root, tree));
}
