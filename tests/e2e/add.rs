//! ADD: archives of the context, unpacked.

use crate::support::crafted::{self, encode};
use crate::support::tool::Tool;
use crate::support::{Encoding, Kind, LayerTar, Site};

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

/// Names say nothing: what begins with the header of a tar, once it is decompressed, is an archive.
#[test]
fn archives_are_known_by_what_is_in_them() {
    let site = Site::busybox();
    let tar = || LayerTar::new().file("inside", "x").finish();
    let context = site
        .context(
            "ADD picture.png /unpacked/\nADD fake.tar fake.tgz empty.tar /copied/\nADD dir /dir/\nADD to-archive /followed/\n\
             ADD --unpack=true picture.png /asked/\nADD --unpack=false picture.png /kept\nADD pic*.png /hit\n\
             ADD --chmod=600 picture.png /mode/",
        )
        .file("picture.png", encode(&tar(), Encoding::Gzip))
        .file("fake.tar", "no archive")
        .file("fake.tgz", "no archive")
        .file("empty.tar", "")
        .file("dir/in.tar", tar())
        .symlink("to-archive", "dir/in.tar");
    let tree = site.build_as_both(&context);
    for unpacked in ["unpacked", "followed", "asked", "hit", "mode"] {
        assert_eq!(tree.names_in(unpacked), ["inside"], "{unpacked}");
    }
    assert_eq!(
        tree.names_in("copied"),
        ["empty.tar", "fake.tar", "fake.tgz"]
    );
    assert_eq!(
        tree.names_in("dir"),
        ["in.tar"],
        "one in a directory is a file"
    );
    assert!(matches!(tree.get("kept").kind, Kind::File { .. }));
}

#[test]
fn what_an_archive_holds_stays_below_the_destination() {
    let site = Site::busybox();
    let tar = LayerTar::new()
        .symlink("to-root", "/")
        .symlink("up", "../../../../..")
        .file("to-root/through-absolute", "1")
        .file("up/through-relative", "2")
        .file("implied/by/path", "3")
        .hard_link("twin", "implied/by/path")
        .fifo("pipe");
    let context = site
        .context(
            "RUN mkdir -m 700 /there /real && chown 5:6 /there && ln -s /real /to\nADD --chown=8:9 a.tar /there/\nADD a.tar /to/new/",
        )
        .file("a.tar", tar.finish());
    let tree = site.build_as_both(&context);
    assert_eq!(
        tree.names_in("there"),
        [
            "implied",
            "pipe",
            "through-absolute",
            "through-relative",
            "to-root",
            "twin",
            "up"
        ],
        "for the archive, the destination is the root"
    );
    let there = tree.get("there");
    assert_eq!(
        (there.mode, there.uid, there.gid),
        (0o700, 5, 6),
        "as it was"
    );
    let implied = tree.get("there/implied/by");
    assert_eq!(
        (implied.mode, implied.uid, implied.gid),
        (0o755, 0, 0),
        "--chown is for what the archive has entries of"
    );
    assert_eq!(tree.get("there/implied/by/path").uid, 8);
    assert!(tree.are_hard_links("there/twin", "there/implied/by/path"));
    assert_eq!(tree.get("there/pipe").kind, Kind::Fifo);
    let made = tree.get("real/new");
    assert_eq!((made.mode, made.uid), (0o755, 0));
    assert!(tree.has("real/new/implied/by/path"));
}
