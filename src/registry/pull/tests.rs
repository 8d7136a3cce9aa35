use std::sync::{Arc, Mutex};

use super::super::error::ErrorKind;
use super::super::scripted_server::{Reply, Server};
use super::*;
use crate::image::Index;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest() -> Vec<u8> {
    let config = Descriptor::of(MediaType::Config(ImageFormat::Oci), b"{}");
    Manifest::new(ImageFormat::Oci, &config, &[])
        .to_json()
        .unwrap()
}

fn told(content_type: &str, digest: &Digest) -> Reply {
    Reply::status(200)
        .header("Content-Type", content_type)
        .header("Docker-Content-Digest", digest.as_str())
}

#[tokio::test]
async fn a_tag_is_resolved_without_reading_the_manifest() {
    let server =
        Server::start(|_| told(OCI_MANIFEST, &Digest::of(&manifest())).body(manifest())).await;
    let descriptor = server.repository().resolve("v1").await.unwrap();
    assert_eq!(
        descriptor,
        Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &manifest())
    );
    assert_eq!(server.lines(), ["HEAD /v2/app/manifests/v1"]);
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    for media_type in MediaType::MANIFESTS {
        assert!(accept.contains(media_type.as_str()), "{accept}");
    }
}

#[tokio::test]
async fn a_registry_that_answers_head_badly_is_asked_by_get() {
    for head in [
        Reply::status(200).header("Content-Type", OCI_MANIFEST),
        Reply::status(405),
        told("text/html", &Digest::of(b"page")),
    ] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "HEAD" => head.clone(),
            _ => Reply::status(200)
                .header("Content-Type", OCI_MANIFEST)
                .body(manifest()),
        })
        .await;
        let descriptor = server.repository().resolve("v1").await.unwrap();
        assert_eq!(descriptor.digest, Digest::of(&manifest()));
    }
}

#[tokio::test]
async fn a_missing_tag_costs_one_request_and_a_refusal_brings_words() {
    let server = Server::start(|_| Reply::status(404)).await;
    let error = server.repository().resolve("v1").await.unwrap_err();
    assert_eq!(
        (error.kind(), server.seen().len()),
        (ErrorKind::NotFound, 1)
    );

    let server = Server::start(|_| {
        Reply::status(403).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#)
    })
    .await;
    let error = server.repository().resolve("v1").await.unwrap_err();
    assert!(
        error.to_string().ends_with("403 Forbidden: DENIED: no"),
        "{error}"
    );
}

