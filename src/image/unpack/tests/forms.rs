//! Whiteouts and implied directories in each form.

use super::*;

/// The layers below, as they lie in a tree: a, d/{one,two,sub/{x,y}}, e/kept.
fn lower() -> TestArchive {
    TestArchive::new()
        .file("a", "lower")
        .dir("d")
        .file("d/one", "lower")
        .dir("d/sub")
        .file("d/sub/x", "lower")
        .file("d/sub/y", "lower")
        .file("d/two", "lower")
        .dir("e")
        .file("e/kept", "lower")
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.listing().into_keys().collect()
}

/// Appends entries in one order or the other.
fn in_order(entries: &[(&str, &str)], is_reversed: bool) -> TestArchive {
    let mut entries = entries.to_vec();
    if is_reversed {
        entries.reverse();
    }
    let add = |archive: TestArchive, (name, text): &(&str, &str)| {
        if name.ends_with('/') {
            archive.dir(name)
        } else {
            archive.file(name, text)
        }
    };
    entries.iter().fold(TestArchive::new(), add)
}

#[test]
fn in_a_tree_whiteouts_delete_what_was_below() {
    let tree = Tree::new();
    tree.unpack(Form::Tree, lower()).unwrap();
    let archive = TestArchive::new()
        .file(".wh.a", "")
        .dir("d")
        .file("d/.wh.sub", "")
        .file("d/.wh.never-there", "");
    tree.unpack(Form::Tree, archive).unwrap();
    assert_eq!(paths(&tree), ["d", "d/one", "d/two", "e", "e/kept"]);
}

#[test]
fn in_a_tree_an_opaque_directory_loses_what_was_below_and_keeps_what_the_layer_brings() {
    let entries = [
        ("d/.wh..wh..opq", ""),
        ("d/sub/x", "upper"),
        ("d/new", "upper"),
    ];
    let mut listings = Vec::new();
    for is_reversed in [false, true] {
        let tree = Tree::new();
        tree.unpack(Form::Tree, lower()).unwrap();
        let archive = in_order(&entries, is_reversed);
        tree.unpack(Form::Tree, archive).unwrap();
        let expected = ["a", "d", "d/new", "d/sub", "d/sub/x", "e", "e/kept"];
        assert_eq!(paths(&tree), expected, "reversed: {is_reversed}");
        assert_eq!(tree.text("d/sub/x"), "upper");
        listings.push(tree.listing());
    }
    assert_eq!(listings[0], listings[1], "order does not matter");
}

/// The entries of a layer, and the paths that are there after it.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

#[test]
fn in_a_tree_a_whiteout_does_not_delete_what_its_own_layer_brings() {
    let cases: [Case; 3] = [
        (
            &[(".wh.a", ""), ("a", "upper")],
            &[
                "a", "d", "d/one", "d/sub", "d/sub/x", "d/sub/y", "d/two", "e", "e/kept",
            ],
        ),
        (
            &[(".wh.d", ""), ("d/sub/new", "upper")],
            &["a", "d", "d/sub", "d/sub/new", "e", "e/kept"],
        ),
        (
            &[(".wh..wh..opq", ""), ("e/new", "upper"), ("top", "upper")],
            &["e", "e/new", "top"],
        ),
    ];
    for (entries, expected) in cases {
        let mut listings = Vec::new();
        for is_reversed in [false, true] {
            let tree = Tree::new();
            tree.unpack(Form::Tree, lower()).unwrap();
            tree.unpack(Form::Tree, in_order(entries, is_reversed))
                .unwrap();
            assert_eq!(
                paths(&tree),
                expected,
                "{entries:?} reversed: {is_reversed}"
            );
            listings.push(tree.listing());
        }
        assert_eq!(
            listings[0], listings[1],
            "{entries:?}: order does not matter"
        );
    }
}

#[test]
fn in_a_tree_a_deleted_directory_that_is_brought_again_is_new() {
    for is_reversed in [false, true] {
        let tree = Tree::new();
        let restricted = |header: &mut tar::Header| {
            header.set_mode(0o700);
            header.set_uid(33);
        };
        let below = TestArchive::new()
            .entry(tar::EntryType::Directory, "d", "", b"", restricted)
            .file("d/old", "");
        tree.unpack(Form::Tree, below).unwrap();
        let entries = [(".wh.d", ""), ("d/new", "")];
        tree.unpack(Form::Tree, in_order(&entries, is_reversed))
            .unwrap();
        assert_eq!(tree.listing()["d"], "0755 0:0 0 dir", "{is_reversed}");
    }
}

#[test]
fn in_a_tree_directories_that_no_entry_names_keep_what_they_were() {
    for form in [Form::Tree, Form::Archive] {
        let tree = Tree::new();
        let restricted = |header: &mut tar::Header| {
            header.set_mode(0o1777);
            header.set_uid(33);
            header.set_mtime(1_111_111_111);
        };
        let below = TestArchive::new()
            .entry(tar::EntryType::Directory, "d", "", b"", restricted)
            .file("d/old", "");
        tree.unpack(form, below).unwrap();
        let archive = TestArchive::new().file("d/new", "").file("d/deep/er", "");
        let unpacked = tree.unpack(form, archive).unwrap();
        let listing = tree.listing();
        assert_eq!(listing["d"], "1777 33:0 1111111111 dir", "{form:?}");
        assert_eq!(listing["d/deep"], "0755 0:0 0 dir", "{form:?}");
        assert!(unpacked.implied_dirs.is_empty());
    }
}

