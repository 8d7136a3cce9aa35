//! A cache directory alone: what is stored is found again, and nothing else is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::cache::entry::{CacheEntry, EntryLooks};
use crate::cache::{CacheKey, Fingerprint, Lookup, Miss};
use crate::image::{
    Descriptor, DiffId, ImageConfig, ImageFormat, LayerCompression, Manifest, MediaType, Platform,
};

mod images;
mod kaniko_forms;
mod trees;
mod upkeep;

struct Site {
    temp: tempfile::TempDir,
    cache: LocalCache,
}

impl Site {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let cache = LocalCache::open(&temp.path().join("cache"), Timestamp::UNIX_EPOCH).unwrap();
        Self { temp, cache }
    }

    /// Another process's view of the same directory.
    fn again(&self) -> LocalCache {
        LocalCache::open(self.cache.dir(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.temp.path().join(format!("file-{}", text.len()));
        fs::write(&path, text).unwrap();
        path
    }

    fn add(&self, text: &str) -> HeldBlob {
        let mut blob = self.cache.write_blob(&layer(text).digest).unwrap();
        blob.write_all(text.as_bytes()).unwrap();
        blob.commit().unwrap()
    }

    fn store(&self, name: &str, text: &str) {
        let held = self.add(text);
        self.cache
            .store(&entry(name, text), &looks(), &held)
            .unwrap();
    }

    fn store_image(&self, texts: &[&str]) -> Image {
        let image = Image::new(texts);
        let layers: Vec<HeldBlob> = texts.iter().map(|text| self.add(text)).collect();
        self.cache
            .store_image(&image.document, &image.config, &layers)
            .unwrap();
        image
    }

    fn find(&self, name: &str) -> Lookup<(CacheEntry, HeldBlob)> {
        self.again().look_up(&key(name))
    }

    fn find_image(&self, image: &Image) -> Lookup<CachedImage> {
        let digest = &image.document.descriptor.digest;
        self.again().find_image(digest, &platform())
    }
}

struct Image {
    document: ImageDocument,
    manifest: Manifest,
    config: Vec<u8>,
}

impl Image {
    fn new(texts: &[&str]) -> Self {
        let mut config = ImageConfig::scratch(&platform());
        config.rootfs.diff_ids = texts.iter().map(|text| diff_id(text)).collect();
        let config = config.to_json().unwrap();
        let described = Descriptor::of(MediaType::Config(ImageFormat::Oci), &config);
        let layers: Vec<Descriptor> = texts.iter().map(|text| layer(text)).collect();
        let manifest = Manifest::new(ImageFormat::Oci, &described, &layers);
        let bytes = manifest.to_json().unwrap();
        let document = ImageDocument {
            descriptor: Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &bytes),
            bytes,
        };
        Self {
            document,
            manifest,
            config,
        }
    }
}

fn platform() -> Platform {
    Platform::new("linux", "amd64")
}

fn key(name: &str) -> CacheKey {
    CacheKey::of_digest(&Digest::of(name.as_bytes()))
}

fn diff_id(text: &str) -> DiffId {
    DiffId::new(Digest::of(format!("tar of {text}").as_bytes()))
}

fn layer(text: &str) -> Descriptor {
    let media_type = MediaType::layer(ImageFormat::Oci, LayerCompression::Gzip);
    Descriptor::of(media_type, text.as_bytes())
}

fn entry(name: &str, text: &str) -> CacheEntry {
    CacheEntry {
        keys: vec![key(name), key(&format!("{name} by content"))],
        layer: layer(text),
        diff_id: diff_id(text),
        created: "2026-01-02T03:04:05Z".parse().unwrap(),
        made_of: vec![key("files")],
    }
}

fn looks() -> EntryLooks {
    EntryLooks {
        created_by: "RUN make".to_owned(),
        platform: platform(),
        format: ImageFormat::Oci,
    }
}

fn text_of(held: &HeldBlob) -> String {
    std::io::read_to_string(held.bytes().unwrap()).unwrap()
}

