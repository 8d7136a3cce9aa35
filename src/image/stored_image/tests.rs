use std::io::Read;
use std::path::{Path, PathBuf};

use tar::EntryType;

use super::*;
use crate::image::archive::test_archive::TestArchive;
use crate::image::layout::{Layout, named};
use crate::image::manifest::Index;
use crate::image::{Digest, ImageFormat, LayerCompression};

const LAYER: &str = "not a tar, which nobody here looks at";

/// Returns the documents of an image with one layer, and their digests as a layout names them.
fn image(format: ImageFormat) -> (Vec<u8>, Vec<u8>) {
    let config = br#"{"architecture":"amd64","os":"linux"}"#.to_vec();
    let config_descriptor = Descriptor::of(MediaType::Config(format), &config);
    let layer_type = MediaType::layer(format, LayerCompression::None);
    let layer = Descriptor::of(layer_type, LAYER.as_bytes());
    let manifest = Manifest::new(format, &config_descriptor, &[layer]);
    (manifest.to_json().unwrap(), config)
}

fn layout(dir: &Path, names: &[&str]) -> Descriptor {
    let (manifest, config) = image(ImageFormat::Oci);
    let mut layout = Layout::create(dir).unwrap();
    for blob in [&manifest[..], &config, LAYER.as_bytes()] {
        layout.add_bytes(blob).unwrap();
    }
    let descriptor = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &manifest);
    for name in names {
        layout
            .add_manifest(named(descriptor.clone(), name))
            .unwrap();
    }
    if names.is_empty() {
        layout.add_manifest(descriptor.clone()).unwrap();
    }
    descriptor
}

/// Makes a tar of a directory, as `tar -C DIR .` does: names begin with `./`.
fn tar_of(dir: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", dir).unwrap();
    builder.into_inner().unwrap()
}

fn saved(archive: TestArchive, list: &str) -> Vec<u8> {
    archive.file("manifest.json", list).finish()
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn contents(images: &StoredImages, blob: &Descriptor) -> std::io::Result<String> {
    let mut text = String::new();
    let mut reader = images.blob(blob).unwrap().open().unwrap();
    reader.read_to_string(&mut text).map(|_| text)
}

fn host(images: &StoredImages, tag: Option<&str>) -> Result<StoredImage, StoredImageError> {
    images.image(images.find(tag)?, &Platform::new("linux", "amd64"))
}

#[test]
fn a_layout_is_read_as_a_directory_and_as_a_tar() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("layout");
    let descriptor = layout(&dir, &[]);
    let tar = write(temp.path(), "layout.tar", &tar_of(&dir));
    for path in [&dir, &tar] {
        let images = StoredImages::open(path).unwrap();
        let image = host(&images, None).unwrap();
        assert_eq!(image.descriptor, descriptor);
        assert!(image.config_bytes.starts_with(b"{\"architecture"));
        let [layer] = &image.manifest.layers[..] else {
            panic!("{:?}", image.manifest);
        };
        assert_eq!(contents(&images, layer).unwrap(), LAYER);
        assert_eq!(
            images.blob(layer).unwrap().part.is_whole_file(),
            *path == dir
        );
    }
}

#[test]
fn what_docker_save_writes_gets_a_manifest() {
    let temp = tempfile::tempdir().unwrap();
    let (expected, config) = image(ImageFormat::Docker);
    let config = String::from_utf8(config).unwrap();
    let name = Digest::of(config.as_bytes());
    let as_kaniko = TestArchive::new()
        .file(name.as_str(), &config)
        .file("layer.tar.gz", LAYER);
    let list = format!(r#"[{{"Config":"{name}","RepoTags":null,"Layers":["layer.tar.gz"]}}]"#);
    let as_kaniko = saved(as_kaniko, &list);
    // A layer that two images share is a link from the second to the first.
    let as_docker = TestArchive::new()
        .file("c.json", &config)
        .dir("aa")
        .file("aa/layer.tar", LAYER)
        .entry(
            EntryType::Symlink,
            "bb/layer.tar",
            "../aa/layer.tar",
            b"",
            |_| {},
        );
    let list =
        r#"[{"Config":"c.json","RepoTags":["app:1","app:latest"],"Layers":["bb/layer.tar"]}]"#;
    let as_docker = saved(as_docker, list);
    for (bytes, tag) in [(as_kaniko, None), (as_docker, Some("1"))] {
        let path = write(temp.path(), "saved.tar", &bytes);
        let images = StoredImages::open(&path).unwrap();
        let image = host(&images, tag).unwrap();
        assert_eq!(image.manifest_bytes, expected);
        assert_eq!(image.config_bytes, config.as_bytes());
        assert_eq!(contents(&images, &image.manifest.layers[0]).unwrap(), LAYER);
    }
}

#[test]
fn an_archive_of_both_forms_is_a_layout() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("layout");
    let descriptor = layout(&dir, &["app:1"]);
    write(&dir, "manifest.json", b"[]");
    let tar = write(temp.path(), "both.tar", &tar_of(&dir));
    let images = StoredImages::open(&tar).unwrap();
    assert_eq!(host(&images, Some("1")).unwrap().descriptor, descriptor);
}

