use std::io::Cursor;

use super::*;
use crate::image::archive::test_archive::TestArchive;
use crate::image::archive::{ArchiveReader, EntryKind};
use crate::image::layer_writer::{Compression, LayerOptions, LayerWriter};

mod random;

/// Makes one layer, as a tar, of `layers` above `below`.
fn merged(below: &[Vec<u8>], layers: &[Vec<u8>]) -> Result<Vec<u8>, MergeError> {
    let mut names = Names::default();
    for layer in layers {
        names.add_layer(&layer[..])?;
    }
    let mut hidden = Hidden::by(&names);
    for layer in below {
        hidden.see_layer(&layer[..])?;
    }
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("layer");
    let options = LayerOptions {
        compression: Compression::None,
        clamp_mtime: None,
        threads: 1,
    };
    let mut writer = LayerWriter::create(&file, options).unwrap();
    let open = |number: usize| Ok(Cursor::new(&layers[number]));
    compose(&names, &hidden, open, temp.path(), &mut writer)?;
    writer.finish().unwrap();
    Ok(std::fs::read(file).unwrap())
}

/// Returns what a layer has: names, with a slash behind directories, the contents of files, and what links lead to.
fn shown(layer: &[u8]) -> Vec<String> {
    let mut archive = ArchiveReader::new(layer);
    let mut shown = Vec::new();
    while let Some(entry) = archive.next_entry().unwrap() {
        let name = entry.name.escape_ascii();
        let text = |target: &[u8]| target.escape_ascii().to_string();
        shown.push(match &entry.kind {
            EntryKind::File { size: 0, .. } | EntryKind::Directory | EntryKind::Fifo => {
                name.to_string()
            }
            EntryKind::File { .. } => format!("{name}={}", text(archive.contents().unwrap())),
            EntryKind::HardLink { target } => format!("{name}=>{}", text(target)),
            EntryKind::Symlink { target } => format!("{name}->{}", text(target)),
            kind => panic!("{kind:?}"),
        });
    }
    shown
}

fn layer() -> TestArchive {
    TestArchive::new()
}

/// Asserts what becomes of `layers` above `below`.
#[track_caller]
fn assert_merged(below: Vec<TestArchive>, layers: Vec<TestArchive>, expected: &[&str]) {
    let bytes = |layers: Vec<TestArchive>| Vec::from_iter(layers.into_iter().map(|l| l.finish()));
    let found = merged(&bytes(below), &bytes(layers)).unwrap();
    assert_eq!(shown(&found), expected);
}

#[test]
fn the_last_word_counts_and_what_is_taken_back_is_not_there() {
    assert_merged(
        vec![layer().dir("old/").file("old/f", "1")],
        vec![
            layer().dir("a/").file("a/gone", "1").file("a/kept", "1"),
            layer().dir("a/").file("a/.wh.gone", "").file("a/kept", "2"),
            layer().file("b", "3"),
        ],
        &["a/", "a/kept=2", "b=3"],
    );
}

#[test]
fn a_deletion_stays_where_the_base_has_the_name_and_nowhere_else() {
    let own = || {
        vec![
            layer().dir("a/").file("a/x", "1").file("a/y", "1"),
            layer()
                .dir("a/")
                .file("a/.wh.x", "")
                .file("a/.wh.y", "")
                .file(".wh.z", ""),
        ]
    };
    let base = || layer().dir("a/").file("a/x", "0").file("z", "0");
    assert_merged(vec![base()], own(), &[".wh.z", "a/", "a/.wh.x"]);
    assert_merged(vec![], own(), &["a/"]);
    // What the base has deleted itself, or put something else in place of, need not be deleted again.
    let deletes = layer().dir("a/").file("a/.wh.x", "").file(".wh.z", "");
    assert_merged(vec![base(), deletes], own(), &["a/"]);
    let opaque = layer().dir("a/").file("a/.wh..wh..opq", "").file("a/y", "");
    assert_merged(vec![base(), opaque], own(), &[".wh.z", "a/", "a/.wh.y"]);
    assert_merged(vec![base(), layer().file("a", "")], own(), &[".wh.z", "a/"]);
}

