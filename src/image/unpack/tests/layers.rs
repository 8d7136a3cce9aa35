//! Layers that need those below: hard links, and directories that only others describe.

use tar::EntryType;

use super::*;

const XATTRS: OverlayXattrs = OverlayXattrs::Trusted;

/// Unpacks layers, the base first, and completes each.
fn stack(layers: Vec<TestArchive>) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    for layer in layers {
        let tree = Tree::new();
        let unpacked = tree.unpack(TRUSTED, layer).unwrap();
        let lowers: Vec<&Root> = trees.iter().rev().map(|tree| &tree.root).collect();
        complete(&unpacked, &tree.root, XATTRS, &lowers).unwrap();
        trees.push(tree);
    }
    trees
}

fn described(mode: u32, uid: u64) -> impl FnOnce(&mut tar::Header) {
    move |header| {
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_mtime(1_222_222_222);
    }
}

#[test]
fn a_hard_link_to_a_file_below_becomes_one_file_with_two_names() {
    let base = TestArchive::new()
        .entry(EntryType::Directory, "lib", "", b"", described(0o750, 9))
        .pax("SCHILY.xattr.user.note", b"kept")
        .entry(
            EntryType::Regular,
            "lib/a",
            "",
            b"below",
            described(0o4711, 7),
        );
    let upper = TestArchive::new()
        .dir("bin")
        .hard_link("bin/b", "lib/a")
        .hard_link("bin/c", "bin/b")
        .hard_link("bin/d", "/lib/a");
    let trees = stack(vec![base, TestArchive::new().file("other", ""), upper]);
    let top = &trees[2];
    let a = top.metadata("lib/a");
    for name in ["bin/b", "bin/c", "bin/d"] {
        assert_eq!(top.metadata(name).ino(), a.ino(), "{name}");
    }
    assert_eq!(a.nlink(), 4);
    let listing = top.listing();
    assert_eq!(listing["lib/a"], "4711 7:0 1222222222 file \"below\"");
    assert_eq!(listing["lib"], "0750 9:0 1222222222 dir");
    assert_eq!(listing["bin"], "0755 0:0 1600000000 dir");
    assert_eq!(
        top.xattr("bin/b", "user.note").as_deref(),
        Some(&b"kept"[..])
    );
    assert_eq!(
        trees[0].metadata("lib/a").nlink(),
        1,
        "the layer below is untouched"
    );
}

#[test]
fn a_hard_link_is_to_the_old_file_even_if_the_layer_replaces_it_later() {
    let base = TestArchive::new().file("a", "old");
    let upper = TestArchive::new().hard_link("b", "a").file("a", "new");
    let trees = stack(vec![base, upper]);
    assert_eq!(
        (trees[1].text("a"), trees[1].text("b")),
        ("new".into(), "old".into())
    );
}

#[test]
fn what_comes_later_replaces_a_hard_link_that_waits() {
    let base = TestArchive::new().file("a", "old");
    let upper = TestArchive::new()
        .hard_link("b", "a")
        .file("b", "own")
        .hard_link("d/c", "a")
        .file("d", "own");
    let trees = stack(vec![base, upper]);
    assert_eq!(
        (trees[1].text("b"), trees[1].text("d")),
        ("own".into(), "own".into())
    );
    assert!(!trees[1].exists("a"));
}

#[test]
fn a_hard_link_to_a_link_or_device_below_is_made_too() {
    let base = TestArchive::new()
        .symlink("soft", "x")
        .char_device("null", 1, 3);
    let upper = TestArchive::new()
        .hard_link("s", "soft")
        .hard_link("n", "null");
    let trees = stack(vec![base, upper]);
    assert!(trees[1].metadata("s").is_symlink());
    assert_eq!(
        trees[1].metadata("n").rdev(),
        trees[0].metadata("null").rdev()
    );
}

#[test]
fn a_hard_link_to_nothing_or_to_a_directory_below_is_an_error_that_names_both() {
    let hidden: [fn() -> TestArchive; 5] = [
        || TestArchive::new().hard_link("new/link", "missing"),
        || TestArchive::new().hard_link("new/link", "d"),
        || {
            TestArchive::new()
                .file(".wh.d", "")
                .hard_link("new/link", "d/f")
        },
        || {
            let opaque = TestArchive::new().dir("d").file("d/.wh..wh..opq", "");
            opaque.hard_link("new/link", "d/f")
        },
        || {
            let opaque = TestArchive::new().file(".wh..wh..opq", "");
            opaque.hard_link("new/link", "d/f")
        },
    ];
    for upper in hidden {
        let base = Tree::new();
        base.unpack(TRUSTED, TestArchive::new().dir("d").file("d/f", ""))
            .unwrap();
        let tree = Tree::new();
        let unpacked = tree.unpack(TRUSTED, upper()).unwrap();
        let error = complete(&unpacked, &tree.root, XATTRS, &[&base.root]).unwrap_err();
        assert!(error.to_string().contains("`new/link`"), "{error}");
        assert!(!tree.exists("new/link"));
    }
}

