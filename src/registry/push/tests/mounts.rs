//! Blobs that another repository of the registry has.

use super::*;

#[tokio::test]
async fn a_mount_that_is_granted_sends_nothing() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => Reply::status(201),
        _ => usual(seen),
    })
    .await;
    let (_file, source) = in_file(&content());
    let delivery = server
        .repository()
        .push_blob(&layer(), &source, Some("lib/base"))
        .await
        .unwrap();
    assert_eq!(delivery, BlobDelivery::Mounted);
    let post = format!("POST {UPLOADS}?mount={}&from=lib%2Fbase", encoded_digest());
    assert_eq!(server.lines()[1..], [post]);
}

#[tokio::test]
async fn a_202_to_a_mount_is_the_upload() {
    let server = Server::start(usual).await;
    let (_file, source) = in_file(&content());
    let delivery = server
        .repository()
        .push_blob(&layer(), &source, Some("base"))
        .await
        .unwrap();
    assert_eq!(delivery, BlobDelivery::Uploaded);
    let posts = server
        .lines()
        .iter()
        .filter(|line| line.starts_with("POST"))
        .count();
    assert_eq!(posts, 1, "{:?}", server.lines());
}

#[tokio::test]
async fn a_refused_mount_is_a_plain_upload() {
    for status in [400, 401, 403, 404, 405, 500] {
        let server = Server::start(move |seen| match seen.target.contains("mount=") {
            true => Reply::status(status),
            false => usual(seen),
        })
        .await;
        let (_file, source) = in_file(&content());
        let delivery = server
            .repository()
            .push_blob(&layer(), &source, Some("base"))
            .await
            .unwrap();
        assert_eq!(delivery, BlobDelivery::Uploaded, "{status}");
    }
}

#[tokio::test]
async fn one_token_is_good_for_both_ends_of_a_mount() {
    let server = Server::start(|seen| match seen.header("authorization") {
        _ if seen.target.starts_with("/token") => Reply::status(200).body(r#"{"token":"good"}"#),
        None => Reply::bearer_challenge("/token", "repository:app:pull"),
        Some(_) if seen.method == "POST" => Reply::status(201),
        Some(_) => usual(seen),
    })
    .await;
    let (_file, source) = in_file(&content());
    server
        .repository()
        .push_blob(&layer(), &source, Some("base"))
        .await
        .unwrap();
    let lines = server.lines();
    let last_token = lines
        .iter()
        .rfind(|line| line.starts_with("GET /token"))
        .unwrap();
    let scopes = "scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Abase%3Apull";
    assert!(last_token.ends_with(scopes), "{last_token}");
}
