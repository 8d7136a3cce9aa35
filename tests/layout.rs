//! Layouts and docker archives as other programs read them: `skopeo` and `umoci`.

use std::path::Path;
use std::process::Command;

use sawagani::image::digest::Digest;
use sawagani::image::docker_archive::{self, ArchivedImage, ArchivedLayer};
use sawagani::image::layout::Layout;
use sawagani::image::{Descriptor, ImageFormat, LayerCompression, Manifest, MediaType};

/// A layer that `tar` made, as it is stored.
struct TestLayer {
    stored: Vec<u8>,
    diff_id: Digest,
    compression: LayerCompression,
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs `{program}`: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn layer(dir: &Path, name: &str, compression: LayerCompression) -> TestLayer {
    let tree = dir.join(format!("tree-{name}"));
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join(name), name).unwrap();
    let tar = dir.join(format!("{name}.tar"));
    let (tar, tree) = (tar.to_str().unwrap(), tree.to_str().unwrap());
    run("tar", &["--format=pax", "-C", tree, "-cf", tar, name]);
    let plain = std::fs::read(tar).unwrap();
    let stored = match compression {
        LayerCompression::None => plain.clone(),
        LayerCompression::Gzip => {
            run("gzip", &["-nk", tar]);
            std::fs::read(format!("{tar}.gz")).unwrap()
        }
        LayerCompression::Zstd => {
            run("zstd", &["-q", tar]);
            std::fs::read(format!("{tar}.zst")).unwrap()
        }
    };
    TestLayer {
        stored,
        diff_id: Digest::of(&plain),
        compression,
    }
}

fn layers(dir: &Path) -> Vec<TestLayer> {
    vec![
        layer(dir, "first", LayerCompression::Gzip),
        layer(dir, "second", LayerCompression::None),
        layer(dir, "third", LayerCompression::Zstd),
    ]
}

fn config(layers: &[TestLayer]) -> String {
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| format!("\"{}\"", layer.diff_id))
        .collect();
    let diff_ids = diff_ids.join(",");
    format!(
        r#"{{"architecture":"amd64","os":"linux","created":"2020-01-01T00:00:00Z","config":{{"Env":["A=b"]}},"rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
    )
}

fn write_layout(dir: &Path, layers: &[TestLayer], name: Option<&str>) -> Digest {
    let mut layout = Layout::open_or_create(dir).unwrap();
    let config = config(layers);
    layout.add_bytes(config.as_bytes()).unwrap();
    let descriptors: Vec<Descriptor> = layers
        .iter()
        .map(|layer| {
            let media_type = MediaType::layer(ImageFormat::Oci, layer.compression);
            layout.add_bytes(&layer.stored).unwrap();
            Descriptor::of(media_type, &layer.stored)
        })
        .collect();
    let config = Descriptor::of(MediaType::Config(ImageFormat::Oci), config.as_bytes());
    let manifest = Manifest::new(ImageFormat::Oci, &config, &descriptors);
    let json = manifest.to_json().unwrap();
    layout.add_bytes(&json).unwrap();
    let mut descriptor = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &json);
    if let Some(name) = name {
        let key = "org.opencontainers.image.ref.name".to_owned();
        descriptor.annotations.insert(key, name.to_owned());
    }
    let digest = descriptor.digest.clone();
    layout.add_manifest(descriptor).unwrap();
    digest
}

#[test]
fn skopeo_reads_a_layout_and_agrees_on_its_digest() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let dir = temp.path().join("layout");
    let digest = write_layout(&dir, &layers, None);
    let image = format!("oci:{}", dir.display());
    let inspected = run("skopeo", &["inspect", &image]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], digest.as_str());
    assert_eq!(inspected["Env"], serde_json::json!(["A=b"]));
    let stored: Vec<String> = layers
        .iter()
        .map(|layer| Digest::of(&layer.stored).to_string())
        .collect();
    assert_eq!(inspected["Layers"], serde_json::json!(stored));
    // A copy reads every blob and checks it.
    let copy = format!("dir:{}", temp.path().join("copy").display());
    run(
        "skopeo",
        &["--insecure-policy", "copy", "-q", &image, &copy],
    );
}

#[test]
fn umoci_unpacks_an_image_that_was_added_to_a_layout() {
    let temp = tempfile::tempdir().unwrap();
    // Debian's umoci does not know zstd.
    let layers = &layers(temp.path())[..2];
    let dir = temp.path().join("layout");
    write_layout(&dir, &layers[..1], Some("small"));
    write_layout(&dir, layers, Some("whole"));
    let image = format!("{}:whole", dir.display());
    let bundle = temp.path().join("bundle");
    let bundle_text = bundle.to_str().unwrap();
    run(
        "umoci",
        &["unpack", "--rootless", "--image", &image, bundle_text],
    );
    for name in ["first", "second"] {
        let text = std::fs::read_to_string(bundle.join("rootfs").join(name)).unwrap();
        assert_eq!(text, name);
    }
    let layout = dir.to_str().unwrap();
    let listed = run("umoci", &["list", "--layout", layout]);
    assert_eq!(
        listed.split_whitespace().collect::<Vec<_>>(),
        ["small", "whole"]
    );
}

#[test]
fn a_layout_of_skopeo_is_read_and_added_to() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let ours = temp.path().join("ours");
    let theirs = temp.path().join("theirs");
    write_layout(&ours, &layers, None);
    let from = format!("oci:{}", ours.display());
    let to = format!("oci:{}:copied", theirs.display());
    run("skopeo", &["--insecure-policy", "copy", "-q", &from, &to]);
    write_layout(&theirs, &layers[..1], Some("added"));
    let layout = Layout::open(&theirs).unwrap();
    assert_eq!(layout.index().manifests.len(), 2);
    for descriptor in &layout.index().manifests {
        layout.read_manifest(descriptor).unwrap();
    }
    run("skopeo", &["inspect", &to]);
    run(
        "skopeo",
        &["inspect", &format!("oci:{}:added", theirs.display())],
    );
}

#[test]
fn skopeo_reads_a_docker_archive_with_its_name_and_layers() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let archived: Vec<ArchivedLayer> = layers
        .iter()
        .map(|layer| {
            let digest = Digest::of(&layer.stored);
            let file = temp.path().join(digest.hex());
            std::fs::write(&file, &layer.stored).unwrap();
            ArchivedLayer {
                digest,
                compression: layer.compression,
                file,
            }
        })
        .collect();
    let config = config(&layers);
    let tags = ["registry.example/team/app:1.0".to_owned()];
    let image = ArchivedImage {
        config: config.as_bytes(),
        layers: &archived,
        tags: &tags,
    };
    let path = temp.path().join("image.tar");
    docker_archive::write(&mut std::fs::File::create(&path).unwrap(), &image).unwrap();

    let source = format!("docker-archive:{}:{}", path.display(), tags[0]);
    let config_text = run("skopeo", &["inspect", "--config", "--raw", &source]);
    assert_eq!(config_text.trim_end(), config);
    let copy = temp.path().join("copy");
    let target = format!("oci:{}:copied", copy.display());
    run(
        "skopeo",
        &["--insecure-policy", "copy", "-q", &source, &target],
    );
    let bundle = temp.path().join("bundle");
    let copied = format!("{}:copied", copy.display());
    let bundle_text = bundle.to_str().unwrap();
    run(
        "umoci",
        &["unpack", "--rootless", "--image", &copied, bundle_text],
    );
    for name in ["first", "second", "third"] {
        assert!(bundle.join("rootfs").join(name).exists(), "{name}");
    }
}
