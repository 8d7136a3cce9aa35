//! What the image looks like to others: compression and media types.

use crate::support::image::text;
use crate::support::{Site, Who, check_image, site};

/// Media type and size of the layer above the base, of an image that the oracle has passed.
fn new_layer(site: &Site, flags: &[&str]) -> (String, u64) {
    let lines = "RUN seq 1 60000 > /numbers";
    let context = site.context(lines);
    let executor = site.executor(Who::Root, &context).args(flags);
    // Else the time is in the layer, and with it in its size.
    let executor = executor.arg("--reproducible");
    let image = site.build_with(executor);
    let layers = image.manifest["layers"].as_array().expect("layers");
    let layer = layers.last().expect("a layer");
    let size = layer["size"].as_u64().expect("a size");
    (text(&layer["mediaType"]).to_owned(), size)
}

#[test]
fn layers_are_compressed_as_asked() {
    let site = Site::busybox();
    let (usual, size) = new_layer(&site, &[]);
    assert_eq!(usual, "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(
        new_layer(&site, &["--compression", "gzip"]),
        (usual.clone(), size)
    );
    let (zstd, of_zstd) = new_layer(&site, &["--compression=zstd"]);
    assert_eq!(zstd, "application/vnd.oci.image.layer.v1.tar+zstd");
    assert!(of_zstd < size, "{of_zstd} {size}");
    let (_, best) = new_layer(&site, &["--compression-level=9"]);
    let (_, fastest) = new_layer(&site, &["--compression-level", "1"]);
    assert!(best < size && size < fastest, "{best} {size} {fastest}");
    // Below 1: the default.
    for flag in ["--compression-level=0", "--compression-level=-1"] {
        assert_eq!(new_layer(&site, &[flag]), (usual.clone(), size));
    }
}

#[test]
fn media_types_are_those_that_are_asked_for() {
    let site = Site::busybox();
    let context = site.context("LABEL a=b");
    for (flag, start) in [
        ("--image-format=docker", "application/vnd.docker."),
        ("--image-format=oci", "application/vnd.oci."),
    ] {
        let executor = site.executor(Who::User, &context).arg(flag);
        executor.run().assert_success();
        // The oracle has seen that all of them are of one family.
        let image = check_image(&site.registry, site::APP, &site.base);
        assert!(
            text(&image.manifest["mediaType"]).starts_with(start),
            "{flag}"
        );
    }
}
