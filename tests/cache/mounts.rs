//! Contents of cache mounts, from one build to the next.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;

use sawagani::cache::cache_mounts::{CacheMountError, CacheMounts, Kept, MountName};
use sawagani::fs::Root;
use sawagani::image::blob_store::BlobStore;
use sawagani::image::{Digest, Platform};

use super::registry_server::Server;
use super::steps::{local_cache, repository};

/// What a tar may have.
const LIMIT: u64 = 1 << 30;

/// Builds of the same job, each with files of its own.
struct Job {
    temp: tempfile::TempDir,
    mounts: CacheMounts,
}

impl Job {
    fn new(mounts: CacheMounts) -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
            mounts,
        }
    }

    fn directory(&self) -> std::path::PathBuf {
        let directory = self.temp.path().join("mount");
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    async fn restore(&self) -> Result<Option<Digest>, CacheMountError> {
        let directory = Root::open(&self.directory()).unwrap();
        self.mounts.restore(&name("go"), directory).await
    }

    async fn keep(&self, restored: Option<Digest>, limit: u64) -> Result<Kept, CacheMountError> {
        let directory = Root::open(&self.directory()).unwrap();
        let blobs = Arc::new(BlobStore::open(&self.temp.path().join("blobs")).unwrap());
        let scratch = self.temp.path().join("scratch");
        let kept = self
            .mounts
            .keep(&name("go"), directory, restored, limit, &scratch, &blobs)
            .await;
        assert!(!scratch.exists());
        kept
    }
}

fn name(id: &str) -> MountName {
    MountName::new(id, &Platform::new("linux", "amd64"))
}

