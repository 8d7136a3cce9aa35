//! What single registries do in their own way (docs/registries.md has the list), one test for each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::super::credentials::{DockerConfig, Keychain};
use super::super::options::RegistryOptions;
use super::super::scripted_server::{Reply, Seen, Server, options};
use super::tests::{content, in_file, layer, push, usual};
use super::*;

/// The size of a piece that nobody asked to be larger.
const PIECE: usize = 4 * 1024 * 1024;

/// A blob of several pieces, in which each KiB is another.
fn long_content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 1024) as u8).collect()
}

async fn push_content(server: &Server, content: &[u8]) -> Result<BlobDelivery, RegistryError> {
    let blob = Descriptor::of(layer().media_type, content);
    let (_file, source) = in_file(content);
    server.repository().push_blob(&blob, &source, None).await
}

fn pieces(server: &Server) -> Vec<Seen> {
    let mut seen = server.seen();
    seen.retain(|seen| seen.method == "PATCH");
    seen
}

fn ranges(pieces: &[Seen]) -> Vec<&str> {
    let range = |piece| Seen::header(piece, "content-range");
    pieces.iter().filter_map(range).collect()
}

#[tokio::test]
async fn a_registry_that_refuses_a_whole_blob_gets_it_in_pieces() {
    for (status, expected) in [
        (400, true),
        (404, true),
        (405, true),
        (411, true),
        (413, true),
        (415, true),
        (416, true),
        (501, true),
        (403, false),
        (409, false),
    ] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "PUT" if !seen.body.is_empty() => Reply::status(status),
            _ => usual(seen),
        })
        .await;
        assert_eq!(push(&server).await.is_ok(), expected, "{status}");
        assert_eq!(pieces(&server).len(), usize::from(expected), "{status}");
    }
}

#[tokio::test]
async fn each_status_of_success_ends_an_upload() {
    for status in [200, 201, 202, 204] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "PUT" => Reply::status(status),
            _ => usual(seen),
        })
        .await;
        assert_eq!(push(&server).await.unwrap(), BlobDelivery::Uploaded);
        assert_eq!(server.seen().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn a_range_that_stops_advancing_is_not_believed() {
    // ECR answers 201 to each PATCH, and says what the first one brought.
    let server = Server::start(|seen| match seen.method.as_str() {
        "PUT" if !seen.body.is_empty() => Reply::status(405),
        "PATCH" => Reply::status(201).header("Range", "0-4194303"),
        _ => usual(seen),
    })
    .await;
    let content = long_content(2 * PIECE + 5);
    push_content(&server, &content).await.unwrap();
    assert_eq!(
        ranges(&pieces(&server)),
        ["0-4194303", "4194304-8388607", "8388608-8388612"]
    );
}

#[tokio::test]
async fn a_416_is_asked_about_and_the_upload_taken_up_where_the_registry_is() {
    let patches = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.method.as_str() {
        "PUT" if !seen.body.is_empty() => Reply::status(405),
        "PATCH" if patches.fetch_add(1, Ordering::SeqCst) == 1 => Reply::status(416),
        "PATCH" => Reply::status(202),
        "GET" => Reply::status(204).header("Range", "0-1048575"),
        _ => usual(seen),
    })
    .await;
    let content = long_content(PIECE + 10);
    push_content(&server, &content).await.unwrap();
    let pieces = pieces(&server);
    assert_eq!(
        ranges(&pieces),
        ["0-4194303", "4194304-4194313", "1048576-4194313"]
    );
    assert_eq!(pieces[2].body, content[1_048_576..]);
}

#[tokio::test]
async fn pieces_are_at_least_as_large_as_the_registry_wants_them() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "PUT" if !seen.body.is_empty() => Reply::status(405),
        "POST" => usual(seen).header("OCI-Chunk-Min-Length", "6000000"),
        "PATCH" => Reply::status(202),
        _ => usual(seen),
    })
    .await;
    push_content(&server, &long_content(6_000_001))
        .await
        .unwrap();
    assert_eq!(ranges(&pieces(&server)), ["0-5999999", "6000000-6000000"]);
}

#[tokio::test]
async fn a_token_that_expires_between_pieces_is_renewed() {
    let issued = AtomicUsize::new(0);
    let patches = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.header("authorization") {
        _ if seen.target.starts_with("/token") => {
            let number = issued.fetch_add(1, Ordering::SeqCst);
            Reply::status(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#))
        }
        Some("Bearer t0") if patches.load(Ordering::SeqCst) > 0 => {
            Reply::bearer_challenge("/token", "repository:app:pull,push")
        }
        None => Reply::bearer_challenge("/token", "repository:app:pull,push"),
        Some(_) => match seen.method.as_str() {
            "PUT" if !seen.body.is_empty() => Reply::status(405),
            "PATCH" => {
                patches.fetch_add(1, Ordering::SeqCst);
                Reply::status(202)
            }
            _ => usual(seen),
        },
    })
    .await;
    push_content(&server, &long_content(PIECE + 10))
        .await
        .unwrap();
    let pieces = pieces(&server);
    let tokens: Vec<_> = pieces
        .iter()
        .map(|piece| piece.header("authorization").unwrap())
        .collect();
    assert_eq!(tokens, ["Bearer t0", "Bearer t0", "Bearer t1"]);
    assert_eq!(
        ranges(&pieces),
        ["0-4194303", "4194304-4194313", "4194304-4194313"]
    );
}

