use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;

use super::super::error::ErrorKind;
use super::super::scripted_server::{Reply, Server};
use super::*;
use crate::image::{Digest, MediaType};

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(|n| n.to_le_bytes()).collect()
}

fn descriptor() -> Descriptor {
    Descriptor::of(MediaType::Other("x".into()), &content())
}

async fn read(server: &Server) -> Result<Vec<u8>, RegistryError> {
    let mut reader = server.repository().open_blob(&descriptor()).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    assert!(reader.next_chunk().await?.is_none());
    Ok(bytes)
}

/// What a server does that can send parts.
fn part(seen: &super::super::scripted_server::Seen) -> Reply {
    let Some(range) = seen.header("range") else {
        return Reply::status(200).body(content());
    };
    let from: usize = range
        .strip_prefix("bytes=")
        .unwrap()
        .strip_suffix('-')
        .unwrap()
        .parse()
        .unwrap();
    let (end, all) = (content().len() - 1, content().len());
    Reply::status(206)
        .header("Content-Range", &format!("bytes {from}-{end}/{all}"))
        .body(&content()[from..])
}

#[tokio::test]
async fn a_blob_is_read_whole() {
    let server = Server::start(part).await;
    assert_eq!(read(&server).await.unwrap(), content());
    assert_eq!(
        server.lines(),
        [format!("GET /v2/app/blobs/{}", descriptor().digest)]
    );
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0 => part(seen).cut_after(1000),
        1 => Reply::status(503),
        2 => part(seen).cut_after(50_000),
        _ => part(seen),
    })
    .await;
    assert_eq!(read(&server).await.unwrap(), content());
    let ranges: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.header("range").map(str::to_owned))
        .collect();
    let range = |text: &str| Some(text.to_owned());
    assert_eq!(
        ranges,
        [
            None,
            range("bytes=1000-"),
            range("bytes=1000-"),
            range("bytes=51000-")
        ]
    );
}

#[tokio::test]
async fn a_connection_that_is_reset_in_mid_blob_goes_on_where_it_broke() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0 => part(seen).reset_after(200_000),
        1 => Reply::reset(),
        _ => part(seen),
    })
    .await;
    assert_eq!(read(&server).await.unwrap(), content());
    // A reset throws away what was sent and not yet received.
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1].header("range"), seen[2].header("range"));
}

#[tokio::test]
async fn a_token_that_expires_in_a_long_download_is_renewed_for_the_rest() {
    let issued = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |seen| {
        let number = issued.load(Ordering::SeqCst);
        if seen.target.starts_with("/token") {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::status(200)
                .body(format!(r#"{{"token":"t{number}","expires_in":3600}}"#));
        }
        let is_first = seen.header("authorization") == Some("Bearer t1");
        match (seen.header("authorization"), seen.header("range")) {
            // The second half takes another token: the first has expired, whatever was said of it.
            (Some(_), None) if is_first => part(seen).cut_after(200_000),
            (Some("Bearer t2"), Some(_)) if number == 2 => part(seen),
            _ => Reply::bearer_challenge("/token", "repository:app:pull"),
        }
    })
    .await;
    assert_eq!(read(&server).await.unwrap(), content());
    let authorizations: Vec<_> = server
        .seen()
        .iter()
        .filter(|seen| seen.target.contains("blobs"))
        .map(|seen| seen.header("authorization").map(str::to_owned))
        .collect();
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    assert_eq!(
        authorizations,
        [None, bearer("t1"), bearer("t1"), bearer("t2")]
    );
}

#[tokio::test]
async fn a_server_without_ranges_may_send_all_of_it_again() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let reply = Reply::status(200).body(content());
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => reply.cut_after(123_457),
            _ => reply,
        }
    })
    .await;
    assert_eq!(read(&server).await.unwrap(), content());
}

#[tokio::test]
async fn another_part_than_asked_for_is_refused() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0 => part(seen).cut_after(1000),
        _ => Reply::status(206)
            .header("Content-Range", "bytes 100-200/400000")
            .body(vec![0; 101]),
    })
    .await;
    let error = read(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
}

#[tokio::test]
async fn content_with_another_digest_fails_at_its_end() {
    let server = Server::start(|_| {
        let mut wrong = content();
        wrong[5] ^= 1;
        Reply::status(200).body(wrong)
    })
    .await;
    let error = read(&server).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::DigestMismatch { expected, .. } if *expected == descriptor().digest)
    );
}

#[tokio::test]
async fn content_that_is_too_long_fails_before_its_end() {
    let server =
        Server::start(|_| Reply::status(200).body([content(), vec![0; 10]].concat())).await;
    let error = read(&server).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::SizeMismatch { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn content_that_ends_early_every_time_is_given_up() {
    let server = Server::start(|seen| {
        let reply = part(seen);
        reply.cut_after(1)
    })
    .await;
    let error = read(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    assert_eq!(
        server.seen().len(),
        4,
        "one byte is no progress that counts"
    );
}

#[tokio::test]
async fn a_short_answer_with_an_honest_length_is_asked_for_the_rest() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(200).body(&content()[..7]),
        _ => part(seen),
    })
    .await;
    assert_eq!(read(&server).await.unwrap(), content());
}

#[tokio::test]
async fn storage_elsewhere_gets_no_authorization() {
    let storage = Server::start(part).await;
    let location = storage.url("/bucket/blob?X-Amz-Signature=secret");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some("Basic dTpw") => Reply::status(307).header("Location", &location),
        _ => Reply::status(401).header("WWW-Authenticate", "Basic realm=x"),
    })
    .await;
    let mut reader = server
        .repository_of_user()
        .open_blob(&descriptor())
        .await
        .unwrap();
    while reader.next_chunk().await.unwrap().is_some() {}
    let seen = storage.seen();
    assert_eq!((seen.len(), seen[0].header("authorization")), (1, None));
}

#[tokio::test]
async fn a_refusal_from_storage_elsewhere_is_not_answered_with_our_token() {
    let storage = Server::start(|_| Reply::bearer_challenge("/token", "x")).await;
    let location = storage.url("/blob");
    let server = Server::start(move |_| Reply::status(307).header("Location", &location)).await;
    let error = server
        .repository_of_user()
        .open_blob(&descriptor())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!((storage.seen().len(), server.seen().len()), (1, 1));
}

#[tokio::test]
async fn an_error_in_the_stream_says_what_it_is() {
    let server = Server::start(|_| Reply::status(200).body(vec![0; content().len()])).await;
    let reader = server.repository().open_blob(&descriptor()).await.unwrap();
    let mut stream = reader.into_async_read();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    let inner = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<RegistryError>());
    assert!(matches!(inner, Some(RegistryError::DigestMismatch { .. })));
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let server = Server::start(|_| Reply::status(200)).await;
    let empty = Descriptor::new(MediaType::Other("x".into()), Digest::of(b""), 0);
    let mut reader = server.repository().open_blob(&empty).await.unwrap();
    assert!(reader.next_chunk().await.unwrap().is_none());
}
