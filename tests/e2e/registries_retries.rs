//! Bases that come in the end: asked for again, unpacked again.

use crate::support::{
    Context, CraftedImage, Encoding, Executor, Family, Image, LayerTar, Proxy, Registry, Verdict,
    Who,
};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Makes `/new`, if the base has what it should and nothing else.
fn build(base: &str, app: &str) -> Executor {
    let command = "test -e /file-ab && test ! -e /file-ba && : > /new";
    let context = Context::new(format!(
        "FROM {base}\nRUN [\"/bin/sh\", \"-c\", \"{command}\"]\n"
    ));
    Executor::new(Who::Root).context(&context).destination(app)
}

/// The layer that is meant, and one of the same size with a file of another name.
fn two_layers() -> [Vec<u8>; 2] {
    ["file-ab", "file-ba"].map(|name| LayerTar::new().file(name, "x").finish())
}

fn push_base(registry: &Registry, layer: Vec<u8>) -> Image {
    CraftedImage::new(Family::Oci)
        .layer(LayerTar::new().shell(), Encoding::Gzip)
        .layer_of_bytes(layer, Encoding::Plain)
        .push_to(registry, "base:1");
    Image::pull(registry, "base:1")
}

#[test]
fn an_image_is_asked_for_again_as_often_as_the_flag_says() {
    let registry = Registry::start();
    let [layer, _] = two_layers();
    push_base(&registry, layer);
    let count = AtomicUsize::new(0);
    // The registry's client does not ask again after a 403.
    let proxy = Proxy::with(&registry, move |line| {
        let is_manifest = line.contains("/base/manifests/1");
        match is_manifest && count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            true => Verdict::Refuse(403),
            false => Verdict::Pass,
        }
    });
    let build = || build(&proxy.reference("base:1"), &registry.reference("app:1"));
    let once = build().run();
    once.assert_error(1, &["Dockerfile:1", "403"]);
    // The second time is the third request.
    proxy.take();
    build().run().assert_success();
    let again = build().arg("--image-download-retry=1").run();
    again.assert_success();
    assert!(
        again
            .stderr()
            .contains("asked for again in 1 s (retry 1 of 1)"),
        "{}",
        again.report()
    );
}

#[test]
fn a_base_is_unpacked_again_and_nothing_of_the_failure_is_left() {
    for storage in ["overlay", "tree"] {
        let registry = Registry::start();
        let [good, bad] = two_layers();
        let digest = push_base(&registry, good.clone()).layers[1].digest.clone();
        let path = registry.blob_file(&digest);
        let build = |proxy: &Proxy| {
            build(&proxy.reference("base:1"), &registry.reference("app:1"))
                .arg(format!("--storage={storage}"))
        };
        let spoilt = || {
            fs::write(&path, &bad).expect("spoil the layer");
            let (path, good) = (path.clone(), good.clone());
            let count = AtomicUsize::new(0);
            let blob = digest.clone();
            Proxy::with(&registry, move |line| {
                let is_layer = line.starts_with("GET ") && line.contains(&blob);
                if is_layer && count.fetch_add(1, Ordering::SeqCst) == 1 {
                    fs::write(&path, &good).expect("repair the layer");
                }
                Verdict::Pass
            })
        };
        build(&spoilt())
            .run()
            .assert_error(1, &["digest mismatch", &digest]);
        let again = build(&spoilt()).arg("--image-fs-extract-retry=1").run();
        again.assert_success();
        assert!(
            again.stderr().contains("retry 1 of 1"),
            "{}",
            again.report()
        );
        let tree = Image::pull(&registry, "app:1").tree();
        assert!(tree.has("file-ab") && tree.has("new"), "{storage}");
    }
}
