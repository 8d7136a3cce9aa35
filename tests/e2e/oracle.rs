//! The oracle held against itself: one that accepts anything proves nothing.

use crate::support::container::Bundle;
use crate::support::layer_rules::broken_rules;
use crate::support::oracle::complaints_about;
use crate::support::{CraftedImage, Encoding, Family, Image, Kind, LayerTar, Registry, Tree};

fn tree_of(layers: Vec<LayerTar>) -> Tree {
    let mut tree = Tree::default();
    for layer in layers {
        tree.apply(layer.finish().as_slice());
    }
    tree
}

fn sound_layer() -> LayerTar {
    LayerTar::new()
        .dir("a/", 0o755)
        .file("a/b", "b")
        .hard_link("a/c", "a/b")
        .dir("d/", 0o1777)
        .symlink("d/link", "/a/b")
}

#[test]
fn a_crafted_image_comes_back_from_the_registry_in_every_encoding() {
    let registry = Registry::start();
    for (family, encoding, stored_as) in [
        (Family::Docker, Encoding::Gzip, "gzip"),
        (Family::Docker, Encoding::Plain, "tar"),
        (Family::Oci, Encoding::Gzip, "gzip"),
        (Family::Oci, Encoding::Plain, "tar"),
        (Family::Oci, Encoding::Zstd, "zstd"),
    ] {
        CraftedImage::new(family)
            .layer(sound_layer(), encoding)
            .push_to(&registry, "crafted:1");
        let image = Image::pull(&registry, "crafted:1");
        assert_eq!(image.layers.len(), 1);
        assert_eq!(image.layers[0].stored_as(), stored_as, "{family:?}");
        assert_eq!(
            image.tree().names_in("a"),
            ["b", "c"],
            "{family:?} {encoding:?}"
        );
        let only_created = complaints_about(&image, &[]);
        assert_eq!(
            only_created,
            ["the config has no `created`"],
            "{family:?} {encoding:?}"
        );
    }
}

#[test]
fn a_wrong_base_a_mixture_of_media_types_and_a_wrong_history_are_found() {
    let registry = Registry::start();
    CraftedImage::new(Family::Oci)
        .layer(sound_layer(), Encoding::Gzip)
        .push_to(&registry, "crafted:1");
    let mut image = Image::pull(&registry, "crafted:1");
    let complaints = complaints_about(&image, &["sha256:0".to_owned()]);
    assert!(
        complaints
            .iter()
            .any(|complaint| complaint.contains("are not the first of")),
        "{complaints:?}"
    );

    image.layers[0].media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned();
    image.config["history"] = serde_json::json!([]);
    image.manifest["layers"][0]["size"] = serde_json::json!(1);
    let complaints = complaints_about(&image, &[]).join("\n");
    for expected in [
        "with a layer of application/vnd.docker",
        "history speaks of 0 layers, there are 1",
        "describes a blob of",
    ] {
        assert!(
            complaints.contains(expected),
            "{expected} is not in: {complaints}"
        );
    }
}

#[test]
fn a_corrupted_blob_is_found() {
    let registry = Registry::start();
    CraftedImage::new(Family::Oci)
        .layer(sound_layer(), Encoding::Plain)
        .push_to(&registry, "crafted:1");
    let image = Image::pull(&registry, "crafted:1");
    let path = &image.layers[0].path;
    let mut bytes = std::fs::read(path).expect("read a layer");
    let contents = bytes
        .iter()
        .position(|byte| *byte == b'b')
        .expect("a byte to change");
    bytes[contents] = b'B';
    std::fs::write(path, bytes).expect("write a layer");
    let complaints = complaints_about(&image, &[]).join("\n");
    assert!(
        complaints.contains("describes a blob of") && complaints.contains("but unpacks to"),
        "{complaints}"
    );
}

#[test]
fn a_layer_that_keeps_the_rules_passes() {
    assert_eq!(
        broken_rules(sound_layer().finish().as_slice()),
        Vec::<String>::new()
    );
    assert_eq!(
        broken_rules(LayerTar::new().finish().as_slice()),
        Vec::<String>::new()
    );
    let long = format!("{}/", "n".repeat(90));
    let tar = LayerTar::new().dir(&long, 0o755).file_with(
        &format!("{long}f"),
        "",
        0o644,
        0,
        &[("user.x", b"1")],
    );
    assert_eq!(broken_rules(tar.finish().as_slice()), Vec::<String>::new());
}