/// Changes a byte of a file that was stamped, as a faulty disk or a careless user would: its size stays.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_entry_is_found_under_each_of_its_keys_and_no_other() {
    let site = Site::new();
    site.store("a", "layer of a");
    for name in ["a", "a by content"] {
        let (found, held) = site.find(name).hit().unwrap();
        assert_eq!(found, entry("a", "layer of a"));
        assert_eq!(text_of(&held), "layer of a");
        assert_eq!(
            held.path(),
            Some(&*site.cache.blob_path(&found.layer.digest))
        );
    }
    assert!(matches!(site.find("b"), Lookup::Miss(Miss::Absent)));
    assert_eq!(site.cache.verify(false).unwrap(), []);
}

#[test]
fn an_entry_that_is_too_old_is_not_used() {
    let site = Site::new();
    site.store("a", "layer");
    let made = entry("a", "layer").created;
    let open = |oldest| LocalCache::open(site.cache.dir(), oldest).unwrap();
    assert!(open(made).look_up(&key("a")).is_hit());
    let later = made + jiff::Span::new().seconds(1);
    let found = open(later).look_up(&key("a"));
    assert!(matches!(found, Lookup::Miss(Miss::Expired { created }) if created == made));
}

#[test]
fn a_damaged_layer_is_a_miss_and_is_replaced() {
    let site = Site::new();
    site.store("a", "layer");
    let blob = site.cache.blob_path(&layer("layer").digest);
    type Damage = fn(&Path);
    let damages: [Damage; 4] = [
        damage,
        |path| fs::write(path, "lay").unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        damage(&blob);
        assert!(matches!(
            site.find("a"),
            Lookup::Miss(Miss::Unusable { .. })
        ));
        assert!(!blob.exists(), "what is damaged is removed");
        site.store("a", "layer");
        assert_eq!(text_of(&site.find("a").hit().unwrap().1), "layer");
    }
}

#[test]
fn a_damaged_document_is_a_miss_and_is_replaced() {
    let site = Site::new();
    site.store("a", "layer");
    let documents = entry("a", "layer").documents(&looks()).unwrap();
    let manifest = site.cache.blob_path(&documents.manifest_descriptor.digest);
    let name = site.cache.name_path(NameKind::Layer, key("a").as_str());
    damage(&manifest);
    assert!(matches!(
        site.find("a"),
        Lookup::Miss(Miss::Unusable { .. })
    ));
    site.store("a", "layer");
    assert!(site.find("a").is_hit());
    fs::write(&name, "{").unwrap();
    assert!(matches!(site.find("a"), Lookup::Miss(Miss::Absent)));
    site.store("a", "layer");
    // The name of one step on the entry of another.
    let other = site.cache.name_path(NameKind::Layer, key("b").as_str());
    fs::copy(&name, other).unwrap();
    assert!(matches!(
        site.find("b"),
        Lookup::Miss(Miss::Unusable { .. })
    ));
}

#[test]
fn a_layer_is_read_through_once_and_again_after_it_was_touched() {
    let site = Site::new();
    site.store("a", "layer");
    let blob = site.cache.blob_path(&layer("layer").digest);
    let before = fs::metadata(&blob).unwrap().modified().unwrap();
    // The same bytes in another file have no stamp, and get one.
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "layer").unwrap();
    let stamp = fs::read(site.cache.stamp_path(&layer("layer").digest)).unwrap();
    assert!(site.find("a").is_hit());
    let renewed = fs::read(site.cache.stamp_path(&layer("layer").digest)).unwrap();
    assert_ne!(stamp, renewed);
    // Only its time shows that it was written to.
    damage(&blob);
    assert!(fs::metadata(&blob).unwrap().modified().unwrap() > before);
    assert!(!site.find("a").is_hit());
}

#[test]
fn a_finished_file_is_linked_and_a_wrong_one_refused() {
    let site = Site::new();
    let file = site.file("contents");
    let held = site.cache.add_file(&file, &layer("contents")).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(held.path().unwrap()), inode(&file));
    assert_eq!(text_of(&held), "contents");
    for (text, wanted) in [("contentz", "contento"), ("short", "longer")] {
        let file = site.file(text);
        let error = site.cache.add_file(&file, &layer(wanted)).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        assert!(!site.cache.blob_path(&layer(wanted).digest).exists());
    }
}

