//! Base images, from their registry and from the directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use sawagani::cache::{BaseImageCache, ImageLayers, ImageName, LocalCache, ResolvedImage};
use sawagani::image::{
    Descriptor, DiffId, Digest, ImageConfig, ImageFormat, Index, LayerCompression, Manifest,
    MediaType, Platform, Reference,
};
use sawagani::registry::push::BlobSource;
use sawagani::registry::{ErrorKind, Registries, Repository};

use super::registry_server::Server;
use super::steps::{local_cache, options, repository};

fn amd64() -> Platform {
    Platform::new("linux", "amd64")
}

/// Pushes an image of two layers under a tag; the second layer is `text`.
async fn push(repository: &Repository, tag: &str, text: &str, platform: &Platform) -> Descriptor {
    let mut layers = Vec::new();
    let mut config = ImageConfig::scratch(platform);
    for text in ["first layer", text] {
        let media_type = MediaType::layer(ImageFormat::Oci, LayerCompression::Gzip);
        let layer = Descriptor::of(media_type, text.as_bytes());
        let bytes = BlobSource::Bytes(Bytes::copy_from_slice(text.as_bytes()));
        repository.push_blob(&layer, &bytes, None).await.unwrap();
        let diff_id = DiffId::new(Digest::of(text.as_bytes()));
        config.rootfs.diff_ids.push(diff_id);
        layers.push(layer);
    }
    let config = Bytes::from(config.to_json().unwrap());
    let described = Descriptor::of(MediaType::Config(ImageFormat::Oci), &config);
    let bytes = BlobSource::Bytes(config);
    repository
        .push_blob(&described, &bytes, None)
        .await
        .unwrap();
    let manifest = Manifest::new(ImageFormat::Oci, &described, &layers);
    let manifest = Bytes::from(manifest.to_json().unwrap());
    let media_type = MediaType::Manifest(ImageFormat::Oci);
    repository
        .put_manifest(tag, &media_type, &manifest)
        .await
        .unwrap();
    Descriptor::of(media_type, &manifest)
}

struct Job {
    server: Server,
    repository: Repository,
    temp: tempfile::TempDir,
}

impl Job {
    async fn new() -> Self {
        let server = Server::start("").await;
        let repository = repository(&server.host(), "library/base");
        let temp = tempfile::tempdir().unwrap();
        Self {
            server,
            repository,
            temp,
        }
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("cache")
    }

    fn reference(&self, tag: &str) -> Reference {
        let host = self.server.host();
        Reference::parse(&format!("{host}/library/base{tag}")).unwrap()
    }

    async fn resolve(&self, tag: &str) -> ResolvedImage {
        images(local_cache(&self.dir()))
            .resolve(&ImageName::new(&self.reference(tag)), &amd64())
            .await
            .unwrap()
    }

    /// Keeps an image as a build does that has pulled its layers, `texts`.
    async fn keep(&self, image: &ResolvedImage, texts: &[&str]) {
        let pulled = self.temp.path().join("pulled");
        std::fs::create_dir_all(&pulled).unwrap();
        for (layer, text) in image.manifest.layers.iter().zip(texts) {
            std::fs::write(pulled.join(layer.digest.hex()), text).unwrap();
        }
        let images = images(local_cache(&self.dir()));
        images.keep(image, |digest| pulled.join(digest.hex())).await;
    }
}

fn images(local: Arc<LocalCache>) -> BaseImageCache {
    BaseImageCache {
        registries: Arc::new(Registries::new(options())),
        local: Some(local),
    }
}

/// Returns the bytes of the layers that are here. Empty if the registry has them only.
fn layers_here(image: &ResolvedImage) -> Vec<String> {
    match &image.layers {
        ImageLayers::Registry(_) => Vec::new(),
        ImageLayers::Here(layers) => {
            let layers = layers.iter().flatten();
            let read = layers.map(|layer| std::io::read_to_string(layer.bytes().unwrap()).unwrap());
            read.collect()
        }
    }
}

const TEXTS: [&str; 2] = ["first layer", "second"];

#[tokio::test]
async fn an_image_that_was_pulled_is_kept_and_found_by_its_tag() {
    let job = Job::new().await;
    let pushed = push(&job.repository, "1", TEXTS[1], &amd64()).await;
    let pulled = job.resolve(":1").await;
    assert_eq!(pulled.descriptor, pushed);
    assert_eq!(layers_here(&pulled), [""; 0]);
    job.keep(&pulled, &TEXTS).await;
    let kept = job.resolve(":1").await;
    assert_eq!(layers_here(&kept), TEXTS);
    assert_eq!(
        (kept.descriptor, kept.config),
        (pulled.descriptor, pulled.config)
    );
    assert_eq!(
        (kept.manifest, kept.origin),
        (pulled.manifest, pulled.origin)
    );
    assert_eq!(local_cache(&job.dir()).verify(false).unwrap(), []);
}

