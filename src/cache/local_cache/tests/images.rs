//! Base images.

use std::time::{Duration, SystemTime};

use super::*;
use crate::image::Index;

#[test]
fn an_image_is_found_by_its_manifest_and_by_its_index() {
    let site = Site::new();
    let image = site.store_image(&["one", "two"]);
    let listed = Descriptor {
        platform: Some(platform()),
        ..image.document.descriptor.clone()
    };
    let bytes = Index::new(ImageFormat::Oci, vec![listed])
        .to_json()
        .unwrap();
    let index = ImageDocument {
        descriptor: Descriptor::of(MediaType::Index(ImageFormat::Oci), &bytes),
        bytes,
    };
    let by_index = || {
        site.again()
            .find_image(&index.descriptor.digest, &platform())
    };
    assert!(matches!(by_index(), Lookup::Miss(Miss::Absent)));
    site.cache.store_index(&index).unwrap();
    for found in [site.find_image(&image), by_index()] {
        let found = found.hit().unwrap();
        assert_eq!(found.manifest, image.manifest);
        assert_eq!(found.manifest_bytes, image.document.bytes);
        let layers = found.layers.iter().flatten();
        assert_eq!(layers.map(text_of).collect::<Vec<_>>(), ["one", "two"]);
    }
    let other = Platform::new("linux", "arm64");
    let found = site.again().find_image(&index.descriptor.digest, &other);
    assert!(matches!(found, Lookup::Miss(Miss::Unusable { .. })));
    assert_eq!(site.cache.verify(false).unwrap(), []);
}

#[test]
fn an_image_without_one_of_its_layers_is_neither_stored_nor_found() {
    let site = Site::new();
    let image = Image::new(&["one", "two"]);
    let one = [site.add("one")];
    let error = site.cache.store_image(&image.document, &image.config, &one);
    assert!(matches!(
        error,
        Err(LocalCacheError::Blob(BlobProblem::Missing(_)))
    ));
    let image = site.store_image(&["one", "two"]);
    for text in ["one", "two"] {
        damage(&site.cache.blob_path(&layer(text).digest));
        let found = site.find_image(&image);
        assert!(matches!(found, Lookup::Miss(Miss::Unusable { .. })));
        site.store_image(&["one", "two"]);
        assert!(site.find_image(&image).is_hit());
    }
}

#[test]
fn an_image_expires_by_when_it_was_stored_and_is_new_once_stored_again() {
    let site = Site::new();
    let image = site.store_image(&["one"]);
    let digest = &image.document.descriptor.digest;
    let name = site.cache.name_path(NameKind::Image, digest.hex());
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let file = File::options().write(true).open(&name).unwrap();
    file.set_modified(hour_ago).unwrap();
    let minute_ago = Timestamp::try_from(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let strict = LocalCache::open(site.cache.dir(), minute_ago).unwrap();
    let found = strict.find_image(digest, &platform());
    assert!(matches!(found, Lookup::Miss(Miss::Expired { .. })));
    site.store_image(&["one"]);
    assert!(strict.find_image(digest, &platform()).is_hit());
}