/// Bytes that no compression makes smaller, the same for the same seed.
fn noise(mut seed: u64, length: usize) -> Vec<u8> {
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn fill(directory: &Path) {
    fs::create_dir(directory.join("pkg")).unwrap();
    fs::write(directory.join("pkg/large"), noise(1, 12 << 20)).unwrap();
    fs::write(directory.join("pkg/small"), "small").unwrap();
    fs::hard_link(directory.join("pkg/small"), directory.join("linked")).unwrap();
    symlink("pkg/small", directory.join("link")).unwrap();
    std::os::unix::fs::chown(directory.join("pkg"), Some(1000), Some(1001)).unwrap();
    let old = fs::File::open(directory.join("pkg/small")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    old.set_modified(time).unwrap();
}

fn assert_filled(directory: &Path) {
    assert!(fs::read(directory.join("pkg/large")).unwrap() == noise(1, 12 << 20));
    let small = fs::metadata(directory.join("linked")).unwrap();
    assert_eq!((small.nlink(), small.mtime()), (2, 1_000_000_000));
    assert_eq!(
        fs::read_link(directory.join("link")).unwrap(),
        Path::new("pkg/small")
    );
    let owned = fs::metadata(directory.join("pkg")).unwrap();
    assert_eq!((owned.uid(), owned.gid()), (1000, 1001));
}

/// Keeps files, changes one, and has them again.
async fn round(mounts: CacheMounts) {
    let first = Job::new(mounts.clone());
    assert_eq!(first.restore().await.unwrap(), None);
    fill(&first.directory());
    let Kept::Stored { new_bytes, bytes } = first.keep(None, LIMIT).await.unwrap() else {
        panic!("nothing was kept");
    };
    assert_eq!(new_bytes, bytes);

    let second = Job::new(mounts.clone());
    let restored = second.restore().await.unwrap();
    assert!(restored.is_some());
    assert_filled(&second.directory());
    let same = second.keep(restored.clone(), LIMIT).await.unwrap();
    assert_eq!(same, Kept::Unchanged);
    // A small change sends little.
    fs::write(second.directory().join("pkg/new"), "new").unwrap();
    let Kept::Stored { new_bytes, bytes } = second.keep(restored, LIMIT).await.unwrap() else {
        panic!("nothing was kept");
    };
    assert!(new_bytes < bytes, "{new_bytes} of {bytes}");

    let third = Job::new(mounts.clone());
    assert!(third.restore().await.unwrap().is_some());
    assert_filled(&third.directory());
    assert!(third.directory().join("pkg/new").exists());
    let too_large = third.keep(None, 1 << 20).await.unwrap_err();
    assert!(matches!(too_large, CacheMountError::TooLarge { .. }));
    // Another mount, or one for another machine, has nothing of it.
    for other in [
        name("other"),
        MountName::new("go", &Platform::new("linux", "arm64")),
    ] {
        let empty = Root::open(&Job::new(mounts.clone()).directory()).unwrap();
        assert_eq!(mounts.restore(&other, empty).await.unwrap(), None);
    }
}

#[tokio::test]
async fn mounts_are_kept_in_a_directory() {
    let temp = tempfile::tempdir().unwrap();
    let cache = local_cache(temp.path());
    round(CacheMounts::Directory(Arc::clone(&cache))).await;
    assert!(cache.verify(false).unwrap().is_empty());
    assert!(cache.disk_use().unwrap().mounts > 12 << 20);
}

#[tokio::test]
async fn mounts_are_kept_in_a_repository() {
    let server = Server::start("").await;
    round(CacheMounts::Repository(repository(
        &server.host(),
        "app/cache",
    )))
    .await;
}

#[tokio::test]
async fn who_keeps_a_mount_last_wins_and_nobody_has_a_half() {
    let (temp, server) = (tempfile::tempdir().unwrap(), Server::start("").await);
    let repository = repository(&server.host(), "app/cache");
    for mounts in [
        CacheMounts::Directory(local_cache(temp.path())),
        CacheMounts::Repository(repository),
    ] {
        let write = async |text: &str| {
            for round in 0..4 {
                let job = Job::new(mounts.clone());
                for number in 0..10 {
                    let file = job.directory().join(number.to_string());
                    fs::write(file, format!("{text}{round}")).unwrap();
                }
                job.keep(None, LIMIT).await.unwrap();
            }
        };
        let read = async || {
            let job = Job::new(mounts.clone());
            job.restore().await.unwrap()?;
            let file = |number: u8| job.directory().join(number.to_string());
            let texts = (0..10).map(|number| fs::read_to_string(file(number)).unwrap());
            let texts: BTreeSet<String> = texts.collect();
            assert_eq!(texts.len(), 1, "{texts:?}");
            texts.into_iter().next()
        };
        let read_often = async || {
            for _ in 0..12 {
                read().await;
            }
        };
        tokio::join!(write("a"), write("b"), read_often());
        assert!(read().await.unwrap().ends_with('3'));
    }
}

#[tokio::test]
async fn names_that_mean_deletions_in_a_layer_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let job = Job::new(CacheMounts::Directory(local_cache(temp.path())));
    fs::write(job.directory().join(".wh.name"), "").unwrap();
    let error = job.keep(None, LIMIT).await.unwrap_err();
    assert!(error.to_string().contains(".wh.name"), "{error}");
    assert_eq!(job.restore().await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_part_is_an_error_and_never_files() {
    let server = Server::start("").await;
    let mounts = CacheMounts::Repository(repository(&server.host(), "app/cache"));
    let first = Job::new(mounts.clone());
    fill(&first.directory());
    first.keep(None, LIMIT).await.unwrap();
    let repository = repository(&server.host(), "app/cache");
    let tag = tag_of_only_mount(&repository).await;
    let manifest = repository.fetch_manifest(&tag).await.unwrap();
    let sawagani::image::manifest::ManifestDocument::Image(manifest) = manifest.document else {
        panic!("it is an index");
    };
    let file = server.blob_file(manifest.layers[1].digest.hex());
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(Job::new(mounts).restore().await.is_err());
}

async fn tag_of_only_mount(repository: &sawagani::registry::Repository) -> String {
    let host = repository.registry().host();
    let url = format!("http://{host}/v2/{}/tags/list", repository.name());
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let tags: serde_json::Value = serde_json::from_str(&text).unwrap();
    tags["tags"][0].as_str().unwrap().to_owned()
}