#[test]
fn a_directory_that_was_made_again_hides_what_the_base_has_in_it() {
    assert_merged(
        vec![
            layer()
                .dir("d/")
                .file("d/x", "0")
                .dir("d/sub/")
                .file("d/sub/y", "0")
                .file("d/sub/z", "0"),
        ],
        vec![
            layer().file(".wh.d", ""),
            layer()
                .dir("d/")
                .file("d/own", "1")
                .dir("d/sub/")
                .file("d/sub/z", "1"),
        ],
        &[
            "d/",
            "d/.wh.x",
            "d/own=1",
            "d/sub/",
            "d/sub/.wh.y",
            "d/sub/z=1",
        ],
    );
    // The same, by a file in its place and by a mark.
    let base = || layer().dir("d/").file("d/x", "0");
    assert_merged(
        vec![base()],
        vec![layer().file("d", "1"), layer().dir("d/")],
        &["d/", "d/.wh.x"],
    );
    assert_merged(
        vec![base()],
        vec![
            layer().dir("d/").file("d/own", "1"),
            layer().dir("d/").file("d/.wh..wh..opq", ""),
        ],
        &["d/", "d/.wh.x"],
    );
    // What is no directory hides all by itself.
    assert_merged(
        vec![base()],
        vec![layer().file(".wh.d", ""), layer().symlink("d", "e")],
        &["d->e"],
    );
}

#[test]
fn names_of_one_file_stay_so_and_the_first_that_is_left_has_the_contents() {
    let links = || {
        layer()
            .file("a", "one")
            .hard_link("b", "a")
            .hard_link("c", "a")
    };
    assert_merged(vec![], vec![links()], &["a=one", "b=>a", "c=>a"]);
    assert_merged(
        vec![],
        vec![links(), layer().file("a", "two")],
        &["a=two", "b=one", "c=>b"],
    );
    assert_merged(
        vec![],
        vec![links(), layer().file(".wh.a", "").file(".wh.c", "")],
        &["b=one"],
    );
    // A link to the new file is none to the old one.
    assert_merged(
        vec![],
        vec![links(), layer().file("a", "two").hard_link("z", "a")],
        &["a=two", "b=one", "c=>b", "z=>a"],
    );
    // Contents wait for their turn, of whatever kind and layer the file is.
    assert_merged(
        vec![],
        vec![
            layer().symlink("a", "t").hard_link("x", "a"),
            layer()
                .file("b", "two")
                .hard_link("y", "b")
                .file("c", "three"),
            layer()
                .file(".wh.a", "")
                .file(".wh.b", "")
                .hard_link("d", "c"),
        ],
        &["c=three", "d=>c", "x->t", "y=two"],
    );
}

#[test]
fn order_is_that_of_a_layer_whatever_the_layers_have() {
    assert_merged(
        vec![
            layer()
                .file("-", "")
                .file("a-", "")
                .dir("a/")
                .file("a/z", ""),
        ],
        vec![
            layer()
                .file("b", "")
                .dir("a/")
                .file("a/b", "")
                .file("a/a", ""),
            layer()
                .file("a-", "")
                .dir("a/")
                .file("a/.wh.z", "")
                .file(".wh.-", ""),
        ],
        &[".wh.-", "a/", "a/.wh.z", "a/a", "a/b", "a-", "b"],
    );
}

#[test]
fn names_behind_links_of_the_base_are_deleted_where_they_are() {
    // The root directory is its own parent.
    for target in ["usr/bin", "/usr/bin", "../../usr/bin"] {
        let base = layer().symlink("bin", target).dir("usr/").dir("usr/bin/");
        let through = layer().file("bin/tool", "0").file("bin/other", "0");
        let layers = vec![
            layer()
                .dir("usr/")
                .dir("usr/bin/")
                .file("usr/bin/.wh.tool", ""),
        ];
        assert_merged(
            vec![base, through],
            layers,
            &["usr/", "usr/bin/", "usr/bin/.wh.tool"],
        );
    }
}

#[test]
fn what_no_layer_of_ours_has_is_refused_by_name() {
    let cases = [
        (layer().hard_link("a", "b"), ["`a`", "`b`"]),
        (layer().dir("d/").hard_link("a", "d"), ["`a`", "`d`"]),
        (layer().file("d/f", ""), ["`d/f`", "directory"]),
        (layer().file("../f", ""), ["`../f`", "root"]),
        (
            layer()
                .pax("GNU.sparse.map", b"0,3,10,2")
                .pax("GNU.sparse.size", b"20")
                .file("holes", "abcde"),
            ["`holes`", "holes"],
        ),
    ];
    for (layer, parts) in cases {
        let error = anyhow::Error::new(merged(&[], &[layer.finish()]).unwrap_err());
        let text = format!("{error:#}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    // Described by a lower layer only: whoever applies this one alone would have to make it up.
    let layers = [layer().dir("d/").finish(), layer().file("d/f", "").finish()];
    assert!(merged(&[], &layers).is_err());
}
