//! The caches as processes and registries meet them: the real registry server, one that says no, and processes that race
//! and are killed.

mod registry_server;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use registry_server::Server;
use sawagani::cache::inputs::WorkdirInputs;
use sawagani::cache::local_cache::PruneRules;
use sawagani::cache::{
    CacheEntry, CacheKey, CacheRepository, EntryLooks, LayerCache, LayerPlace, LocalCache, Lookup,
    Miss, RegistryCache,
};
use sawagani::image::{
    Descriptor, DiffId, Digest, ImageFormat, Index, LayerCompression, Manifest, MediaType,
    Platform, Reference,
};
use sawagani::registry::options::{RegistryOptions, RetryPolicy};
use sawagani::registry::push::{BlobDelivery, BlobSource};
use sawagani::registry::{Purpose, Registries, Repository};

const MADE: &str = "2026-01-02T03:04:05Z";

fn repository(host: &str, name: &str) -> Repository {
    let options = RegistryOptions {
        retry: RetryPolicy {
            retries: 1,
            first_delay: Duration::from_millis(10),
            ..RetryPolicy::default()
        },
        ..RegistryOptions::default()
    };
    let reference = Reference::parse(&format!("{host}/{name}")).unwrap();
    Registries::new(options)
        .repository(&reference, Purpose::Push)
        .unwrap()
}

fn cache_in(repository: &Repository) -> RegistryCache {
    RegistryCache::new(repository.clone(), Timestamp::UNIX_EPOCH)
}

fn key(name: &str) -> CacheKey {
    let inputs = WorkdirInputs {
        parent: CacheKey::parse(&"0".repeat(64)).unwrap(),
        path: name.to_owned(),
        user: String::new(),
    };
    inputs.fingerprint().key()
}

fn entry(name: &str, format: ImageFormat, compression: LayerCompression) -> CacheEntry {
    CacheEntry {
        keys: vec![key(name)],
        layer: Descriptor::of(MediaType::layer(format, compression), name.as_bytes()),
        diff_id: DiffId::new(Digest::of(format!("tar of {name}").as_bytes())),
        created: MADE.parse().unwrap(),
    }
}

fn gzip_entry(name: &str) -> CacheEntry {
    entry(name, ImageFormat::Oci, LayerCompression::Gzip)
}

fn looks(format: ImageFormat) -> EntryLooks {
    EntryLooks {
        created_by: "RUN make".to_owned(),
        platform: Platform::new("linux", "amd64"),
        format,
    }
}

fn bytes_of(name: &str) -> BlobSource {
    BlobSource::Bytes(Bytes::copy_from_slice(name.as_bytes()))
}

async fn store(cache: &RegistryCache, name: &str) -> BlobDelivery {
    let (entry, looks) = (gzip_entry(name), looks(ImageFormat::Oci));
    cache
        .store(&entry, &looks, &bytes_of(name), None)
        .await
        .unwrap()
}

#[tokio::test]
async fn many_keys_are_answered_in_order_and_missing_ones_are_absent() {
    let server = Server::start("").await;
    let cache = cache_in(&repository(&server.host(), "app/cache"));
    let names: Vec<String> = (0..30).map(|number| format!("step {number}")).collect();
    for name in names.iter().step_by(2) {
        assert_eq!(store(&cache, name).await, BlobDelivery::Uploaded);
    }
    let mut keys: Vec<CacheKey> = names.iter().map(|name| key(name)).collect();
    keys.push(keys[0].clone());
    let found = cache.look_up(&keys).await;
    assert_eq!(found.len(), 31);
    for (at, (lookup, name)) in found.iter().zip(&names).enumerate() {
        match lookup {
            Lookup::Hit(hit) => assert!(at % 2 == 0 && *hit == gzip_entry(name), "{at}"),
            Lookup::Miss(miss) => assert!(at % 2 == 1 && *miss == Miss::Absent, "{at}"),
        }
    }
    assert!(found[30].is_hit());
    assert!(cache.look_up(&[]).await.is_empty());
}

#[tokio::test]
async fn entries_of_every_kind_come_back_as_they_were_stored_under_all_keys() {
    let server = Server::start("").await;
    let cache = cache_in(&repository(&server.host(), "app/cache"));
    let kinds = [
        (ImageFormat::Oci, LayerCompression::Gzip),
        (ImageFormat::Oci, LayerCompression::Zstd),
        (ImageFormat::Oci, LayerCompression::None),
        (ImageFormat::Docker, LayerCompression::Gzip),
        (ImageFormat::Docker, LayerCompression::Zstd),
    ];
    for (format, compression) in kinds {
        let name = format!("{format:?} {compression:?}");
        let mut entry = entry(&name, format, compression);
        entry.keys.push(key(&format!("{name} by content")));
        cache
            .store(&entry, &looks(format), &bytes_of(&name), None)
            .await
            .unwrap();
        for found in cache.look_up(&entry.keys).await {
            assert_eq!(found.hit().unwrap(), entry);
        }
    }
}

