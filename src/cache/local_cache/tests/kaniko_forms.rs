//! Images that kaniko's warmer has left, in both of its forms.

use super::*;
use crate::image::docker_archive::{self, ArchivedImage, ArchivedLayer};
use crate::image::layout::Layout;

/// Writes an image as a layout below the cache directory.
fn as_layout(site: &Site, texts: &[&str]) -> Image {
    let image = Image::new(texts);
    let digest = &image.document.descriptor.digest;
    let mut layout = Layout::create(&site.cache.dir().join(digest.as_str())).unwrap();
    for text in texts {
        layout.add_bytes(text.as_bytes()).unwrap();
    }
    layout.add_bytes(&image.config).unwrap();
    layout.add_bytes(&image.document.bytes).unwrap();
    layout
        .add_manifest(image.document.descriptor.clone())
        .unwrap();
    image
}

/// Writes an image as an archive with its manifest beside it.
fn as_archive(site: &Site, texts: &[&str]) -> Image {
    let image = Image::new(texts);
    let layers: Vec<ArchivedLayer> = texts
        .iter()
        .map(|text| ArchivedLayer {
            digest: layer(text).digest,
            compression: LayerCompression::Gzip,
            file: site.file(text),
        })
        .collect();
    let archived = ArchivedImage {
        config: &image.config,
        layers: &layers,
        tags: &["docker.io/library/base:1".to_owned()],
    };
    let path = site
        .cache
        .dir()
        .join(image.document.descriptor.digest.as_str());
    docker_archive::write(&mut File::create(&path).unwrap(), &archived).unwrap();
    let beside = format!("{}.json", path.display());
    fs::write(beside, &image.document.bytes).unwrap();
    image
}

#[test]
fn both_forms_of_kanikos_warmer_are_read() {
    let site = Site::new();
    let texts = ["one", "two two", "three three three"];
    for image in [as_layout(&site, &texts[..2]), as_archive(&site, &texts)] {
        let found = site.find_image(&image).hit().unwrap();
        assert_eq!(found.manifest, image.manifest);
        assert_eq!(found.descriptor, image.document.descriptor);
        assert_eq!(found.config.to_json().unwrap(), image.config);
        let layers: Vec<String> = found.layers.iter().flatten().map(text_of).collect();
        assert_eq!(layers, texts[..layers.len()]);
        assert_eq!(layers.len(), image.manifest.layers.len());
        let strict = LocalCache::open(site.cache.dir(), Timestamp::MAX).unwrap();
        let digest = &image.document.descriptor.digest;
        let expired = strict.find_image(digest, &platform());
        assert!(matches!(expired, Lookup::Miss(Miss::Expired { .. })));
    }
}

#[test]
fn a_damaged_image_of_kanikos_is_a_miss_and_stays_as_it_is() {
    let site = Site::new();
    let layout = as_layout(&site, &["one"]);
    let dir = site
        .cache
        .dir()
        .join(layout.document.descriptor.digest.as_str());
    let blob = dir.join("blobs/sha256").join(layer("one").digest.hex());
    damage(&blob);
    assert!(matches!(
        site.find_image(&layout),
        Lookup::Miss(Miss::Unusable { .. })
    ));
    assert!(blob.exists());

    let archive = as_archive(&site, &["two two"]);
    let path = site
        .cache
        .dir()
        .join(archive.document.descriptor.digest.as_str());
    let whole = fs::read(&path).unwrap();
    let at = whole
        .windows(7)
        .position(|window| window == b"two two")
        .unwrap();
    let mut wrong = whole.clone();
    wrong[at] ^= 1;
    for bytes in [&wrong[..], &whole[..at], b"", b"no archive"] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(
            site.find_image(&archive),
            Lookup::Miss(Miss::Unusable { .. })
        ));
    }
    fs::write(&path, &whole).unwrap();
    assert!(site.find_image(&archive).is_hit());
    fs::write(format!("{}.json", path.display()), "{}").unwrap();
    assert!(matches!(
        site.find_image(&archive),
        Lookup::Miss(Miss::Unusable { .. })
    ));
}
