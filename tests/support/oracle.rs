//! The oracle that every end-to-end test ends with: whatever we push is a sound image, by every digest, size and rule.

use super::base_image::BaseImage;
use super::image::{Image, array, hex_of, sha256_of_reader, text};
use super::layer_rules;
use super::registry::Registry;
use serde_json::Value;
use std::fs::File;

/// Pulls the image with skopeo and holds it against all rules; returns it for what the test itself asks.
///
/// The base's layers must be there first and unchanged; only the layers above them are ours, and held to our rules.
pub(crate) fn check_image(registry: &Registry, name: &str, base: &BaseImage) -> Image {
    let image = Image::pull(registry, name);
    let mut complaints = complaints_about(&image, &base.diff_ids);
    complaints.extend(disagreements_with_skopeo(registry, name, &image));
    assert!(
        complaints.is_empty(),
        "`{name}` is not a sound image:\n{}",
        complaints.join("\n")
    );
    image
}

/// What is wrong with an image whose first layers must have these diff IDs; empty for a sound one.
pub(crate) fn complaints_about(image: &Image, base_diff_ids: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    complaints.extend(about_media_types(image));
    complaints.extend(about_blobs(image));
    complaints.extend(about_config(&image.config, image.layers.len()));
    let diff_ids = image.diff_ids();
    if !diff_ids.starts_with(base_diff_ids) {
        complaints.push(format!(
            "the base's layers {base_diff_ids:?} are not the first of {diff_ids:?}"
        ));
    }
    for layer in image.layers.iter().skip(base_diff_ids.len()) {
        let broken = layer_rules::broken_rules(layer.open());
        complaints.extend(
            broken
                .into_iter()
                .map(|rule| format!("layer {}: {rule}", layer.digest)),
        );
    }
    complaints
}

/// Manifest, config and layers must all be Docker's or all be OCI's: some registries refuse a mixture.
fn about_media_types(image: &Image) -> Vec<String> {
    let mut complaints = Vec::new();
    let manifest_type = text(&image.manifest["mediaType"]);
    let (config_type, layer_start) = match manifest_type {
        "application/vnd.oci.image.manifest.v1+json" => (
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar",
        ),
        "application/vnd.docker.distribution.manifest.v2+json" => (
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar",
        ),
        other => return vec![format!("the manifest's media type is {other:?}")],
    };
    if image.manifest["schemaVersion"] != 2 {
        complaints.push("the manifest's schema version is not 2".to_owned());
    }
    if image.manifest["config"]["mediaType"] != config_type {
        complaints.push(format!(
            "{manifest_type} with a config of {}",
            image.manifest["config"]["mediaType"]
        ));
    }
    for layer in &image.layers {
        let media_type = &layer.media_type;
        if !media_type.starts_with(layer_start) {
            complaints.push(format!("{manifest_type} with a layer of {media_type}"));
        }
        if !media_type.ends_with(layer.stored_as()) {
            complaints.push(format!(
                "layer {} is {media_type}, but stored as {}",
                layer.digest,
                layer.stored_as()
            ));
        }
    }
    complaints
}

/// Digests and sizes of the descriptors, and the diff IDs, recomputed from the bytes.
fn about_blobs(image: &Image) -> Vec<String> {
    let mut complaints = Vec::new();
    let descriptors =
        std::iter::once(&image.manifest["config"]).chain(array(&image.manifest["layers"]));
    for descriptor in descriptors {
        let digest = text(&descriptor["digest"]);
        let blob = File::open(image.path().join(hex_of(digest))).expect("open a blob");
        let (hex, size) = sha256_of_reader(blob);
        if hex != hex_of(digest) || descriptor["size"] != size {
            complaints.push(format!(
                "{descriptor} describes a blob of {size} bytes with sha256:{hex}"
            ));
        }
    }
    for layer in &image.layers {
        let (hex, _) = sha256_of_reader(layer.open());
        if hex != hex_of(&layer.diff_id) {
            complaints.push(format!(
                "layer {} has the diff ID {}, but unpacks to sha256:{hex}",
                layer.digest, layer.diff_id
            ));
        }
    }
    complaints
}

/// OCI image-spec, config.md: what a config must have, and a history that accounts for the layers.
fn about_config(config: &Value, layers: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    for field in ["architecture", "os", "created"] {
        if config[field].as_str().is_none_or(str::is_empty) {
            complaints.push(format!("the config has no `{field}`"));
        }
    }
    if config["rootfs"]["type"] != "layers" {
        complaints.push("the config's rootfs is not of layers".to_owned());
    }
    let with_layer = array(&config["history"])
        .iter()
        .filter(|entry| entry["empty_layer"] != true)
        .count();
    if with_layer != layers {
        complaints.push(format!(
            "history speaks of {with_layer} layers, there are {layers}"
        ));
    }
    complaints
}

/// `skopeo inspect` reads the image by itself: digest, layers and environment must be what we read.
fn disagreements_with_skopeo(registry: &Registry, name: &str, image: &Image) -> Vec<String> {
    let inspected: Value =
        serde_json::from_str(&registry.inspect(name, &[])).expect("skopeo prints JSON");
    let layers: Vec<&str> = image
        .layers
        .iter()
        .map(|layer| layer.digest.as_str())
        .collect();
    let seen: Vec<&str> = array(&inspected["Layers"]).iter().map(text).collect();
    let mut complaints = Vec::new();
    if inspected["Digest"] != image.digest() {
        complaints.push(format!(
            "skopeo gives the digest {}, the bytes have {}",
            inspected["Digest"],
            image.digest()
        ));
    }
    if seen != layers {
        complaints.push(format!(
            "skopeo lists the layers {seen:?}, the manifest {layers:?}"
        ));
    }
    for (theirs, ours) in [
        (&inspected["Os"], &image.config["os"]),
        (&inspected["Architecture"], &image.config["architecture"]),
        (&inspected["Env"], image.setting("Env")),
    ] {
        if theirs != ours {
            complaints.push(format!("skopeo reads {theirs} where the config has {ours}"));
        }
    }
    complaints
}