#[test]
fn every_broken_rule_of_layers_is_named() {
    let cases = [
        (LayerTar::new().file("/a", ""), "clean relative path"),
        (LayerTar::new().file("./a", ""), "clean relative path"),
        (LayerTar::new().file("../a", ""), "clean relative path"),
        (LayerTar::new().dir("a", 0o755), "end with a slash"),
        (LayerTar::new().file("a/b", ""), "without its directory"),
        (LayerTar::new().file("b", "").file("a", ""), "out of order"),
        (LayerTar::new().file("a", "").file("a", ""), "comes twice"),
        (LayerTar::new().whiteout("a").file("a", ""), "comes twice"),
        (
            LayerTar::new().hard_link("a", "b").file("b", ""),
            "does not come before",
        ),
        (
            LayerTar::new().dir("a/", 0o755).opaque("a"),
            "opaque marker",
        ),
        (LayerTar::new().whiteout("a"), "mode 0 and time 0"),
        (
            LayerTar::new().file_with("a", "", 0o644, 0, &[("trusted.overlay.opaque", b"y")]),
            "PAX record",
        ),
    ];
    for (tar, expected) in cases {
        let broken = broken_rules(tar.finish().as_slice());
        assert!(
            broken.iter().any(|rule| rule.contains(expected)),
            "{expected}: {broken:?}"
        );
    }
    let mut cut_short = sound_layer().finish();
    cut_short.truncate(cut_short.len() - 512);
    assert!(
        !broken_rules(cut_short.as_slice()).is_empty(),
        "one block of zeroes is not the end of a tar"
    );
}

#[test]
fn a_gnu_tar_with_owner_names_breaks_the_rules() {
    let mut header = tar::Header::new_gnu();
    header.set_path("a").expect("a short name");
    header.set_size(0);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append(&header, std::io::empty())
        .expect("write to memory");
    let mut header = tar::Header::new_ustar();
    header.set_path("b").expect("a short name");
    header.set_username("root").expect("a short name");
    header.set_size(0);
    header.set_cksum();
    builder
        .append(&header, std::io::empty())
        .expect("write to memory");
    let broken = broken_rules(builder.into_inner().expect("write to memory").as_slice()).join("\n");
    assert!(
        broken.contains("`a` has no ustar header") && broken.contains("`b` names its owner"),
        "{broken}"
    );
}

#[test]
fn whiteouts_and_opaque_markers_delete_what_lies_below_them_only() {
    let lower = LayerTar::new()
        .dir("d/", 0o755)
        .file("d/one", "1")
        .file("d/two", "2")
        .file("e", "e")
        .dir("f/", 0o755)
        .file("f/x", "");
    // The opaque marker comes after its neighbour: it still hides only the layers below.
    let upper = LayerTar::new()
        .dir("d/", 0o700)
        .file("d/three", "3")
        .opaque("d")
        .whiteout("e")
        .file("f", "now a file");
    let tree = tree_of(vec![lower, upper]);
    assert_eq!(tree.names_in("d"), ["three"]);
    assert_eq!(tree.get("d").mode, 0o700);
    assert!(!tree.has("e") && !tree.has("f/x"));
    assert!(matches!(tree.get("f").kind, Kind::File { size: 10, .. }));
}

#[test]
fn differences_between_trees_are_named() {
    let one = tree_of(vec![LayerTar::new().file("a", "1").file("b", "1")]);
    let other = tree_of(vec![LayerTar::new().file("a", "2").file("c", "1")]);
    let differences = one.differences(&other);
    assert_eq!(differences.len(), 3, "{differences:?}");
    assert!(
        differences[0].starts_with("a: ") && differences[1].starts_with("b: only in the first")
    );
    assert_eq!(
        one.differences(&tree_of(vec![
            LayerTar::new().file("a", "1").file("b", "1")
        ])),
        Vec::<String>::new()
    );
}

#[test]
fn an_unpacked_image_has_the_files_that_its_layers_say() {
    let registry = Registry::start();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let lower = LayerTar::new()
        .dir("d/", 0o755)
        .file("d/gone", "")
        .fifo("d/pipe")
        .file("d/same", "same")
        .hard_link("d/twin", "d/same")
        .file_with(
            "ping",
            "#!",
            0o4755,
            7,
            &[("security.capability", &capability), ("user.note", b"kept")],
        );
    let upper = LayerTar::new()
        .dir("d/", 0o750)
        .whiteout("d/gone")
        .symlink("d/link", "nowhere");
    let image = CraftedImage::new(Family::Oci)
        .layer(lower, Encoding::Gzip)
        .layer(upper, Encoding::Plain);
    image.push_to(&registry, "crafted:1");
    let image = Image::pull(&registry, "crafted:1");
    let (said, unpacked) = (image.tree(), Bundle::unpack(&image).tree());
    assert_eq!(said.differences(&unpacked), Vec::<String>::new());
    assert!(said.are_hard_links("d/same", "d/twin") && unpacked.are_hard_links("d/same", "d/twin"));
    assert!(!said.are_hard_links("d/same", "ping") && !unpacked.are_hard_links("d/same", "ping"));
}
