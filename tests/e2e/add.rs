//! ADD: archives of the context, unpacked.

use crate::support::crafted::{self, encode};
use crate::support::tool::Tool;
use crate::support::{Encoding, LayerTar, Site};

#[test]
fn archives_are_unpacked_by_add_and_not_by_copy() {
    let site = Site::busybox();
    let tar = LayerTar::new()
        .dir("in/", 0o700)
        .file_with("in/owned", "owned", 0o640, 77, &[])
        .symlink("in/link", "owned");
    let mut context = site
        .context(
            "ADD plain.tar gz.tgz bz2.data xz.tar zst.tar /first/\nADD gz.tgz /gz/\nADD bz2.data /bz2/\nADD xz.tar /xz/\nADD zst.tar /zst/\n\
             ADD --chown=5:6 plain.tar /chowned/\nCOPY gz.tgz /copied/\nADD text.gz /text/\nADD --unpack=false plain.tar /kept/",
        )
        .file("plain.tar", tar.finish());
    for (program, name) in [
        ("gzip", "gz.tgz"),
        ("bzip2", "bz2.data"),
        ("xz", "xz.tar"),
        ("zstd", "zst.tar"),
    ] {
        let compressed = Tool::new(program)
            .arg("-c")
            .arg(context.path().join("plain.tar"))
            .output();
        assert!(compressed.status.success(), "{program}");
        context = context.file(name, compressed.stdout);
    }
    let no_tar = encode(b"text that is no archive", Encoding::Gzip);
    let context = context.file("text.gz", no_tar);
    let tree = site.build_as_both(&context);
    for directory in ["first", "gz", "bz2", "xz", "zst"] {
        assert_eq!(tree.names_in(directory), ["in"], "{directory}");
        let owned = tree.get(&format!("{directory}/in/owned"));
        assert_eq!(
            (owned.uid, owned.mode, owned.mtime),
            (77, 0o640, crafted::MTIME as i64),
            "{directory}"
        );
        assert_eq!(
            tree.get(&format!("{directory}/in")).mode,
            0o700,
            "{directory}"
        );
    }
    assert_eq!(
        (
            tree.get("chowned/in/owned").uid,
            tree.get("chowned/in/owned").gid
        ),
        (5, 6)
    );
    assert_eq!(
        (tree.names_in("copied"), tree.names_in("kept")),
        (vec!["gz.tgz"], vec!["plain.tar"])
    );
    assert_eq!(
        tree.names_in("text"),
        ["text.gz"],
        "a compressed file that holds no tar is copied as it is"
    );
}

#[test]
fn an_archive_that_is_excluded_is_not_unpacked() {
    let site = Site::busybox();
    let tar = LayerTar::new().file("inside", "x").finish();
    let context = site
        .context("ADD --exclude=*.tar left.tar kept.txt /added/")
        .file("left.tar", tar)
        .file("kept.txt", "kept");
    assert_eq!(site.build_as_both(&context).names_in("added"), ["kept.txt"]);
}