#[test]
fn in_an_overlay_layer_whiteouts_become_its_marks() {
    for (form, xattrs) in [
        (TRUSTED, OverlayXattrs::Trusted),
        (USER, OverlayXattrs::User),
    ] {
        let tree = Tree::new();
        let archive = TestArchive::new()
            .file(".wh.a", "")
            .file(".wh.a", "")
            .dir("d")
            .file("d/.wh..wh..opq", "")
            .file("d/new", "")
            .file("e/.wh.kept", "");
        let unpacked = tree.unpack(form, archive).unwrap();
        assert!(tree.is_whiteout("a"));
        assert!(tree.is_opaque("d", xattrs));
        assert!(tree.is_whiteout("e/kept"));
        assert!(!tree.is_opaque("e", xattrs));
        assert_eq!(paths(&tree), ["a", "d", "d/new", "e", "e/kept"]);
        assert_eq!(unpacked.implied_dirs, BTreeSet::from(["e".into()]));
        assert!(!unpacked.is_root_opaque);
    }
}

#[test]
fn in_an_overlay_layer_a_name_deleted_and_brought_again_hides_what_is_below() {
    let entries = [
        (".wh.file", ""),
        ("file", "upper"),
        (".wh.described", ""),
        ("described/", ""),
        (".wh.implied", ""),
        ("implied/deep/file", ""),
    ];
    for is_reversed in [false, true] {
        let tree = Tree::new();
        let unpacked = tree.unpack(USER, in_order(&entries, is_reversed)).unwrap();
        assert_eq!(tree.text("file"), "upper", "{is_reversed}");
        assert!(
            tree.is_opaque("described", OverlayXattrs::User),
            "{is_reversed}"
        );
        assert!(
            tree.is_opaque("implied", OverlayXattrs::User),
            "{is_reversed}"
        );
        // A new directory, not the one below: only what lies in it may be like one below.
        let implied = BTreeSet::from(["implied/deep".into()]);
        assert_eq!(unpacked.implied_dirs, implied, "{is_reversed}");
    }
}

#[test]
fn an_opaque_root_is_reported() {
    let tree = Tree::new();
    let archive = TestArchive::new().file(".wh..wh..opq", "").file("new", "");
    let unpacked = tree.unpack(TRUSTED, archive).unwrap();
    assert!(unpacked.is_root_opaque);
    assert_eq!(paths(&tree), ["new"]);
}

#[test]
fn implied_directories_are_reported_until_an_entry_describes_them() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .file("x/y/z", "")
        .file("p/q/r", "")
        .dir("p/q")
        .file("gone/below/file", "")
        .file("gone", "now a file");
    let unpacked = tree.unpack(TRUSTED, archive).unwrap();
    let implied: Vec<&Path> = unpacked.implied_dirs.iter().map(|path| &**path).collect();
    assert_eq!(implied, [Path::new("p"), Path::new("x"), Path::new("x/y")]);
    assert_eq!(tree.listing()["x/y"], "0755 0:0 0 dir");
}

#[test]
fn in_an_archive_names_of_whiteouts_are_ordinary() {
    let tree = Tree::new();
    tree.unpack(Form::Archive, lower()).unwrap();
    let archive = TestArchive::new()
        .file(".wh.a", "text")
        .file("d/.wh..wh..opq", "")
        .file("d/.wh.", "");
    tree.unpack(Form::Archive, archive).unwrap();
    assert_eq!(tree.text(".wh.a"), "text");
    assert_eq!(
        (tree.text("a"), tree.text("d/one")),
        ("lower".into(), "lower".into())
    );
    assert!(tree.exists("d/.wh..wh..opq") && tree.exists("d/.wh."));
}

#[test]
fn an_owner_given_is_that_of_every_entry() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .pax("uid", b"99999999999")
        .dir("d")
        .file("d/file", "")
        .symlink("d/link", "x")
        .file("implied/file", "");
    tree.unpack_as(Form::Archive, Some((5, 6)), archive)
        .unwrap();
    let owner = |name: &str| (tree.metadata(name).uid(), tree.metadata(name).gid());
    for name in ["d", "d/file", "d/link", "implied/file"] {
        assert_eq!(owner(name), (5, 6), "{name}");
    }
    assert_eq!(owner("implied"), (0, 0));
}

#[test]
fn the_root_itself_is_not_changed_by_an_entry() {
    for form in [TRUSTED, Form::Tree, Form::Archive] {
        let tree = Tree::new();
        let before = std::fs::metadata(tree.path("")).unwrap();
        let hostile = |header: &mut tar::Header| {
            header.set_mode(0o4777);
            header.set_uid(77);
        };
        let archive = TestArchive::new()
            .entry(tar::EntryType::Directory, "./", "", b"", hostile)
            .entry(tar::EntryType::Symlink, "/", "/etc", b"", |_| {});
        tree.unpack(form, archive).unwrap();
        let after = std::fs::metadata(tree.path("")).unwrap();
        assert_eq!((after.mode(), after.uid()), (before.mode(), before.uid()));
    }
}
