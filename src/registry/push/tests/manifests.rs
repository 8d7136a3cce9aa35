//! Manifests: written as they are, and tags that cannot be overwritten.

use super::*;

fn manifest() -> (MediaType, Bytes) {
    (
        MediaType::Manifest(ImageFormat::Oci),
        Bytes::from_static(b"{\"schemaVersion\":2}"),
    )
}

#[tokio::test]
async fn a_manifest_is_written_with_its_type_and_bytes() {
    let server = Server::start(usual).await;
    let (media_type, bytes) = manifest();
    let delivery = server
        .repository()
        .put_manifest("v1", &media_type, &bytes)
        .await
        .unwrap();
    assert_eq!(delivery, ManifestDelivery::Written);
    let seen = server.seen();
    assert_eq!(seen[0].line(), "PUT /v2/app/manifests/v1");
    assert_eq!(
        seen[0].header("content-type"),
        Some("application/vnd.oci.image.manifest.v1+json")
    );
    assert_eq!(seen[0].body, bytes);
}

/// A registry that refuses to write a tag which stands for `there`.
async fn with_immutable_tag(there: Digest) -> Server {
    Server::start(move |seen| match seen.method.as_str() {
        "PUT" => Reply::status(400)
            .body(r#"{"errors":[{"code":"TAG_INVALID","message":"tag is immutable"}]}"#),
        _ => Reply::status(200)
            .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            .header("Docker-Content-Digest", there.as_str()),
    })
    .await
}

#[tokio::test]
async fn an_immutable_tag_with_the_same_digest_is_success() {
    let (media_type, bytes) = manifest();
    let server = with_immutable_tag(Digest::of(&bytes)).await;
    let delivery = server
        .repository()
        .put_manifest("v1", &media_type, &bytes)
        .await
        .unwrap();
    assert_eq!(delivery, ManifestDelivery::AlreadyThere);
}

#[tokio::test]
async fn an_immutable_tag_with_another_digest_is_told_apart() {
    let (media_type, bytes) = manifest();
    let server = with_immutable_tag(Digest::of(b"other")).await;
    let error = server
        .repository()
        .put_manifest("v1", &media_type, &bytes)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TagImmutable);
}

#[tokio::test]
async fn a_registry_that_stored_something_else_is_found_out() {
    let other = Digest::of(b"other");
    let server =
        Server::start(move |_| Reply::status(201).header("Docker-Content-Digest", other.as_str()))
            .await;
    let (media_type, bytes) = manifest();
    let error = server
        .repository()
        .put_manifest("v1", &media_type, &bytes)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}
