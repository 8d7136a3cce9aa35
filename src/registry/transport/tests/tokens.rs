//! Challenges and what answers them: passwords, tokens, helpers.

use super::*;

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
    let answer = |seen: &crate::registry::scripted_server::Seen| match seen.header("authorization")
    {
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