#[test]
fn a_hard_link_to_a_name_that_its_own_layer_deletes_is_refused() {
    let tree = Tree::new();
    let archive = TestArchive::new().file(".wh.a", "").hard_link("b", "a");
    let (entry, error) = entry_error(tree.unpack(TRUSTED, archive));
    assert_eq!(entry, "b");
    assert!(
        matches!(error, EntryError::MissingLinkTarget { .. }),
        "{error:?}"
    );
}

#[test]
fn implied_directories_become_like_those_of_the_nearest_layer_that_has_them() {
    let base = TestArchive::new()
        .entry(EntryType::Directory, "a", "", b"", described(0o700, 1))
        .entry(EntryType::Directory, "a/b", "", b"", described(0o701, 2));
    let middle = TestArchive::new()
        .pax("SCHILY.xattr.user.note", b"middle")
        .entry(EntryType::Directory, "a", "", b"", described(0o3777, 3));
    let upper = TestArchive::new().file("a/b/c/file", "");
    let trees = stack(vec![base, middle, upper]);
    let listing = trees[2].listing();
    assert_eq!(listing["a"], "3777 3:0 1222222222 dir");
    assert_eq!(listing["a/b"], "0701 2:0 1222222222 dir");
    assert_eq!(listing["a/b/c"], "0755 0:0 0 dir");
    let note = trees[2].xattr("a", "user.note");
    assert_eq!(note.as_deref(), Some(&b"middle"[..]));
}

#[test]
fn implied_directories_take_nothing_from_behind_a_deletion() {
    let base = || {
        TestArchive::new()
            .entry(EntryType::Directory, "a", "", b"", described(0o700, 1))
            .entry(EntryType::Directory, "a/b", "", b"", described(0o701, 2))
    };
    let file_b = || TestArchive::new().file("a/b/file", "");
    let fresh = "0755 0:0 0 dir";
    let like_a = "0700 1:0 1222222222 dir";
    let cases = [
        (TestArchive::new().file(".wh.a", ""), file_b(), fresh, fresh),
        (
            TestArchive::new().file("a/.wh.b", ""),
            file_b(),
            like_a,
            fresh,
        ),
        (
            TestArchive::new().file("a/.wh..wh..opq", ""),
            file_b(),
            like_a,
            fresh,
        ),
        (
            TestArchive::new().file("a", "a file"),
            file_b(),
            fresh,
            fresh,
        ),
        (
            TestArchive::new(),
            file_b().file("a/.wh..wh..opq", ""),
            like_a,
            fresh,
        ),
        (TestArchive::new(), file_b().file(".wh.a", ""), fresh, fresh),
        (
            TestArchive::new(),
            file_b().file(".wh..wh..opq", ""),
            fresh,
            fresh,
        ),
    ];
    for (index, (middle, upper, a, b)) in cases.into_iter().enumerate() {
        let trees = stack(vec![base(), middle, upper]);
        let listing = trees[2].listing();
        let found = (&*listing["a"], &*listing["a/b"]);
        assert_eq!(found, (a, b), "case {index}");
    }
}

#[test]
fn marks_of_overlayfs_are_not_adopted() {
    let base = TestArchive::new().dir("a").file("a/old", "");
    let middle = TestArchive::new().dir("a").file("a/.wh..wh..opq", "");
    let upper = TestArchive::new().file("a/new", "");
    let trees = stack(vec![base, middle, upper]);
    assert!(trees[1].is_opaque("a", XATTRS));
    assert!(!trees[2].is_opaque("a", XATTRS));
}

#[test]
fn whiteouts_stay_only_where_something_can_be_below() {
    let base = TestArchive::new()
        .file(".wh.never", "")
        .dir("shared")
        .file("shared/old", "")
        .file("file", "");
    let upper = TestArchive::new()
        .file("shared/.wh.old", "")
        .dir("opaque")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/.wh.x", "")
        .dir("own")
        .file("own/.wh.x", "")
        .file(".wh.file", "")
        .file("file/.wh.x", "");
    let trees = stack(vec![base, upper]);
    assert!(!trees[0].exists("never"));
    assert!(trees[1].is_whiteout("shared/old"));
    for phantom in ["opaque/x", "own/x", "file/x"] {
        assert!(!trees[1].exists(phantom), "{phantom}");
    }
    let listing = trees[1].listing();
    assert_eq!(
        listing["own"], "0755 0:0 1600000000 dir",
        "its time is kept"
    );
}

#[test]
fn a_directory_in_place_of_a_file_of_its_own_layer_does_not_show_what_is_below() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .file("described", "")
        .dir("described")
        .file("implied", "")
        .file("implied/file", "");
    let unpacked = tree.unpack(TRUSTED, archive).unwrap();
    assert!(tree.is_opaque("described", XATTRS));
    assert!(tree.is_opaque("implied", XATTRS));
    assert!(unpacked.implied_dirs.is_empty());
}
