mod headers;
mod tokens;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::credentials::{DockerConfig, Keychain};
use super::super::error::ErrorKind;
use super::super::options::{RegistryOptions, RetryPolicy, Timeouts};
use super::super::scripted_server::{Reply, Server, options};
use crate::image::Digest;

const MANIFEST: &str = "/v2/app/manifests/v1";

/// A manifest that every test may be answered with.
fn manifest() -> Reply {
    let config = Digest::of(b"{}");
    let body = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[]}}"#
    );
    Reply::status(200)
        .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        .body(body)
}

#[tokio::test]
async fn transient_statuses_are_tried_again_and_others_are_not() {
    for (status, expected_requests) in [
        (500, 2),
        (503, 2),
        (429, 2),
        (408, 2),
        (404, 1),
        (400, 1),
        (501, 1),
    ] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status(status),
            _ => manifest(),
        })
        .await;
        let fetched = server.repository().fetch_manifest("v1").await;
        assert_eq!(fetched.is_ok(), expected_requests == 2, "{status}");
        assert_eq!(server.seen().len(), expected_requests, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_stays_broken_is_given_up() {
    let server = Server::start(|_| Reply::status(502)).await;
    let error = server.repository().fetch_manifest("v1").await.unwrap_err();
    assert_eq!((error.kind(), server.seen().len()), (ErrorKind::Server, 4));
}

#[tokio::test]
async fn retry_after_is_waited_for_if_bearable() {
    let server = Server::start(|_| Reply::status(429).header("Retry-After", "3600")).await;
    let error = server.repository().fetch_manifest("v1").await.unwrap_err();
    assert_eq!(
        (error.kind(), server.seen().len()),
        (ErrorKind::TooManyRequests, 1)
    );
    assert!(
        error.to_string().ends_with("(retry after 3600 s)"),
        "{error}"
    );

    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(429).header("Retry-After", "1"),
        _ => manifest(),
    })
    .await;
    server.repository().fetch_manifest("v1").await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_reset_connection_is_tried_again() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::reset(),
        1 => manifest().cut_after(10),
        _ => manifest(),
    })
    .await;
    server.repository().fetch_manifest("v1").await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_given_up() {
    let server = Server::start(|_| Reply::silence()).await;
    let repository = server.repository_with(RegistryOptions {
        timeouts: Timeouts {
            response: Duration::from_millis(50),
            ..options().timeouts
        },
        retry: RetryPolicy {
            retries: 1,
            ..options().retry
        },
        ..options()
    });
    let error = repository.fetch_manifest("v1").await.unwrap_err();
    assert_eq!(
        (error.kind(), server.seen().len()),
        (ErrorKind::Interrupted, 2)
    );
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let nobody = Server::nobody().await;
    let error = nobody.repository().fetch_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.to_string().contains(&nobody.address.to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_told_apart() {
    let server = Server::start(|_| manifest()).await;
    let host = server.address.to_string();
    let strict = RegistryOptions {
        registry_certificates: [(host.clone(), Vec::new())].into(),
        ..options()
    };
    let error = server
        .repository_with(strict.clone())
        .fetch_manifest("v1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotTls, "{error:?}");
    let lenient = RegistryOptions {
        insecure_hosts: [host].into(),
        ..strict
    };
    server
        .repository_with(lenient)
        .fetch_manifest("v1")
        .await
        .unwrap();
}

#[tokio::test]
async fn redirects_without_end_are_given_up() {
    let server =
        Server::start(|seen| Reply::status(307).header("Location", &format!("{}x", seen.target)))
            .await;
    let error = server.repository().fetch_manifest("v1").await.unwrap_err();
    assert!(
        error.to_string().ends_with("more than 10 redirects"),
        "{error}"
    );
}

#[tokio::test]
async fn no_more_requests_run_at_once_than_allowed() {
    let server = Server::start(|_| Reply::status(200).body("x")).await;
    let repository = server.repository_with(RegistryOptions {
        connections_per_registry: 2,
        ..options()
    });
    let blob = crate::image::Descriptor::of(crate::image::MediaType::Other("x".into()), b"x");
    let first = repository.open_blob(&blob).await.unwrap();
    let _second = repository.open_blob(&blob).await.unwrap();
    let third = tokio::time::timeout(Duration::from_millis(100), repository.open_blob(&blob)).await;
    assert!(third.is_err(), "the third has to wait");
    drop(first);
    repository.open_blob(&blob).await.unwrap();
}

/// Counts the events whose text has a word in it.
struct Shown {
    word: &'static str,
    texts: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Shown {
    fn on_event(
        &self,
        event: &tracing::Event<'_>,
        _context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let mut text = String::new();
        event.record(
            &mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                text = format!("{text}{value:?}");
            },
        );
        if text.contains(self.word) {
            self.texts.lock().unwrap().push(text);
        }
    }
}

#[tokio::test]
async fn a_warning_is_shown_once_and_changes_nothing() {
    use tracing_subscriber::layer::SubscriberExt;
    let texts = std::sync::Arc::default();
    let shown = Shown {
        word: "retired",
        texts: std::sync::Arc::clone(&texts),
    };
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(shown));
    let server = Server::start(|_| {
        manifest()
            .header("Warning", "299 - \"this host is retired soon\"")
            .header("Warning", "199 - \"retired by nobody\"")
    })
    .await;
    let repository = server.repository();
    for _ in 0..3 {
        repository.fetch_manifest("v1").await.unwrap();
    }
    let expected = format!("`{}` says: this host is retired soon", server.address);
    assert_eq!(*texts.lock().unwrap(), [expected]);
}
