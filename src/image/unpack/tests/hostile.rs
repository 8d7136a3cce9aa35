//! Archives that want out, or want too much. Each is tried in every form.

use std::os::unix::fs::symlink;

use tar::EntryType;

use super::*;

const FORMS: [Form; 4] = [TRUSTED, USER, Form::Tree, Form::Archive];

#[test]
fn absolute_names_are_taken_relative_to_the_root() {
    for form in FORMS {
        let tree = Tree::new();
        let archive = TestArchive::new()
            .file("/sawagani-absolute", "inside")
            .file("//double/./slash", "inside");
        tree.unpack(form, archive).unwrap();
        assert_eq!(tree.text("sawagani-absolute"), "inside");
        assert_eq!(tree.text("double/slash"), "inside");
        assert!(!Path::new("/sawagani-absolute").exists());
    }
}

#[test]
fn names_that_climb_out_are_refused_by_name() {
    for form in FORMS {
        for name in ["../out", "a/../../out", "/../out", "..", "a/b/../../../out"] {
            let tree = Tree::new();
            let archive = TestArchive::new().dir("a").file(name, "outside");
            let (entry, error) = entry_error(tree.unpack(form, archive));
            assert_eq!(entry, name);
            assert!(matches!(error, EntryError::ClimbsOut), "{name}: {error:?}");
        }
    }
}

#[test]
fn links_on_the_way_lead_nowhere_but_inside() {
    let targets = [
        "/",
        "..",
        "../..",
        "../../../../../../..",
        "/proc/self/root",
        "/proc/1/root/../root",
    ];
    for form in FORMS {
        for target in targets {
            let tree = Tree::new();
            let outside = tree.temp.path().join("root/../outside");
            let archive = TestArchive::new()
                .symlink("link", target)
                .file("link/sawagani-escape", "contained")
                .dir("link/outside")
                .file("link/outside/file", "contained");
            tree.unpack(form, archive).unwrap();
            assert!(!outside.exists());
            assert!(!Path::new("/sawagani-escape").exists());
            assert!(!tree.temp.path().join("sawagani-escape").exists());
        }
    }
}

#[test]
fn a_link_to_a_real_directory_outside_changes_nothing_there() {
    for form in FORMS {
        let tree = Tree::new();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("precious"), "kept").unwrap();
        std::fs::create_dir(outside.path().join("d")).unwrap();
        let target = outside.path().to_str().unwrap();
        let before = describe(&outside.path().join("d"));
        let archive = TestArchive::new()
            .symlink("link", target)
            .file("link/precious", "overwritten")
            .file("link/.wh.precious", "")
            .file("link/.wh..wh..opq", "")
            .dir("link/d")
            .file("link/d/new", "");
        tree.unpack(form, archive).unwrap();
        let precious = std::fs::read_to_string(outside.path().join("precious"));
        assert_eq!(precious.unwrap(), "kept");
        assert_eq!(describe(&outside.path().join("d")), before);
        assert!(!outside.path().join("d/new").exists());
    }
}

#[test]
fn links_in_a_tree_that_was_there_before_do_not_lead_out_either() {
    for form in [Form::Tree, Form::Archive] {
        let tree = Tree::new();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), tree.path("link")).unwrap();
        let archive = TestArchive::new()
            .file("link/file", "contained")
            .symlink("loop", "loop");
        tree.unpack(form, archive).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        let inside = tree
            .path("")
            .join(outside.path().strip_prefix("/").unwrap());
        assert_eq!(
            std::fs::read_to_string(inside.join("file")).unwrap(),
            "contained"
        );
    }
}

#[test]
fn a_directory_that_becomes_a_link_gets_no_time_outside() {
    for form in FORMS {
        let tree = Tree::new();
        let outside = tempfile::tempdir().unwrap();
        std::fs::create_dir(outside.path().join("b")).unwrap();
        let before = describe(&outside.path().join("b"));
        let archive = TestArchive::new()
            .dir("a")
            .dir("a/b")
            .file("a/b/c", "")
            .symlink("a", outside.path().to_str().unwrap());
        tree.unpack(form, archive).unwrap();
        assert!(tree.metadata("a").is_symlink());
        assert_eq!(describe(&outside.path().join("b")), before);
    }
}

