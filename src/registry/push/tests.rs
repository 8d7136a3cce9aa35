mod manifests;
mod mounts;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::error::ErrorKind;
use super::super::scripted_server::{Reply, Seen, Server};
use super::*;
use crate::image::{ImageFormat, LayerCompression};

const UPLOADS: &str = "/v2/app/blobs/uploads/";

pub(super) fn content() -> Vec<u8> {
    vec![7; 1_000_000]
}

pub(super) fn layer() -> Descriptor {
    let media_type = MediaType::layer(ImageFormat::Oci, LayerCompression::Gzip);
    Descriptor::of(media_type, &content())
}

pub(super) fn in_file(content: &[u8]) -> (tempfile::NamedTempFile, BlobSource) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let source = BlobSource::File(file.path().to_owned());
    (file, source)
}

fn encoded_digest() -> String {
    layer().digest.as_str().replace(':', "%3A")
}

/// What every registry does until it is the test's turn.
pub(super) fn usual(seen: &Seen) -> Reply {
    match seen.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).header("Location", "/v2/app/blobs/uploads/1?_state=a%2Fb"),
        "DELETE" => Reply::status(204),
        _ => Reply::status(201),
    }
}

pub(super) async fn push(server: &Server) -> Result<BlobDelivery, RegistryError> {
    let (_file, source) = in_file(&content());
    server.repository().push_blob(&layer(), &source, None).await
}

fn closing_target() -> String {
    format!(
        "/v2/app/blobs/uploads/1?_state=a%2Fb&digest={}",
        encoded_digest()
    )
}