#[tokio::test]
async fn an_entry_is_an_image_of_one_layer_that_others_can_read() {
    let server = Server::start("").await;
    let repository = repository(&server.host(), "app/cache");
    store(&cache_in(&repository), "step").await;
    let wanted = Platform::new("linux", "amd64");
    let image = repository
        .fetch_image(key("step").as_str(), &wanted)
        .await
        .unwrap();
    let config = repository
        .fetch_config(&image.manifest.config)
        .await
        .unwrap();
    assert_eq!(image.manifest.layers, [gzip_entry("step").layer]);
    assert_eq!(config.rootfs.diff_ids, [gzip_entry("step").diff_id]);
    assert_eq!(config.created.as_deref(), Some(MADE));
    assert_eq!(config.history[0].created_by, "RUN make");
}

#[tokio::test]
async fn a_layer_that_the_registry_has_is_mounted() {
    let server = Server::start("").await;
    let app = repository(&server.host(), "app");
    let entry = gzip_entry("step");
    app.push_blob(&entry.layer, &bytes_of("step"), None)
        .await
        .unwrap();
    let cache = cache_in(&repository(&server.host(), "app/cache"));
    let looks = looks(ImageFormat::Oci);
    // The bytes are not at hand: they must not be needed.
    let nowhere = BlobSource::File("/nonexistent/blob".into());
    let storing = cache.store(&entry, &looks, &nowhere, Some("app"));
    assert_eq!(storing.await.unwrap(), BlobDelivery::Mounted);
    assert!(cache.look_up(&entry.keys).await[0].is_hit());
}

#[tokio::test]
async fn an_old_entry_is_expired() {
    let server = Server::start("").await;
    let repository = repository(&server.host(), "app/cache");
    store(&cache_in(&repository), "step").await;
    let made: Timestamp = MADE.parse().unwrap();
    let at = |oldest| RegistryCache::new(repository.clone(), oldest);
    assert!(at(made).look_up(&[key("step")]).await[0].is_hit());
    let later = made + jiff::Span::new().seconds(1);
    let found = &at(later).look_up(&[key("step")]).await[0];
    assert!(matches!(found, Lookup::Miss(Miss::Expired { created }) if *created == made));
}

/// Puts a document under the key's tag, with a config and a layer that are there.
async fn put(repository: &Repository, name: &str, change: impl FnOnce(&mut Manifest)) {
    let config = Bytes::from_static(br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#);
    let described = Descriptor::of(MediaType::Config(ImageFormat::Oci), &config);
    let config = BlobSource::Bytes(config);
    repository
        .push_blob(&described, &config, None)
        .await
        .unwrap();
    let layer = gzip_entry("layer").layer;
    repository
        .push_blob(&layer, &bytes_of("layer"), None)
        .await
        .unwrap();
    let mut manifest = Manifest::new(ImageFormat::Oci, &described, &[layer]);
    change(&mut manifest);
    let bytes = Bytes::from(manifest.to_json().unwrap());
    let media_type = MediaType::Manifest(ImageFormat::Oci);
    repository
        .put_manifest(key(name).as_str(), &media_type, &bytes)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_entry_is_unusable_and_its_neighbours_are_found() {
    let server = Server::start("").await;
    let repository = repository(&server.host(), "app/cache");
    let cache = cache_in(&repository);
    store(&cache, "good").await;
    put(&repository, "no layer", |manifest| manifest.layers.clear()).await;
    put(&repository, "two layers", |manifest| {
        manifest.layers.push(manifest.layers[0].clone());
    })
    .await;
    put(&repository, "odd layer", |manifest| {
        manifest.layers[0].media_type = MediaType::Other("application/x-odd".to_owned());
    })
    .await;
    put(&repository, "no diff ID", |_| {}).await;
    // A tag that somebody moved: the entry of another step.
    let good = repository
        .fetch_manifest(key("good").as_str())
        .await
        .unwrap();
    let media_type = MediaType::Manifest(ImageFormat::Oci);
    repository
        .put_manifest(key("moved").as_str(), &media_type, &good.bytes)
        .await
        .unwrap();
    let index = Index::new(ImageFormat::Oci, vec![good.descriptor.clone()]);
    let index = Bytes::from(index.to_json().unwrap());
    let media_type = MediaType::Index(ImageFormat::Oci);
    repository
        .put_manifest(key("index").as_str(), &media_type, &index)
        .await
        .unwrap();

    let names = [
        "no layer",
        "two layers",
        "odd layer",
        "no diff ID",
        "moved",
        "index",
        "good",
    ];
    let keys: Vec<CacheKey> = names.iter().map(|name| key(name)).collect();
    let mut found = cache.look_up(&keys).await;
    assert!(found.pop().unwrap().is_hit());
    for (name, lookup) in names.iter().zip(found) {
        assert!(
            matches!(lookup, Lookup::Miss(Miss::Unusable { .. })),
            "{name}: {lookup:?}"
        );
    }
    // What is unusable is replaced by what the step makes.
    store(&cache, "moved").await;
    assert!(cache.look_up(&[key("moved")]).await[0].is_hit());
}

/// A server that answers every request by its first line, and counts them.
fn server_that_answers(
    reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, reply) = (Arc::clone(&count), Arc::new(reply));
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (counted, reply) = (Arc::clone(&counted), Arc::clone(&reply));
            std::thread::spawn(move || answer(stream.unwrap(), &*reply, &counted));
        }
    });
    (host, count)
}