#[test]
fn a_loop_of_links_on_the_way_is_refused() {
    for form in FORMS {
        let tree = Tree::new();
        let archive = TestArchive::new()
            .symlink("a", "b")
            .symlink("b", "a")
            .file("a/x", "");
        let (entry, _) = entry_error(tree.unpack(form, archive));
        assert_eq!(entry, "a/x");
    }
}

#[test]
fn hard_links_reach_nothing_outside() {
    for form in FORMS {
        let tree = Tree::new();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("shadow"), "secret").unwrap();
        let up = TestArchive::new().hard_link("stolen", "../../etc/passwd");
        let (entry, error) = entry_error(tree.unpack(form, up));
        assert_eq!(entry, "stolen");
        assert!(matches!(error, EntryError::LinkTarget { .. }), "{error:?}");

        let through = TestArchive::new()
            .symlink("way", outside.path().to_str().unwrap())
            .hard_link("stolen", "way/shadow");
        match (form, tree.unpack(form, through)) {
            (Form::OverlayLayer(_), Ok(unpacked)) => assert_eq!(unpacked.deferred_links.len(), 1),
            (_, result) => {
                let (_, error) = entry_error(result);
                let is_expected = matches!(error, EntryError::MissingLinkTarget { .. });
                assert!(is_expected, "{error:?}");
            }
        }
        assert!(!tree.exists("stolen"));
    }
}

#[test]
fn hard_links_to_directories_are_refused() {
    for form in FORMS {
        for target in ["d", ".", "/"] {
            let tree = Tree::new();
            let archive = TestArchive::new().dir("d").hard_link("link", target);
            let (_, error) = entry_error(tree.unpack(form, archive));
            let is_expected = matches!(error, EntryError::LinkToDirectory { .. });
            assert!(is_expected, "{error:?}");
        }
    }
}

#[test]
fn a_hard_link_to_itself_keeps_the_file() {
    for form in FORMS {
        let tree = Tree::new();
        let archive = TestArchive::new().file("a", "text").hard_link("./a", "a");
        tree.unpack(form, archive).unwrap();
        assert_eq!(tree.text("a"), "text");
    }
}

#[test]
fn writing_over_a_link_does_not_write_through_it() {
    for form in FORMS {
        let tree = Tree::new();
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        let archive = TestArchive::new()
            .symlink("x", victim.to_str().unwrap())
            .file("x", "new")
            .file("y", "first")
            .hard_link("z", "y")
            .file("z", "second");
        tree.unpack(form, archive).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(
            (tree.text("x"), tree.text("y")),
            ("new".into(), "first".into())
        );
        assert_eq!(tree.text("z"), "second");
    }
}

#[test]
fn what_stands_where_a_directory_must_be_makes_room() {
    for form in FORMS {
        let tree = Tree::new();
        let archive = TestArchive::new()
            .char_device("dev", 1, 3)
            .file("dev/below", "1")
            .file("file", "")
            .file("file/below", "2")
            .entry(EntryType::Fifo, "pipe", "", b"", |_| {})
            .file("pipe/a/b", "3");
        tree.unpack(form, archive).unwrap();
        assert_eq!(tree.text("dev/below"), "1");
        assert_eq!(tree.text("file/below"), "2");
        assert_eq!(tree.text("pipe/a/b"), "3");
    }
}

#[test]
fn of_duplicate_entries_the_last_wins_whatever_they_are() {
    for form in FORMS {
        let tree = Tree::new();
        let archive = TestArchive::new()
            .file("a", "one")
            .file("a", "two")
            .dir("b")
            .file("b/inside", "gone")
            .file("b", "file now")
            .file("c", "file")
            .dir("c")
            .file("c/inside", "there")
            .symlink("d", "b")
            .dir("d")
            .file("d/inside", "real")
            .dir("e")
            .file("e/kept", "kept")
            .dir("e/");
        tree.unpack(form, archive).unwrap();
        assert_eq!(tree.text("a"), "two");
        assert_eq!(tree.text("b"), "file now");
        assert_eq!(tree.text("c/inside"), "there");
        assert!(tree.metadata("d").is_dir());
        assert_eq!(tree.text("d/inside"), "real");
        assert_eq!(tree.text("e/kept"), "kept");
    }
}

