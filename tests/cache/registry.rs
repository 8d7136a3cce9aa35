//! Layers in a repository.

use std::net::TcpListener;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use jiff::Timestamp;
use sawagani::cache::{CacheKey, Lookup, Miss, RegistryCache};
use sawagani::image::{
    Descriptor, ImageFormat, Index, LayerCompression, Manifest, MediaType, Platform,
};
use sawagani::registry::Repository;
use sawagani::registry::push::{BlobDelivery, BlobSource};

use super::registry_server::Server;
use super::scripted::{server_that_answers, server_that_says};
use super::steps::{MADE, bytes_of, cache_in, entry, gzip_entry, key, looks, repository, store};

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

#[tokio::test]
async fn a_miss_costs_one_request_and_a_hit_one_more_for_its_layer() {
    let server = Server::start("").await;
    let real = repository(&server.host(), "app/cache");
    store(&cache_in(&real), "step").await;
    let stored = real.fetch_manifest(key("step").as_str()).await.unwrap();
    let (media_type, length) = (stored.descriptor.media_type, stored.bytes.len());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    let wanted = format!("GET /v2/app/cache/manifests/{} HTTP/1.1", key("step"));
    let layer = gzip_entry("step").layer;
    let asked = format!("HEAD /v2/app/cache/blobs/{} HTTP/1.1", layer.digest);
    let (host, count) = server_that_answers(move |line| match line {
        _ if line == wanted => [head.as_bytes(), &stored.bytes].concat(),
        _ if line == asked => {
            let length = layer.size;
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes()
        }
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let cache = cache_in(&repository(&host, "app/cache"));
    let found = cache
        .look_up(&["step", "other", "step", "third"].map(key))
        .await;
    let hits: Vec<bool> = found.iter().map(Lookup::is_hit).collect();
    assert_eq!(hits, [true, false, true, false]);
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn an_entry_whose_layer_is_gone_or_cut_short_is_not_used() {
    for lost in [0, 1] {
        let server = Server::start("").await;
        let cache = cache_in(&repository(&server.host(), "app/cache"));
        store(&cache, "step").await;
        let digest = gzip_entry("step").layer.digest;
        let file = server.blob_file(digest.hex());
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.truncate(bytes.len() - lost);
        match lost {
            0 => std::fs::remove_dir_all(file.parent().unwrap()).unwrap(),
            _ => std::fs::write(&file, bytes).unwrap(),
        }
        let found = &cache.look_up(&[key("step")]).await[0];
        assert!(
            matches!(found, Lookup::Miss(Miss::Unusable { .. })),
            "{found:?}"
        );
    }
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
