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

/// A registry whose token server is itself: `/token` answers `token`, everything else wants `Bearer good`.
async fn registry_with_tokens(token: &'static str) -> Server {
    Server::start(move |seen| match seen.header("authorization") {
        _ if seen.target.starts_with("/token") => Reply::status(200).body(token),
        Some("Bearer good") => manifest(),
        _ => Reply::bearer_challenge("/token", "repository:app:pull"),
    })
    .await
}

#[tokio::test]
async fn a_token_is_got_where_the_challenge_says_and_used_again() {
    let server = registry_with_tokens(r#"{"token":"good","expires_in":300}"#).await;
    let repository = server.repository_of_user();
    for _ in 0..3 {
        repository.fetch_manifest("v1").await.unwrap();
    }
    let get = format!("GET {MANIFEST}");
    let token = "GET /token?service=reg&scope=repository%3Aapp%3Apull".to_owned();
    assert_eq!(
        server.lines(),
        [get.clone(), token, get.clone(), get.clone(), get]
    );
    // base64 of `u:p`.
    assert_eq!(server.seen()[1].header("authorization"), Some("Basic dTpw"));
    assert_eq!(server.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_token_may_be_called_access_token_and_come_without_expiry() {
    let server = registry_with_tokens(r#"{"access_token":"good"}"#).await;
    let repository = server.repository();
    repository.fetch_manifest("v1").await.unwrap();
    repository.fetch_manifest("v1").await.unwrap();
    let tokens = server
        .lines()
        .iter()
        .filter(|line| line.starts_with("GET /token"))
        .count();
    assert_eq!(tokens, 1);
    assert_eq!(server.seen()[1].header("authorization"), None);
}

#[tokio::test]
async fn parallel_requests_share_one_token() {
    let server = registry_with_tokens(r#"{"token":"good","expires_in":300}"#).await;
    let repository = server.repository();
    let fetches = (0..8).map(|_| repository.fetch_manifest("v1"));
    for fetched in futures_util::future::join_all(fetches).await {
        fetched.unwrap();
    }
    let tokens = server
        .lines()
        .iter()
        .filter(|line| line.starts_with("GET /token"))
        .count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn a_helper_that_fails_does_not_keep_a_public_image_from_being_read() {
    let server = registry_with_tokens(r#"{"token":"good"}"#).await;
    let text = format!(
        r#"{{"credHelpers":{{"{}":"sawagani-test-missing"}}}}"#,
        server.address
    );
    let repository = server.repository_with(RegistryOptions {
        keychain: Keychain::new(vec![DockerConfig::parse(&text, "config.json").unwrap()]),
        ..options()
    });
    repository.fetch_manifest("v1").await.unwrap();
    let error = repository.check_push_access().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    let tried = error.credentials_tried();
    assert!(
        tried.len() == 1 && tried[0].contains("docker-credential-sawagani-test-missing"),
        "{tried:?}"
    );
}

#[tokio::test]
async fn a_refused_password_is_reported_with_what_was_tried() {
    let server = Server::start(|seen| match seen.target.as_str() {
        target if target.starts_with("/token") => {
            Reply::status(401).body(r#"{"details":"incorrect username or password"}"#)
        }
        _ => Reply::bearer_challenge("/token", ""),
    })
    .await;
    let error = server
        .repository_of_user()
        .fetch_manifest("v1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("no token for `{}`: GET http://", server.address)),
        "{message}"
    );
    assert!(
        message.ends_with("401 Unauthorized: incorrect username or password"),
        "{message}"
    );
    assert_eq!(error.credentials_tried(), ["config.json: user `u`"]);
    assert!(!format!("{error:?}").contains("dTpw"));
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let issued = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.header("authorization") {
        _ if seen.target.starts_with("/token") => {
            let number = issued.fetch_add(1, Ordering::SeqCst);
            Reply::status(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#))
        }
        Some("Bearer t0") if seen.target.ends_with("first") => manifest(),
        Some("Bearer t1") => manifest(),
        _ => Reply::bearer_challenge("/token", "repository:app:pull"),
    })
    .await;
    let repository = server.repository();
    repository.fetch_manifest("first").await.unwrap();
    repository.fetch_manifest("second").await.unwrap();
    let error = server
        .repository()
        .fetch_manifest("third")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let asked = server
        .lines()
        .iter()
        .filter(|line| line.ends_with("third"))
        .count();
    assert_eq!(asked, 2, "without a token, with a new one, and no more");
}

#[tokio::test]
async fn a_newly_demanded_scope_is_asked_for_first() {
    let server = Server::start(|seen| match seen.header("authorization") {
        _ if seen.target.contains("scope=repository%3Aother") => {
            Reply::status(200).body(r#"{"token":"good"}"#)
        }
        _ if seen.target.starts_with("/token") => Reply::status(200).body(r#"{"token":"weak"}"#),
        Some("Bearer good") => manifest(),
        Some(_) => Reply::bearer_challenge("/token", "repository:other:pull"),
        None => Reply::bearer_challenge("/token", "repository:app:pull"),
    })
    .await;
    server.repository().fetch_manifest("v1").await.unwrap();
    let last_token = server
        .lines()
        .into_iter()
        .rfind(|line| line.starts_with("GET /token"))
        .unwrap();
    assert_eq!(
        last_token,
        "GET /token?service=reg&scope=repository%3Aother%3Apull&scope=repository%3Aapp%3Apull"
    );
}

#[tokio::test]
async fn basic_is_answered_with_the_password_or_not_at_all() {
    let answer = |seen: &super::super::scripted_server::Seen| match seen.header("authorization") {
        Some("Basic dTpw") => manifest(),
        _ => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"x\""),
    };
    let server = Server::start(answer).await;
    server
        .repository_of_user()
        .fetch_manifest("v1")
        .await
        .unwrap();
    assert_eq!(server.seen().len(), 2);
    let error = server.repository().fetch_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(
        server.seen().len(),
        3,
        "nothing to show, so nothing to send again"
    );
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post_or_by_get() {
    // 200, Google, Docker Hub, Azure, Artifactory.
    for post_status in [200, 404, 405, 400, 401] {
        let server =
            Server::start(
                move |seen| match (seen.method.as_str(), seen.header("authorization")) {
                    ("POST", None) if post_status == 200 => {
                        Reply::status(200).body(r#"{"access_token":"good"}"#)
                    }
                    ("POST", _) => Reply::status(post_status),
                    ("GET", Some("Basic OmlkZW50aXR5")) => {
                        Reply::status(200).body(r#"{"token":"good"}"#)
                    }
                    (_, Some("Bearer good")) => manifest(),
                    _ => Reply::bearer_challenge("/token", "repository:app:pull"),
                },
            )
            .await;
        let text = format!(
            r#"{{"auths":{{"{}":{{"identitytoken":"identity"}}}}}}"#,
            server.address
        );
        let repository = server.repository_with(RegistryOptions {
            keychain: Keychain::new(vec![DockerConfig::parse(&text, "x").unwrap()]),
            ..options()
        });
        repository.fetch_manifest("v1").await.unwrap();
        let post = server
            .seen()
            .into_iter()
            .find(|seen| seen.method == "POST")
            .unwrap();
        assert_eq!(
            String::from_utf8(post.body).unwrap(),
            "grant_type=refresh_token&service=reg&client_id=sawagani&scope=repository%3Aapp%3Apull&refresh_token=identity"
        );
    }
}

#[tokio::test]
async fn a_challenge_that_nobody_can_answer_is_named() {
    let server =
        Server::start(|_| Reply::status(401).header("WWW-Authenticate", "Negotiate")).await;
    let error = server
        .repository_of_user()
        .fetch_manifest("v1")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("unsupported challenge `Negotiate`"),
        "{error}"
    );
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