#[test]
fn owners_that_no_system_has_are_refused_by_name() {
    for id in ["4294967295", "4294967296", "9223372036854775807", "-5"] {
        let tree = Tree::new();
        let archive = TestArchive::new()
            .pax("uid", id.as_bytes())
            .file("owned", "");
        let (entry, error) = entry_error(tree.unpack(TRUSTED, archive));
        assert_eq!(entry, "owned");
        assert!(
            matches!(error, EntryError::OwnerOutOfRange { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(id), "{error}");
    }
}

#[test]
fn long_names_are_made_and_impossible_ones_refused() {
    for form in FORMS {
        let tree = Tree::new();
        let long = format!(
            "{}/{}/{}",
            "a".repeat(255),
            "b".repeat(255),
            "c".repeat(255)
        );
        let archive = TestArchive::new()
            .pax("path", long.as_bytes())
            .file("short", "found");
        tree.unpack(form, archive).unwrap();
        assert_eq!(tree.text(&long), "found");

        let component = "x".repeat(300);
        let archive = TestArchive::new()
            .pax("path", component.as_bytes())
            .file("short", "");
        let (entry, _) = entry_error(tree.unpack(form, archive));
        assert_eq!(entry, format!("{}…", "x".repeat(256)));

        let endless = "d/".repeat(100_000);
        let archive = TestArchive::new()
            .pax("path", endless.as_bytes())
            .file("short", "");
        let (_, error) = entry_error(tree.unpack(form, archive));
        assert!(matches!(error, EntryError::NameTooLong), "{error:?}");
    }
}

#[test]
fn the_deepest_tree_that_names_allow_is_made_replaced_and_whited_out() {
    let deep = "d/".repeat(2000);
    for form in [TRUSTED, Form::Tree] {
        let tree = Tree::new();
        let archive = || {
            TestArchive::new()
                .pax("path", format!("{deep}file").as_bytes())
                .file("short", "deep")
        };
        tree.unpack(form, archive()).unwrap();
        let path = format!("{deep}file");
        let found = tree.root.metadata(Path::new(&path)).unwrap();
        assert_eq!(found.unwrap().size, 4);
        match form {
            Form::Tree => {
                let again = archive().file("d/.wh..wh..opq", "").file(".wh.d", "");
                tree.unpack(form, again).unwrap();
                assert!(tree.root.metadata(Path::new(&path)).unwrap().is_some());
                tree.unpack(form, TestArchive::new().file(".wh.d", ""))
                    .unwrap();
            }
            Form::OverlayLayer(_) | Form::Archive => {
                tree.unpack(form, TestArchive::new().file("d", "flat"))
                    .unwrap();
                assert_eq!(tree.text("d"), "flat");
            }
        }
    }
}

#[test]
fn devices_that_overlayfs_would_take_for_deletions_are_in_nothing_but_trees_of_layers() {
    for form in FORMS {
        let tree = Tree::new();
        let archive = TestArchive::new().char_device("zero", 0, 0);
        let unpacked = tree.unpack(form, archive).unwrap();
        match form {
            Form::OverlayLayer(_) | Form::Archive => {
                assert!(!tree.exists("zero"));
                assert_eq!(unpacked.skipped_devices.count, 1);
                assert_eq!(unpacked.skipped_devices.first, [Path::new("zero")]);
            }
            Form::Tree => {
                assert!(tree.is_whiteout("zero"));
                assert_eq!(unpacked.skipped_devices.count, 0);
            }
        }
    }
}

#[test]
fn the_list_of_what_was_left_out_does_not_grow() {
    let mut skipped = Skipped::default();
    for index in 0..1000 {
        skipped.note(format!("dev/{index}").as_bytes());
    }
    assert_eq!((skipped.count, skipped.first.len()), (1000, 5));
}

#[test]
fn a_directory_emptied_thousands_of_times_keeps_what_the_layer_brings() {
    let tree = Tree::new();
    let mut archive = TestArchive::new().dir("d");
    for index in 0..2000 {
        archive = archive.file(&format!("d/{index}"), "");
    }
    for _ in 0..5_000 {
        archive = archive.file("d/.wh..wh..opq", "").file(".wh.d", "");
    }
    tree.unpack(Form::Tree, archive).unwrap();
    assert_eq!(std::fs::read_dir(tree.path("d")).unwrap().count(), 2000);
}