fn answer(mut stream: TcpStream, reply: &dyn Fn(&str) -> Vec<u8>, counted: &AtomicUsize) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
        // Lookups have no bodies: a request ends with its headers.
        while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            let request = String::from_utf8(seen.drain(..end + 4).collect()).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = reply(request.lines().next().unwrap());
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

fn server_that_says(status: u16) -> (String, Arc<AtomicUsize>) {
    let reply = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
    server_that_answers(move |_| reply.clone().into_bytes())
}

#[tokio::test]
async fn a_lookup_is_one_request_whatever_comes_of_it() {
    let server = Server::start("").await;
    let real = repository(&server.host(), "app/cache");
    store(&cache_in(&real), "step").await;
    let stored = real.fetch_manifest(key("step").as_str()).await.unwrap();
    let (media_type, length) = (stored.descriptor.media_type, stored.bytes.len());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    let wanted = format!("GET /v2/app/cache/manifests/{} HTTP/1.1", key("step"));
    let (host, count) = server_that_answers(move |line| match line == wanted {
        true => [head.as_bytes(), &stored.bytes].concat(),
        false => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let cache = cache_in(&repository(&host, "app/cache"));
    let found = cache
        .look_up(&["step", "other", "step", "third"].map(key))
        .await;
    let hits: Vec<bool> = found.iter().map(Lookup::is_hit).collect();
    assert_eq!(hits, [true, false, true, false]);
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_registry_that_says_no_is_a_miss_and_is_asked_no_further() {
    let keys: Vec<CacheKey> = (0..200).map(|number| key(&number.to_string())).collect();
    for status in [401, 403, 429, 500, 503] {
        let (host, count) = server_that_says(status);
        let cache = cache_in(&repository(&host, "app/cache"));
        for lookup in cache.look_up(&keys).await {
            assert!(
                matches!(lookup, Lookup::Miss(Miss::Unreachable { .. })),
                "{status}"
            );
        }
        let asked = count.load(Ordering::Relaxed);
        assert!(
            asked < 100,
            "{status}: {asked} requests for {} keys",
            keys.len()
        );
        cache.look_up(&keys).await;
        assert_eq!(count.load(Ordering::Relaxed), asked, "{status}");
        let (entry, looks) = (gzip_entry("step"), looks(ImageFormat::Oci));
        let stored = cache.store(&entry, &looks, &bytes_of("step"), None).await;
        assert!(stored.is_err(), "{status}");
    }
    let (host, _) = server_that_says(404);
    let cache = cache_in(&repository(&host, "app/cache"));
    for lookup in cache.look_up(&keys[..3]).await {
        assert!(matches!(lookup, Lookup::Miss(Miss::Absent)));
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_a_miss() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("localhost:{}", free.local_addr().unwrap().port());
    drop(free);
    let cache = cache_in(&repository(&host, "app/cache"));
    let found = cache.look_up(&[key("a"), key("b")]).await;
    for lookup in found {
        assert!(matches!(lookup, Lookup::Miss(Miss::Unreachable { .. })));
    }
}

fn local_cache(dir: &Path) -> Arc<LocalCache> {
    Arc::new(LocalCache::open(dir, Timestamp::UNIX_EPOCH).unwrap())
}

#[tokio::test]
async fn the_directory_is_asked_first_and_the_repository_for_the_rest() {
    let server = Server::start("").await;
    let temp = tempfile::tempdir().unwrap();
    let registry = cache_in(&repository(&server.host(), "app/cache"));
    let origin = registry.origin();
    let both = LayerCache {
        local: Some(local_cache(&temp.path().join("local"))),
        repository: Some(CacheRepository::Registry(registry)),
    };
    let file = temp.path().join("blob");
    std::fs::write(&file, "both").unwrap();
    let looks = looks(ImageFormat::Oci);
    both.store(&gzip_entry("both"), &looks, &file, None).await;
    store(
        &cache_in(&repository(&server.host(), "app/cache")),
        "remote",
    )
    .await;

    let keys = ["remote", "neither", "both"].map(key);
    let mut found = both.look_up(&keys).await.into_iter();
    let remote = found.next().unwrap().hit().unwrap();
    assert_eq!(remote.entry, gzip_entry("remote"));
    assert!(matches!(remote.place, LayerPlace::Registry(place) if place == origin));
    assert!(matches!(found.next().unwrap(), Lookup::Miss(Miss::Absent)));
    let here = found.next().unwrap().hit().unwrap();
    assert!(matches!(here.place, LayerPlace::Here(held) if held.check().is_ok()));

    // Another job, with another directory.
    let other = LayerCache {
        local: Some(local_cache(&temp.path().join("other"))),
        ..both
    };
    let found = other
        .look_up(&keys[2..])
        .await
        .pop()
        .unwrap()
        .hit()
        .unwrap();
    assert!(matches!(found.place, LayerPlace::Registry(_)));
}

#[tokio::test]
async fn a_repository_may_be_a_directory_and_neither_need_be_there() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("blob");
    std::fs::write(&file, "step").unwrap();
    let looks = looks(ImageFormat::Oci);
    let shared = || LayerCache {
        local: None,
        repository: Some(CacheRepository::Directory(local_cache(
            &temp.path().join("shared"),
        ))),
    };
    shared()
        .store(&gzip_entry("step"), &looks, &file, None)
        .await;
    let found = shared().look_up(&[key("step")]).await.pop().unwrap();
    assert!(matches!(found.hit().unwrap().place, LayerPlace::Here(_)));
    let none = LayerCache::default();
    none.store(&gzip_entry("step"), &looks, &file, None).await;
    assert!(!none.look_up(&[key("step")]).await[0].is_hit());
}

#[tokio::test]
async fn a_layer_that_cannot_be_kept_is_no_error() {
    let temp = tempfile::tempdir().unwrap();
    let (host, _) = server_that_says(500);
    let cache = LayerCache {
        local: Some(local_cache(&temp.path().join("local"))),
        repository: Some(CacheRepository::Registry(cache_in(&repository(
            &host,
            "app/cache",
        )))),
    };
    let file = temp.path().join("blob");
    std::fs::write(&file, "wrong").unwrap();
    let looks = looks(ImageFormat::Oci);
    cache.store(&gzip_entry("step"), &looks, &file, None).await;
    let found = cache.look_up(&[key("step")]).await;
    assert!(matches!(found[0], Lookup::Miss(Miss::Unreachable { .. })));
}

/// Whom root becomes to be nobody special.
const NOBODY: u32 = 65534;

/// Names the directory that a process which this test starts works on.
const DIR: &str = "SAWAGANI_TEST_CACHE_DIR";
/// What it writes differs by this.
const SEED: &str = "SAWAGANI_TEST_SEED";
/// Steps that the processes store and look for.
const STEPS: u64 = 12;
/// Bytes of the largest layer: some take long enough to be killed in.
const LAYER_BYTES: u64 = 3_000_000;

/// The layer of a step: many blocks, all different, the same in every process.
fn content(step: u64) -> Vec<u8> {
    let size = (step + 1) * LAYER_BYTES / STEPS;
    let mut state = step + 1;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..size).map(next).collect()
}

fn step_entry(step: u64) -> CacheEntry {
    let content = content(step);
    let media_type = MediaType::layer(ImageFormat::Oci, LayerCompression::Gzip);
    CacheEntry {
        layer: Descriptor::of(media_type, &content),
        ..gzip_entry(&format!("step {step}"))
    }
}

/// Looks for a step, checks what is found, and stores it if there is nothing.
fn use_step(cache: &LocalCache, step: u64) {
    let entry = step_entry(step);
    if let Some((found, held)) = cache.look_up(&entry.keys[0]).hit() {
        assert_eq!(found, entry);
        held.check().expect("what is found is whole");
        return;
    }
    let layer = content(step);
    let mut blob = cache.write_blob(&entry.layer.digest).unwrap();
    for piece in layer.chunks(10_000) {
        blob.write_all(piece).unwrap();
    }
    let held = blob.commit().unwrap();
    cache
        .store(&entry, &looks(ImageFormat::Oci), &held)
        .unwrap();
}

/// Not a test of its own: what the racing processes do, for ever.
#[test]
#[ignore = "started by the tests of races"]
fn child_that_uses_a_cache_directory() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let mut state: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    loop {
        // As each build does: this is what removes the rests of dead ones.
        let cache = LocalCache::open(Path::new(&dir), Timestamp::UNIX_EPOCH).unwrap();
        for _ in 0..3 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            use_step(&cache, (state >> 33) % STEPS);
        }
        if (state >> 40) % 3 == 0 {
            let rules = PruneRules {
                unused_since: None,
                keep_size: Some(LAYER_BYTES * STEPS / 4),
            };
            cache.prune(&rules).unwrap();
        }
    }
}