#[test]
fn a_file_on_another_file_system_is_copied() {
    let site = Site::new();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let file = elsewhere.path().join("blob");
    fs::write(&file, "contents").unwrap();
    let held = site.cache.add_file(&file, &layer("contents")).unwrap();
    assert_eq!(text_of(&held), "contents");
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_ne!(inode(held.path().unwrap()), inode(&file));
    let error = site.cache.add_file(&file, &layer("contento")).unwrap_err();
    assert!(matches!(error, LocalCacheError::Mismatch { .. }), "{error}");
    assert!(temp::is_empty(&site.cache.temp_dir()));
}

#[test]
fn a_blob_with_other_bytes_than_announced_is_not_kept() {
    let site = Site::new();
    let mut blob = site.cache.write_blob(&Digest::of(b"abc")).unwrap();
    blob.write_all(b"abd").unwrap();
    let error = blob.commit().unwrap_err();
    assert!(matches!(error, LocalCacheError::Mismatch { .. }), "{error}");
    drop(site.cache.write_blob(&Digest::of(b"abc")).unwrap());
    assert!(!site.cache.blob_path(&Digest::of(b"abc")).exists());
    assert!(temp::is_empty(&site.cache.temp_dir()));
}

#[test]
fn what_a_step_depended_on_is_remembered_by_its_place() {
    let site = Site::new();
    let place = ["app", "build", "3", "RUN"];
    assert_eq!(site.cache.last_time(&place).unwrap(), None);
    let before = Fingerprint::new("RUN").part("command", |value| value.text("a"));
    site.cache.remember_step(&place, &before).unwrap();
    let last = site.again().last_time(&place).unwrap().unwrap();
    assert_eq!((&last.fingerprint, last.key), (&before, before.key()));
    let elsewhere = ["app", "build3", "RUN"];
    assert_eq!(site.cache.last_time(&elsewhere).unwrap(), None);
}

#[test]
fn a_directory_that_cannot_be_written_is_read() {
    let site = Site::new();
    site.store("a", "layer");
    let image = site.store_image(&["one"]);
    // As on a read-only mount, where even root writes nothing.
    let cache = LocalCache {
        dir: site.cache.dir.clone(),
        is_writable: false,
        oldest: Timestamp::UNIX_EPOCH,
    };
    let name = site.cache.name_path(NameKind::Layer, key("a").as_str());
    let before = fs::metadata(&name).unwrap().accessed().unwrap();
    assert!(cache.look_up(&key("a")).is_hit());
    assert_eq!(fs::metadata(&name).unwrap().accessed().unwrap(), before);
    let digest = &image.document.descriptor.digest;
    assert!(cache.find_image(digest, &platform()).is_hit());
    let blob = site.cache.blob_path(&layer("layer").digest);
    damage(&blob);
    assert!(!cache.look_up(&key("a")).is_hit());
    assert!(blob.exists());
    let refused = cache.add_document(b"new", &layer("new")).unwrap_err();
    assert!(matches!(refused, LocalCacheError::ReadOnly(_)), "{refused}");
    fs::remove_file(site.cache.dir().join(LOCK_FILE)).unwrap();
    assert!(cache.find_image(digest, &platform()).is_hit());
}

#[test]
fn what_a_killed_process_left_is_removed_and_what_is_written_stays() {
    let site = Site::new();
    let stale = site.cache.temp_dir().join(".tmpstale");
    fs::write(&stale, "half").unwrap();
    let mut living = site.cache.write_blob(&Digest::of(b"abc")).unwrap();
    living.write_all(b"abc").unwrap();
    site.again();
    assert!(!stale.exists());
    let held = living.commit().unwrap();
    assert_eq!(text_of(&held), "abc");
    let mode = fs::metadata(held.path().unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
}