#[tokio::test]
async fn a_tag_that_was_moved_gives_the_image_that_it_names_now() {
    let job = Job::new().await;
    push(&job.repository, "1", TEXTS[1], &amd64()).await;
    job.keep(&job.resolve(":1").await, &TEXTS).await;
    let moved = push(&job.repository, "1", "another", &amd64()).await;
    let found = job.resolve(":1").await;
    assert_eq!(found.descriptor, moved);
    assert_eq!(layers_here(&found), [""; 0]);
    job.keep(&found, &["first layer", "another"]).await;
    assert_eq!(
        layers_here(&job.resolve(":1").await),
        ["first layer", "another"]
    );
}

#[tokio::test]
async fn a_digest_is_found_without_its_registry_and_a_tag_is_not() {
    let job = Job::new().await;
    let pushed = push(&job.repository, "1", TEXTS[1], &amd64()).await;
    job.keep(&job.resolve(":1").await, &TEXTS).await;
    let by_digest = job.reference(&format!("@{}", pushed.digest));
    let by_tag = job.reference(":1");
    let local = local_cache(&job.dir());
    drop(job.server);
    let images = images(local);
    let found = images
        .resolve(&ImageName::new(&by_digest), &amd64())
        .await
        .unwrap();
    assert_eq!(layers_here(&found), TEXTS);
    let error = images
        .resolve(&ImageName::new(&by_tag), &amd64())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn an_index_is_kept_with_its_images_platform_by_platform() {
    let job = Job::new().await;
    let arm64 = Platform::new("linux", "arm64");
    let mut listed = Vec::new();
    for (platform, text) in [(amd64(), TEXTS[1]), (arm64.clone(), "for arm")] {
        let pushed = push(
            &job.repository,
            text.split(' ').next().unwrap(),
            text,
            &platform,
        )
        .await;
        listed.push(Descriptor {
            platform: Some(platform),
            ..pushed
        });
    }
    let index = Bytes::from(Index::new(ImageFormat::Oci, listed).to_json().unwrap());
    let media_type = MediaType::Index(ImageFormat::Oci);
    job.repository
        .put_manifest("many", &media_type, &index)
        .await
        .unwrap();

    job.keep(&job.resolve(":many").await, &TEXTS).await;
    assert_eq!(layers_here(&job.resolve(":many").await), TEXTS);
    let images = images(local_cache(&job.dir()));
    let resolve = || async {
        let reference = job.reference(":many");
        images
            .resolve(&ImageName::new(&reference), &arm64)
            .await
            .unwrap()
    };
    assert_eq!(layers_here(&resolve().await), [""; 0]);
    job.keep(&resolve().await, &["first layer", "for arm"])
        .await;
    assert_eq!(layers_here(&resolve().await), ["first layer", "for arm"]);
    assert_eq!(layers_here(&job.resolve(":many").await), TEXTS);
    let neither = Platform::new("linux", "s390x");
    let error = images
        .resolve(&ImageName::new(&job.reference(":many")), &neither)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoPlatform);
}

#[tokio::test]
async fn an_image_whose_layers_are_wrong_is_not_kept() {
    let job = Job::new().await;
    push(&job.repository, "1", TEXTS[1], &amd64()).await;
    let pulled = job.resolve(":1").await;
    job.keep(&pulled, &["first layer", "secona"]).await;
    assert_eq!(layers_here(&job.resolve(":1").await), [""; 0]);
    let cache = local_cache(&job.dir());
    assert_eq!(cache.verify(false).unwrap(), []);
    assert!(cache.list().unwrap().is_empty());
}

#[tokio::test]
async fn an_expired_image_is_pulled_again_and_new_once_it_is_kept() {
    let job = Job::new().await;
    push(&job.repository, "1", TEXTS[1], &amd64()).await;
    job.keep(&job.resolve(":1").await, &TEXTS).await;
    std::thread::sleep(std::time::Duration::from_millis(20));
    let now = Timestamp::now();
    let resolve = || async {
        let local = LocalCache::open(&job.dir(), now).unwrap();
        let images = images(Arc::new(local));
        images
            .resolve(&ImageName::new(&job.reference(":1")), &amd64())
            .await
            .unwrap()
    };
    let expired = resolve().await;
    assert_eq!(layers_here(&expired), [""; 0]);
    job.keep(&expired, &TEXTS).await;
    assert_eq!(layers_here(&resolve().await), TEXTS);
}

#[tokio::test]
async fn without_a_directory_images_come_from_their_registry() {
    let job = Job::new().await;
    let pushed = push(&job.repository, "1", TEXTS[1], &amd64()).await;
    let images = BaseImageCache {
        local: None,
        ..images(local_cache(Path::new(&job.dir())))
    };
    let found = images
        .resolve(&ImageName::new(&job.reference(":1")), &amd64())
        .await
        .unwrap();
    assert_eq!(found.descriptor, pushed);
    images.keep(&found, |_| PathBuf::from("/nonexistent")).await;
}