/// Not a test of its own: what a process may do that can write nothing.
#[test]
#[ignore = "started by the test of a directory that is only read"]
fn child_that_may_only_read() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let cache = LocalCache::open(Path::new(&dir), Timestamp::UNIX_EPOCH).unwrap();
    assert!(!cache.is_writable());
    let (_, held) = cache.look_up(&step_entry(0).keys[0]).hit().unwrap();
    held.check().unwrap();
    assert!(cache.write_blob(held.digest()).is_err());
    assert!(cache.prune(&PruneRules::default()).is_err());
    assert_eq!(cache.verify(false).unwrap(), []);
    assert_eq!(cache.list().unwrap().len(), 1);
}

#[test]
fn a_directory_of_somebody_else_is_only_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    use_step(&LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap(), 0);
    let readable = |path: &Path| {
        let changed = Command::new("chmod")
            .args(["-R", "a-w,a+rX"])
            .arg(path)
            .status();
        assert!(changed.unwrap().success());
    };
    readable(temp.path());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--ignored", "--exact", "child_that_may_only_read"])
        .env(DIR, &dir);
    if rustix::process::geteuid().is_root() {
        child.uid(NOBODY).gid(NOBODY);
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    let changed = Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(temp.path())
        .status();
    assert!(changed.unwrap().success());
}

