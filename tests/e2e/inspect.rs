//! `executor inspect` and `executor unpack`: images that are there already, in a registry and in files.

use crate::support::crafted::push_index;
use crate::support::{
    CraftedImage, Encoding, Executor, Family, Image, LayerTar, Registry, Site, Tree, Who,
};
use serde_json::Value;
use std::fs;

fn executor(who: Who, command: &str, image: &str) -> Executor {
    Executor::new(who).args([command, image])
}

fn inspected(image: &str, flags: &[&str]) -> Value {
    let run = executor(Who::User, "inspect", image)
        .args(flags)
        .run_as_given();
    run.assert_success();
    serde_json::from_str(run.stdout()).expect("JSON")
}

#[test]
fn an_image_says_the_same_of_itself_wherever_it_is() {
    let site = Site::busybox();
    let executor_ = site.executor(Who::User, &site.context("RUN touch /new"));
    let (layout, tar) = (executor_.out("layout"), executor_.out("image.tar"));
    let oci = format!(
        "--output=type=oci,dest={}",
        executor_.out("oci.tar").display()
    );
    let build = executor_.arg("--oci-layout-path").arg(&layout);
    let build = build.arg("--tar-path").arg(&tar).arg(oci).run();
    build.assert_success();
    let pushed = Image::pull(&site.registry, "app:1");
    let app = site.app();
    let oci = build.out("oci.tar");
    for place in [
        &app,
        &layout.display().to_string(),
        &oci.display().to_string(),
    ] {
        let shown = inspected(place, &[]);
        assert_eq!(shown["name"].as_str(), Some(place.as_str()));
        assert_eq!(shown["digest"], pushed.digest(), "{place}");
        assert_eq!(shown["mediaType"], pushed.manifest["mediaType"]);
        assert_eq!(shown["manifest"], pushed.manifest, "{place}");
        assert_eq!(shown["config"], pushed.config, "{place}");
        let raw = executor(Who::User, "inspect", place)
            .arg("--raw")
            .run_as_given();
        assert_eq!(raw.stdout_bytes(), pushed.manifest_bytes, "{place}");
    }
    // docker save's form has no manifest of its own: the config is the same.
    let tar = tar.display().to_string();
    assert_eq!(inspected(&tar, &["--config"]), pushed.config);
    assert_eq!(inspected(&tar, &[])["config"], pushed.config);
}

#[test]
fn an_index_shows_what_it_lists_and_a_platform_its_image() {
    let registry = Registry::start();
    let image = |architecture: &str| {
        let layer = LayerTar::new().file("architecture", architecture);
        let image = CraftedImage::new(Family::Oci).architecture(architecture);
        image.layer(layer, Encoding::Gzip)
    };
    push_index(&registry, &[image("amd64"), image("arm64")], "index:1");
    let index = registry.reference("index:1");
    let shown = inspected(&index, &[]);
    assert_eq!(
        shown["index"]["manifests"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(
        shown["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    let arm = inspected(&index, &["--platform=linux/arm64"]);
    assert_eq!(arm["config"]["architecture"], "arm64");
    let missing = executor(Who::User, "inspect", &index);
    let missing = missing.arg("--platform=linux/s390x").run_as_given();
    missing.assert_error(1, &["s390x", "linux/amd64"]);
    let unpack = executor(Who::User, "unpack", &index);
    let dir = unpack.out("arm");
    let unpack = unpack
        .arg("--platform=linux/arm64")
        .arg("-o")
        .arg(&dir)
        .run_as_given();
    unpack.assert_success();
    assert_eq!(unpack.read("arm/architecture"), "arm64");
}

#[test]
fn an_image_is_unpacked_by_anybody() {
    let registry = Registry::start();
    let lower = LayerTar::new()
        .dir("dir/", 0o750)
        .file("dir/kept", "kept")
        .file("dir/gone", "gone")
        .null_device("null");
    let upper = LayerTar::new()
        .whiteout("dir/gone")
        .hard_link("linked", "dir/kept")
        .symlink("s", "dir");
    let image = CraftedImage::new(Family::Oci);
    let image = image
        .layer(lower, Encoding::Gzip)
        .layer(upper, Encoding::Zstd);
    image.push_to(&registry, "zoo:1");
    let pulled = Image::pull(&registry, "zoo:1");
    for who in Who::BOTH {
        let unpack = executor(who, "unpack", &registry.reference("zoo:1"));
        let dir = unpack.out("rootfs");
        let unpack = unpack.arg("--output").arg(&dir).run_as_given();
        unpack.assert_success();
        let account = who.account();
        let expected = match who {
            Who::Root => pulled.tree(),
            Who::User | Who::UserWithoutRange => pulled
                .tree()
                .of_user(account.uid.into(), account.gid.into()),
        };
        let found = Tree::of_directory(&unpack.out("rootfs"));
        assert_eq!(
            found.differences(&expected),
            Vec::<String>::new(),
            "{who:?}"
        );
        assert_eq!(
            unpack.stderr().contains("left out devices"),
            who == Who::User
        );
    }
}

#[test]
fn a_directory_with_files_is_not_unpacked_into_and_a_failure_leaves_none() {
    let site = Site::busybox();
    let unpack = executor(Who::User, "unpack", &site.base.reference);
    let dir = unpack.out("full");
    fs::create_dir(&dir).expect("make a directory");
    fs::write(dir.join("file"), "").expect("write a file");
    let unpack = unpack.arg("-o").arg(&dir).run_as_given();
    unpack.assert_error(1, &["is not empty"]);

    let executor_ = site.executor(Who::User, &site.context("COPY file /").file("file", "x"));
    let layout = executor_.out("layout");
    let build = executor_.arg("--oci-layout-path").arg(&layout).run();
    build.assert_success();
    let image = inspected(&layout.display().to_string(), &[]);
    let layer = image["manifest"]["layers"][1]["digest"]
        .as_str()
        .expect("a layer");
    let blob = layout.join("blobs").join(layer.replace(':', "/"));
    let mut bytes = fs::read(&blob).expect("read the layer");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&blob).expect("remove the layer");
    fs::write(&blob, bytes).expect("write the damaged layer");
    let unpack = executor(Who::User, "unpack", &layout.display().to_string());
    let dir = unpack.out("rootfs");
    let unpack = unpack.arg("-o").arg(&dir).run_as_given();
    unpack.assert_error(1, &["cannot unpack the layer"]);
    assert_eq!(fs::read_dir(unpack.out("")).expect("read").count(), 0);
}