#[tokio::test]
async fn a_manifest_is_checked_against_the_digest_it_was_asked_by() {
    let asked = Digest::of(b"something else");
    let server = Server::start({
        let asked = asked.clone();
        move |_| told(OCI_MANIFEST, &asked).body(manifest())
    })
    .await;
    for name in [asked.as_str(), "v1"] {
        let error = server.repository().fetch_manifest(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
        assert!(
            error.to_string().contains(Digest::of(&manifest()).as_str()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_content_type_that_contradicts_the_manifest_is_refused() {
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let server = Server::start(move |_| {
        Reply::status(200)
            .header("Content-Type", docker)
            .body(manifest())
    })
    .await;
    let error = server.repository().fetch_manifest("v1").await.unwrap_err();
    let super::RegistryError::Manifest { source, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(source, ManifestError::TypeMismatch { .. }));
}

#[tokio::test]
async fn a_manifest_without_end_is_cut_off() {
    let server =
        Server::start(|_| Reply::status(200).body(vec![b' '; MAX_MANIFEST_BYTES + 1])).await;
    let error = server.repository().fetch_manifest("v1").await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_tag_cannot_leave_its_place_in_the_url() {
    let server = Server::start(|_| Reply::status(404)).await;
    let _ = server.repository().resolve("../../../secret?x#y").await;
    assert_eq!(
        server.lines(),
        ["HEAD /v2/app/manifests/..%2F..%2F..%2Fsecret%3Fx%23y"]
    );
}

fn index_of(child: &Descriptor) -> Vec<u8> {
    let listed = Descriptor {
        platform: Some(Platform::new("linux", "amd64")),
        ..child.clone()
    };
    Index::new(ImageFormat::Oci, vec![listed])
        .to_json()
        .unwrap()
}

async fn registry_with_index(child: Descriptor) -> Server {
    Server::start(move |seen| match seen.target.contains("sha256") {
        true => Reply::status(200)
            .header("Content-Type", OCI_MANIFEST)
            .body(manifest()),
        false => Reply::status(200)
            .header("Content-Type", "application/vnd.oci.image.index.v1+json")
            .body(index_of(&child)),
    })
    .await
}

#[tokio::test]
async fn the_image_for_the_platform_is_chosen_from_an_index() {
    let child = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &manifest());
    let server = registry_with_index(child.clone()).await;
    let image = server
        .repository()
        .fetch_image("v1", &Platform::new("linux", "amd64"))
        .await
        .unwrap();
    assert_eq!(image.descriptor.digest, child.digest);
    assert_eq!(image.index.unwrap().digest, Digest::of(&index_of(&child)));
    let error = server
        .repository()
        .fetch_image("v1", &Platform::new("linux", "s390x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoPlatform);
    assert_eq!(
        error.to_string(),
        format!("cannot use `{}/app:v1`", server.address)
    );
}

#[tokio::test]
async fn an_image_of_another_size_than_listed_is_refused() {
    let mut child = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &manifest());
    child.size += 1;
    let server = registry_with_index(child).await;
    let error = server
        .repository()
        .fetch_image("v1", &Platform::new("linux", "amd64"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::SizeMismatch { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_config_is_checked_and_parsed() {
    let answers = Arc::new(Mutex::new(br#"{"os":"linux"}"#.to_vec()));
    let server = Server::start({
        let answers = Arc::clone(&answers);
        move |_| Reply::status(200).body(answers.lock().unwrap().clone())
    })
    .await;
    let descriptor = Descriptor::of(MediaType::Config(ImageFormat::Oci), br#"{"os":"linux"}"#);
    let repository = server.repository();
    assert_eq!(
        repository.fetch_config(&descriptor).await.unwrap().os,
        "linux"
    );
    for (answer, expected) in [
        (&br#"{"os":"linus"}"#[..], "digest mismatch"),
        (br#"{"os":"linu"}"#, "size mismatch"),
        (br#"{"os":"linux"} "#, "size mismatch"),
        (
            br#"{"os":"linux"}                         "#,
            "size mismatch",
        ),
    ] {
        *answers.lock().unwrap() = answer.to_vec();
        let error = repository.fetch_config(&descriptor).await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn parameters_of_a_content_type_do_not_count() {
    let with_parameters = format!("{OCI_MANIFEST}; charset=utf-8");
    let server =
        Server::start(move |_| told(&with_parameters, &Digest::of(&manifest())).body(manifest()))
            .await;
    let repository = server.repository();
    let expected = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &manifest());
    let fetched = repository.fetch_manifest("v1").await.unwrap();
    assert_eq!(fetched.descriptor, expected);
    assert_eq!(repository.resolve("v1").await.unwrap(), expected);
    assert_eq!(server.seen().len(), 2, "HEAD was enough");
}

#[tokio::test]
async fn a_manifest_of_schema_1_is_refused_with_words() {
    let server = Server::start(|_| {
        Reply::status(200)
            .header(
                "Content-Type",
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
            )
            .body(r#"{"schemaVersion":1,"name":"app","tag":"v1","fsLayers":[],"history":[]}"#)
    })
    .await;
    let error = server.repository().fetch_manifest("v1").await.unwrap_err();
    let RegistryError::Manifest { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        source.to_string(),
        "the image is in Docker's old format (manifest schema 1), which holds no config: it has to be pushed again by a current tool"
    );
}

#[tokio::test]
async fn a_manifest_that_lies_elsewhere_is_read_without_authorization() {
    let storage = Server::start(|_| {
        Reply::status(200)
            .header("Content-Type", OCI_MANIFEST)
            .body(manifest())
    })
    .await;
    let location = storage.url("/manifest");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some(_) => Reply::status(307).header("Location", &location),
        None => Reply::status(401).header("WWW-Authenticate", "Basic realm=x"),
    })
    .await;
    let repository = server.repository_of_user();
    let fetched = repository.fetch_manifest("v1").await.unwrap();
    assert_eq!(fetched.descriptor.digest, Digest::of(&manifest()));
    assert_eq!(storage.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_401_instead_of_a_404_ends_with_what_was_tried() {
    // GitLab and GHCR say 401 of what is not there, however good the token is.
    let server = Server::start(|seen| match seen.target.starts_with("/token") {
        true => Reply::status(200).body(r#"{"token":"good"}"#),
        false => Reply::bearer_challenge("/token", "repository:app:pull"),
    })
    .await;
    let error = server
        .repository_of_user()
        .fetch_manifest("v1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(error.credentials_tried(), ["config.json: user `u`"]);
    let get = "GET /v2/app/manifests/v1";
    let token = "GET /token?service=reg&scope=repository%3Aapp%3Apull";
    assert_eq!(server.lines(), [get, token, get]);
}