/// A process that works on the directory; killed when dropped.
struct Racer(Child);

impl Racer {
    fn start(dir: &Path, seed: u64) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_that_uses_a_cache_directory"])
            .env(DIR, dir)
            .env(SEED, seed.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Ends it with SIGKILL, wherever it is.
    fn kill(mut self) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_that_race_and_are_killed_leave_a_clean_cache() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let cache = LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    for round in 0..20 {
        let racers: Vec<Racer> = (0..3)
            .map(|seed| Racer::start(&dir, round * 10 + seed))
            .collect();
        // Different moments of their work.
        std::thread::sleep(Duration::from_millis(60 + round * 37));
        assert_eq!(
            cache.verify(false).unwrap(),
            [],
            "round {round}, while they run"
        );
        racers.into_iter().for_each(Racer::kill);
        assert_eq!(cache.verify(false).unwrap(), [], "round {round}");
    }
    for step in 0..STEPS {
        use_step(&cache, step);
    }
    let unfinished = || std::fs::read_dir(dir.join("tmp")).unwrap().count();
    LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(unfinished(), 0);
    cache.prune(&PruneRules::default()).unwrap();
    assert_eq!(cache.disk_use().unwrap().unused, 0);
    assert_eq!(cache.verify(false).unwrap(), []);
    for step in 0..STEPS {
        assert!(cache.look_up(&step_entry(step).keys[0]).is_hit(), "{step}");
    }
}

#[test]
fn a_process_killed_in_the_middle_of_a_blob_leaves_only_what_the_next_removes() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    let unfinished = || std::fs::read_dir(dir.join("tmp")).unwrap().count();
    let mut seed = 0;
    while unfinished() == 0 {
        let racer = Racer::start(&dir, seed);
        std::thread::sleep(Duration::from_millis(100 + seed * 7 % 50));
        racer.kill();
        seed += 1;
        assert!(seed < 200, "no process was ever killed while it wrote");
    }
    let cache = LocalCache::open(&dir, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(unfinished(), 0);
    assert_eq!(cache.verify(false).unwrap(), []);
}