#[test]
fn images_are_found_by_tag_and_chosen_by_platform() {
    let temp = tempfile::tempdir().unwrap();
    let descriptor = layout(temp.path(), &["a", "registry.example/app:b"]);
    let images = StoredImages::open(temp.path()).unwrap();
    assert_eq!(host(&images, Some("b")).unwrap().descriptor, descriptor);
    let error = host(&images, None).unwrap_err().to_string();
    assert!(
        error.contains("only `a`, `registry.example/app:b`"),
        "{error}"
    );

    let entry = Descriptor {
        platform: Some(Platform::new("linux", "amd64")),
        ..descriptor.clone()
    };
    let index = Index::new(ImageFormat::Oci, vec![entry]).to_json().unwrap();
    let mut both = Layout::open(temp.path()).unwrap();
    both.add_bytes(&index).unwrap();
    let index = Descriptor::of(MediaType::Index(ImageFormat::Oci), &index);
    both.add_manifest(named(index, "all")).unwrap();
    let images = StoredImages::open(temp.path()).unwrap();
    assert_eq!(host(&images, Some("all")).unwrap().descriptor, descriptor);
    let all = images.find(Some("all")).unwrap();
    let arm = Platform::new("linux", "arm64");
    let error = images.image(all, &arm).unwrap_err();
    assert!(
        matches!(error, StoredImageError::Platform { .. }),
        "{error}"
    );
}

#[test]
fn bytes_that_are_not_those_of_their_name_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    layout(temp.path(), &[]);
    let images = StoredImages::open(temp.path()).unwrap();
    let image = host(&images, None).unwrap();
    let layer = &image.manifest.layers[0];
    let blob_path = images.blob(layer).unwrap().part.path;
    std::fs::write(&blob_path, "N".repeat(LAYER.len())).unwrap();
    let error = contents(&images, layer).unwrap_err().to_string();
    assert!(error.contains(layer.digest.as_str()), "{error}");
    std::fs::write(&blob_path, "short").unwrap();
    let error = images.blob(layer).unwrap_err();
    assert!(matches!(error, StoredImageError::Damaged { .. }), "{error}");
    std::fs::remove_file(&blob_path).unwrap();
    let error = images.blob(layer).unwrap_err();
    assert!(matches!(error, StoredImageError::Missing { .. }), "{error}");
    let config_path = images.blob(&image.manifest.config).unwrap().part.path;
    std::fs::write(config_path, "x".repeat(image.config_bytes.len())).unwrap();
    let error = host(&images, None).unwrap_err();
    assert!(matches!(error, StoredImageError::Damaged { .. }), "{error}");
}

#[test]
fn what_holds_no_images_is_refused_by_its_path() {
    let temp = tempfile::tempdir().unwrap();
    let error = |bytes: &[u8]| {
        let path = write(temp.path(), "file", bytes);
        let error = StoredImages::open(&path).unwrap_err();
        assert!(error.to_string().contains("/file`"), "{error}");
        error
    };
    let other = TestArchive::new().file("a", "b").finish();
    assert!(matches!(error(&other), StoredImageError::NoImages { .. }));
    assert!(matches!(
        error(&[0x1f, 0x8b, 8, 0, 0, 0, 0]),
        StoredImageError::Compressed { .. }
    ));
    assert!(matches!(error(&[7; 600]), StoredImageError::Tar { .. }));
    let list = r#"[{"Config":"../c.json","Layers":[]}]"#;
    let climbing = TestArchive::new().file("../c.json", "{}");
    assert!(matches!(
        error(&saved(climbing, list)),
        StoredImageError::NoSuchEntry { .. }
    ));
    let list = r#"[{"Config":"a","Layers":[]}]"#;
    let looping = TestArchive::new().symlink("a", "b").symlink("b", "a");
    assert!(matches!(
        error(&saved(looping, list)),
        StoredImageError::NoSuchEntry { .. }
    ));
    // The files of an unpacked tar are not looked up by what a document says.
    write(temp.path(), "manifest.json", list.as_bytes());
    let unpacked = StoredImages::open(temp.path()).unwrap_err();
    assert!(matches!(unpacked, StoredImageError::NoImages { .. }));
}

#[test]
fn a_name_of_megabytes_is_refused_without_being_read() {
    let temp = tempfile::tempdir().unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_path("././@LongLink").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    let path = write(temp.path(), "image.tar", header.as_bytes());
    // A hole, which costs nothing.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len((1 << 40) + 2048).unwrap();
    let error = StoredImages::open(&path).unwrap_err();
    let StoredImageError::Tar { source, .. } = error else {
        panic!("{error}");
    };
    assert!(
        source.to_string().contains("longer than any name"),
        "{source}"
    );
}
