//! Steps that never ran, and where their layers are kept.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sawagani::cache::inputs::WorkdirInputs;
use sawagani::cache::{CacheEntry, CacheKey, EntryLooks, LocalCache, RegistryCache};
use sawagani::image::{
    Descriptor, DiffId, Digest, ImageFormat, LayerCompression, MediaType, Platform, Reference,
};
use sawagani::registry::options::{RegistryOptions, RetryPolicy};
use sawagani::registry::push::{BlobDelivery, BlobSource};
use sawagani::registry::{Purpose, Registries, Repository};

pub(crate) const MADE: &str = "2026-01-02T03:04:05Z";

pub(crate) fn options() -> RegistryOptions {
    RegistryOptions {
        retry: RetryPolicy {
            retries: 1,
            first_delay: Duration::from_millis(10),
            ..RetryPolicy::default()
        },
        ..RegistryOptions::default()
    }
}

pub(crate) fn repository(host: &str, name: &str) -> Repository {
    let reference = Reference::parse(&format!("{host}/{name}")).unwrap();
    Registries::new(options())
        .repository(&reference, Purpose::Push)
        .unwrap()
}

pub(crate) fn cache_in(repository: &Repository) -> RegistryCache {
    RegistryCache::new(repository.clone(), Timestamp::UNIX_EPOCH)
}

pub(crate) fn key(name: &str) -> CacheKey {
    let inputs = WorkdirInputs {
        parent: CacheKey::parse(&"0".repeat(64)).unwrap(),
        path: name.to_owned(),
        user: String::new(),
    };
    inputs.fingerprint().key()
}

pub(crate) fn entry(name: &str, format: ImageFormat, compression: LayerCompression) -> CacheEntry {
    CacheEntry {
        keys: vec![key(name)],
        layer: Descriptor::of(MediaType::layer(format, compression), name.as_bytes()),
        diff_id: DiffId::new(Digest::of(format!("tar of {name}").as_bytes())),
        created: MADE.parse().unwrap(),
        made_of: vec![key("files")],
    }
}

pub(crate) fn gzip_entry(name: &str) -> CacheEntry {
    entry(name, ImageFormat::Oci, LayerCompression::Gzip)
}

pub(crate) fn looks(format: ImageFormat) -> EntryLooks {
    EntryLooks {
        created_by: "RUN make".to_owned(),
        platform: Platform::new("linux", "amd64"),
        format,
    }
}

pub(crate) fn bytes_of(name: &str) -> BlobSource {
    BlobSource::Bytes(Bytes::copy_from_slice(name.as_bytes()))
}

pub(crate) async fn store(cache: &RegistryCache, name: &str) -> BlobDelivery {
    let (entry, looks) = (gzip_entry(name), looks(ImageFormat::Oci));
    cache
        .store(&entry, &looks, &bytes_of(name), None)
        .await
        .unwrap()
}

pub(crate) fn local_cache(dir: &Path) -> Arc<LocalCache> {
    Arc::new(LocalCache::open(dir, Timestamp::UNIX_EPOCH).unwrap())
}
