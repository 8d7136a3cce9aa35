//! Layers in a directory and a repository at the same time.

use jiff::Timestamp;
use sawagani::cache::{CacheRepository, LayerCache, LayerPlace, Lookup, Miss, Wanted};
use sawagani::image::ImageFormat;
use sawagani::registry::Registries;

use super::registry_server::Server;
use super::scripted::server_that_says;
use super::steps::{cache_in, gzip_entry, key, local_cache, looks, options, repository, store};

fn wanted(name: &str) -> Wanted {
    Wanted {
        key: key(name),
        in_repository: true,
    }
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
    both.store(&gzip_entry("both"), &looks, &file, true).await;
    store(
        &cache_in(&repository(&server.host(), "app/cache")),
        "remote",
    )
    .await;

    let keys = ["remote", "neither", "both"].map(wanted);
    let mut found = both.look_up(&keys).await.into_iter();
    let remote = found.next().unwrap().hit().unwrap();
    assert_eq!(remote.entry, gzip_entry("remote"));
    assert!(matches!(remote.place, LayerPlace::Registry(place) if place == origin));
    assert!(matches!(found.next().unwrap(), Lookup::Miss(Miss::Absent)));
    let here = found.next().unwrap().hit().unwrap();
    assert!(matches!(here.place, LayerPlace::Here { blob, .. } if blob.check().is_ok()));

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
    // What is wanted of the directory only is not asked of the repository, nor kept there.
    let here_only = |name| Wanted {
        in_repository: false,
        ..wanted(name)
    };
    assert!(!other.look_up(&[here_only("both")]).await[0].is_hit());
    let entry = gzip_entry("local");
    std::fs::write(&file, "local").unwrap();
    assert_eq!(other.store(&entry, &looks, &file, false).await, None);
    assert!(other.look_up(&[here_only("local")]).await[0].is_hit());
    let remote = LayerCache {
        local: None,
        ..other
    };
    assert!(!remote.look_up(&[wanted("local")]).await[0].is_hit());
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
        .store(&gzip_entry("step"), &looks, &file, true)
        .await;
    let found = shared().look_up(&[wanted("step")]).await.pop().unwrap();
    assert!(matches!(
        found.hit().unwrap().place,
        LayerPlace::Here { .. }
    ));
    let none = LayerCache::default();
    none.store(&gzip_entry("step"), &looks, &file, true).await;
    assert!(!none.look_up(&[wanted("step")]).await[0].is_hit());
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
    cache.store(&gzip_entry("step"), &looks, &file, true).await;
    let found = cache.look_up(&[wanted("step")]).await;
    assert!(matches!(found[0], Lookup::Miss(Miss::Unreachable { .. })));
}

#[tokio::test]
async fn a_cache_repository_is_opened_by_its_name() {
    let server = Server::start("").await;
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("blob");
    std::fs::write(&file, "step").unwrap();
    let registries = Registries::new(options());
    let open = |name: &str| CacheRepository::open(name, &registries, Timestamp::UNIX_EPOCH);
    let in_registry = format!("{}/app/cache", server.host());
    let in_directory = format!("oci:{}", temp.path().join("shared").display());
    for name in [&in_registry, &in_directory] {
        let cache = || LayerCache {
            local: None,
            repository: Some(open(name).unwrap()),
        };
        let looks = looks(ImageFormat::Oci);
        cache()
            .store(&gzip_entry("step"), &looks, &file, true)
            .await;
        assert!(
            cache().look_up(&[wanted("step")]).await[0].is_hit(),
            "{name}"
        );
    }
    let here = local_cache(&temp.path().join("shared"));
    assert!(here.look_up(&key("step")).is_hit());
    assert!(
        cache_in(&repository(&server.host(), "app/cache"))
            .look_up(&[key("step")])
            .await[0]
            .is_hit()
    );
    for name in ["", "Not A Name", "app/cache:tag", "oci:/dev/null/x"] {
        assert!(open(name).is_err(), "{name}");
    }
}