#[tokio::test]
async fn an_identity_token_is_exchanged_for_both_ends_of_a_mount_in_one_scope_string() {
    let server = Server::start(|seen| match seen.header("authorization") {
        _ if seen.is("POST", "/token") => Reply::status(200).body(r#"{"access_token":"good"}"#),
        None => Reply::bearer_challenge("/token", "repository:app:pull"),
        Some(_) if seen.method == "POST" => Reply::status(201),
        Some(_) => usual(seen),
    })
    .await;
    let text = format!(
        r#"{{"auths":{{"{}":{{"identitytoken":"identity"}}}}}}"#,
        server.address
    );
    let repository = server.repository_with(RegistryOptions {
        keychain: Keychain::new(vec![DockerConfig::parse(&text, "x").unwrap()]),
        ..options()
    });
    let (_file, source) = in_file(&content());
    let delivery = repository.push_blob(&layer(), &source, Some("base")).await;
    assert_eq!(delivery.unwrap(), BlobDelivery::Mounted);
    let seen = server.seen();
    let last = seen.iter().rfind(|seen| seen.is("POST", "/token")).unwrap();
    let form = String::from_utf8(last.body.clone()).unwrap();
    let scopes = "&scope=repository%3Aapp%3Apull%2Cpush+repository%3Abase%3Apull&";
    assert!(form.contains(scopes), "{form}");
}

#[tokio::test]
async fn a_blob_of_sha512_is_announced_as_one() {
    let server = Server::start(usual).await;
    let mut blob = layer();
    blob.digest = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
    let (_file, source) = in_file(&content());
    server
        .repository()
        .push_blob(&blob, &source, None)
        .await
        .unwrap();
    assert_eq!(
        server.lines()[1],
        "POST /v2/app/blobs/uploads/?digest-algorithm=sha512"
    );
}

#[tokio::test]
async fn a_part_of_a_file_is_a_blob() {
    let server = Server::start(usual).await;
    let (_file, source) = in_file(b"head, blob, tail");
    let BlobSource::File(path) = source else {
        panic!("{source:?}");
    };
    let part = |start, size| {
        let path = path.clone();
        BlobSource::Part(FilePart { path, start, size })
    };
    let blob = Descriptor::of(layer().media_type, b"blob");
    let repository = server.repository();
    repository
        .push_blob(&blob, &part(6, 4), None)
        .await
        .unwrap();
    assert_eq!(server.seen().last().unwrap().body, b"blob");
    let beyond = repository.push_blob(&blob, &part(14, 4), None).await;
    let error = beyond.unwrap_err();
    assert!(
        matches!(error, RegistryError::SourceSize { actual: 2, .. }),
        "{error}"
    );
}

async fn wait_for(server: &Server, line: &str) {
    for _ in 0..500 {
        if server.lines().iter().any(|seen| seen == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no `{line}` in {:?}", server.lines());
}

const CANCEL: &str = "DELETE /v2/app/blobs/uploads/1?_state=a%2Fb";

#[tokio::test]
async fn an_upload_that_nobody_waits_for_is_cancelled() {
    let has_begun = std::sync::Arc::new(AtomicBool::new(false));
    let begun = std::sync::Arc::clone(&has_begun);
    let server = Server::start(move |seen| match seen.method.as_str() {
        "PUT" => {
            begun.store(true, Ordering::SeqCst);
            Reply::silence()
        }
        _ => usual(seen),
    })
    .await;
    let other = async {
        while !has_begun.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        delivery = push(&server) => panic!("{delivery:?}"),
        () = other => {}
    }
    wait_for(&server, CANCEL).await;
}

#[tokio::test]
async fn the_upload_of_a_refused_mount_is_cancelled_if_the_blob_cannot_be_had() {
    let server = Server::start(usual).await;
    let found = server.repository().find_blob(&layer(), Some("base")).await;
    let Lookup::Missing(ticket) = found.unwrap() else {
        panic!("a 202 is an upload");
    };
    drop(ticket);
    wait_for(&server, CANCEL).await;
}

#[tokio::test]
async fn a_registry_that_answers_403_for_what_is_not_there_is_pushed_to() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "HEAD" => Reply::status(403),
        _ => usual(seen),
    })
    .await;
    assert_eq!(push(&server).await.unwrap(), BlobDelivery::Uploaded);
}