#[tokio::test]
async fn a_blob_goes_in_one_put_to_the_relative_location_with_its_query() {
    let server = Server::start(usual).await;
    assert_eq!(push(&server).await.unwrap(), BlobDelivery::Uploaded);
    let head = format!("HEAD /v2/app/blobs/{}", layer().digest);
    assert_eq!(
        server.lines(),
        [
            head,
            format!("POST {UPLOADS}"),
            format!("PUT {}", closing_target())
        ]
    );
    let put = &server.seen()[2];
    assert_eq!(put.header("content-length"), Some("1000000"));
    assert_eq!(put.header("content-type"), Some("application/octet-stream"));
    assert_eq!(put.header("transfer-encoding"), None);
    assert_eq!(put.body, content());
    assert_eq!(server.seen()[1].header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_sent() {
    for status in [200, 307] {
        let server = Server::start(move |_| {
            Reply::status(status).header("Location", "https://storage.invalid/")
        })
        .await;
        assert_eq!(push(&server).await.unwrap(), BlobDelivery::AlreadyThere);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_foreign_layer_is_never_sent() {
    let server = Server::start(usual).await;
    let (_file, source) = in_file(&content());
    let mut foreign = layer();
    foreign.media_type =
        MediaType::parse("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let delivery = server
        .repository()
        .push_blob(&foreign, &source, None)
        .await
        .unwrap();
    assert_eq!(
        (delivery, server.seen().len()),
        (BlobDelivery::LeftElsewhere, 0)
    );
}

#[tokio::test]
async fn a_location_on_another_host_gets_no_authorization() {
    let storage = Server::start(usual).await;
    let location = storage.url("/upload?sig=1");
    let server = Server::start(move |seen| match seen.header("authorization") {
        None => Reply::status(401).header("WWW-Authenticate", "Basic realm=x"),
        Some(_) if seen.method == "POST" => Reply::status(202).header("Location", &location),
        Some(_) => usual(seen),
    })
    .await;
    let (_file, source) = in_file(&content());
    server
        .repository_of_user()
        .push_blob(&layer(), &source, None)
        .await
        .unwrap();
    let seen = storage.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].is("PUT", "/upload?sig=1&digest="));
    assert_eq!(seen[0].header("authorization"), None);
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_is_renewed_and_the_blob_sent_again() {
    let issued = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.header("authorization") {
        _ if seen.target.starts_with("/token") => {
            let number = issued.fetch_add(1, Ordering::SeqCst);
            Reply::status(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#))
        }
        Some("Bearer t0") if seen.method != "PUT" => usual(seen),
        Some("Bearer t1") => usual(seen),
        _ => Reply::bearer_challenge("/token", "repository:app:pull,push"),
    })
    .await;
    assert_eq!(push(&server).await.unwrap(), BlobDelivery::Uploaded);
    let puts: Vec<Seen> = server
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "PUT")
        .collect();
    let tokens: Vec<_> = puts
        .iter()
        .map(|put| put.header("authorization").unwrap())
        .collect();
    assert_eq!(tokens, ["Bearer t0", "Bearer t1"]);
    assert_eq!(puts[1].body, content());
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_upload_starts_it_again() {
    let is_first = AtomicBool::new(true);
    let reset_first_put = move |seen: &Seen| {
        let is_hit = seen.method == "PUT" && is_first.swap(false, Ordering::SeqCst);
        is_hit.then_some(100_000)
    };
    let server = Server::start_impatient(reset_first_put, usual).await;
    assert_eq!(push(&server).await.unwrap(), BlobDelivery::Uploaded);
    let methods: Vec<String> = server
        .seen()
        .iter()
        .map(|seen| seen.method.clone())
        .collect();
    assert_eq!(methods, ["HEAD", "POST", "PUT", "DELETE", "POST", "PUT"]);
    assert_eq!(server.seen()[5].body, content());
}

#[tokio::test]
async fn a_server_error_and_a_lost_session_start_the_upload_again() {
    for answer in [
        Reply::status(500),
        Reply::status(404).body(r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#),
        Reply::status(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#),
    ] {
        let is_first = AtomicBool::new(true);
        let server = Server::start(move |seen| match seen.method.as_str() {
            "PUT" if is_first.swap(false, Ordering::SeqCst) => answer.clone(),
            _ => usual(seen),
        })
        .await;
        assert_eq!(push(&server).await.unwrap(), BlobDelivery::Uploaded);
        assert_eq!(
            server
                .lines()
                .iter()
                .filter(|line| line.starts_with("PUT"))
                .count(),
            2
        );
    }
}

#[tokio::test]
async fn an_upload_that_never_works_is_given_up_and_cancelled() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "PUT" => Reply::status(503),
        _ => usual(seen),
    })
    .await;
    let error = push(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    let count = |method: &str| {
        server
            .seen()
            .iter()
            .filter(|seen| seen.method == method)
            .count()
    };
    assert_eq!((count("PUT"), count("DELETE")), (4, 4));
}

#[tokio::test]
async fn a_registry_that_forgets_each_piece_is_given_up() {
    let content = vec![7; 10_000_000];
    let blob = Descriptor::of(layer().media_type, &content);
    let server = Server::start(|seen| match seen.method.as_str() {
        "PUT" if !seen.body.is_empty() => Reply::status(405),
        "PATCH" if seen.header("content-range") == Some("0-4194303") => {
            Reply::status(202).header("Location", "/v2/app/blobs/uploads/2")
        }
        "PATCH" => Reply::status(503),
        "GET" => Reply::status(204).header("Location", "/v2/app/blobs/uploads/2"),
        _ => usual(seen),
    })
    .await;
    let (_file, source) = in_file(&content);
    let pushed = server.repository().push_blob(&blob, &source, None).await;
    assert_eq!(pushed.unwrap_err().kind(), ErrorKind::Server);
}

#[tokio::test]
async fn a_registry_without_monolithic_upload_gets_pieces_that_resume() {
    let content: Vec<u8> = (0..10_000_000_u32).map(|n| (n / 1000) as u8).collect();
    let blob = Descriptor::of(layer().media_type, &content);
    let patches = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.method.as_str() {
        "PUT" if !seen.body.is_empty() => Reply::status(405),
        "PATCH" => match patches.fetch_add(1, Ordering::SeqCst) {
            // ECR answers 201 to a PATCH; the second one is lost after half of it has arrived.
            0 => Reply::status(201)
                .header("Location", "/v2/app/blobs/uploads/2")
                .header("Range", "0-4194303"),
            1 => Reply::reset(),
            _ => Reply::status(202).header("Location", "/v2/app/blobs/uploads/3"),
        },
        "GET" => Reply::status(204)
            .header("Location", "/v2/app/blobs/uploads/2b")
            .header("Range", "0-4999999"),
        _ => usual(seen),
    })
    .await;
    let (_file, source) = in_file(&content);
    server
        .repository()
        .push_blob(&blob, &source, None)
        .await
        .unwrap();
    let seen = server.seen();
    let pieces: Vec<&Seen> = seen.iter().filter(|seen| seen.method == "PATCH").collect();
    let ranges: Vec<_> = pieces
        .iter()
        .map(|piece| piece.header("content-range").unwrap())
        .collect();
    assert_eq!(
        ranges,
        [
            "0-4194303",
            "4194304-8388607",
            "5000000-9194303",
            "9194304-9999999"
        ]
    );
    assert_eq!(pieces[2].target, "/v2/app/blobs/uploads/2b");
    assert_eq!(pieces[2].body, content[5_000_000..9_194_304]);
    let last = seen.last().unwrap();
    assert!(last.is("PUT", "/v2/app/blobs/uploads/3?digest=") && last.body.is_empty());
}

#[tokio::test]
async fn a_file_that_is_not_the_blob_is_an_error_of_ours() {
    let server = Server::start(usual).await;
    let (_file, source) = in_file(b"short");
    let error = server
        .repository()
        .push_blob(&layer(), &source, None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::SourceSize { actual: 5, .. }),
        "{error}"
    );
    let missing = BlobSource::File("/nonexistent/blob".into());
    let error = server
        .repository()
        .push_blob(&layer(), &missing, None)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot read `/nonexistent/blob`");
    assert!(!server.lines().iter().any(|line| line.starts_with("POST")));
}

#[tokio::test]
async fn access_is_checked_by_an_upload_that_is_cancelled() {
    let server = Server::start(usual).await;
    server.repository().check_push_access().await.unwrap();
    let delete = "DELETE /v2/app/blobs/uploads/1?_state=a%2Fb".to_owned();
    assert_eq!(server.lines(), [format!("POST {UPLOADS}"), delete]);

    let server = Server::start(|_| {
        Reply::status(403).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#)
    })
    .await;
    let error = server.repository().check_push_access().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}

#[tokio::test]
async fn a_session_without_a_location_is_against_the_protocol() {
    let server = Server::start(|_| Reply::status(202)).await;
    let error = server.repository().check_push_access().await.unwrap_err();
    assert!(
        error.to_string().ends_with("it has no `Location`"),
        "{error}"
    );
}
