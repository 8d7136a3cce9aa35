use std::sync::{Arc, Mutex};

use super::super::error::ErrorKind;
use super::super::push::ManifestDelivery;
use super::super::scripted_server::{Reply, Seen, Server};
use super::*;
use crate::image::Manifest;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn subject() -> Descriptor {
    Descriptor::of(MediaType::Manifest(ImageFormat::Oci), b"an image")
}

fn tag_target() -> String {
    let tag = subject().digest.to_string().replace(':', "-");
    format!("/v2/app/manifests/{tag}")
}

/// A signature of the subject, which says so in its annotations.
fn signature(text: &str) -> Vec<u8> {
    let config = Descriptor::of(MediaType::Other("application/x.sig".into()), b"{}");
    let manifest = Manifest {
        subject: Some(subject()),
        annotations: [("by".to_owned(), text.to_owned())].into(),
        ..Manifest::new(ImageFormat::Oci, &config, &[])
    };
    manifest.to_json().unwrap()
}

fn index_of(manifests: Vec<Descriptor>) -> Vec<u8> {
    Index::new(ImageFormat::Oci, manifests).to_json().unwrap()
}

fn digests(listed: &[Descriptor]) -> Vec<Digest> {
    listed.iter().map(|listed| listed.digest.clone()).collect()
}

/// A registry without a list of referrers: it keeps what is put, by target, and starts with `there` under the tag.
async fn old_registry(there: Option<(&'static str, Vec<u8>)>) -> (Server, Kept) {
    let kept: Kept = Arc::default();
    if let Some((media_type, bytes)) = there {
        let document = (media_type.to_owned(), bytes);
        kept.lock().unwrap().push((tag_target(), document));
    }
    let shared = Arc::clone(&kept);
    let server = Server::start(move |seen| answer(seen, &shared)).await;
    (server, kept)
}

type Kept = Arc<Mutex<Vec<(String, (String, Vec<u8>))>>>;

fn answer(seen: &Seen, kept: &Kept) -> Reply {
    let mut kept = kept.lock().unwrap();
    if seen.method == "PUT" {
        let media_type = seen.header("content-type").unwrap().to_owned();
        kept.push((seen.target.clone(), (media_type, seen.body.clone())));
        return Reply::status(201);
    }
    let found = kept.iter().rev().find(|(target, _)| *target == seen.target);
    match found {
        Some((_, (media_type, bytes))) => Reply::status(200)
            .header("Content-Type", media_type)
            .body(bytes.clone()),
        None => Reply::status(404),
    }
}

async fn put(server: &Server, bytes: &[u8]) -> Result<ManifestDelivery, RegistryError> {
    let digest = Digest::of(bytes);
    let media_type = MediaType::Manifest(ImageFormat::Oci);
    server
        .repository()
        .put_manifest(digest.as_str(), &media_type, &bytes.to_vec().into())
        .await
}

#[tokio::test]
async fn a_list_of_referrers_is_read_to_its_last_page() {
    let [first, second] = ["a", "b"]
        .map(|text| Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &signature(text)));
    let pages = [
        index_of(vec![first.clone()]),
        index_of(vec![second.clone()]),
    ];
    let server = Server::start(move |seen| {
        let reply = Reply::status(200).header("Content-Type", INDEX);
        match seen.target.contains("page=2") {
            true => reply.body(pages[1].clone()),
            false => reply
                .header("Link", "</v2/app/referrers/x?page=2>; rel=\"next\"")
                .body(pages[0].clone()),
        }
    })
    .await;
    let found = server.repository().referrers(&subject().digest).await;
    assert_eq!(found.unwrap(), [first, second]);
    let first_page = format!("GET /v2/app/referrers/{}", subject().digest);
    assert_eq!(
        server.lines(),
        [&*first_page, "GET /v2/app/referrers/x?page=2"]
    );
}

#[tokio::test]
async fn a_next_page_on_another_server_is_not_asked_for() {
    let elsewhere = Server::start(|_| Reply::status(200)).await;
    let link = format!("<{}>; rel=\"next\"", elsewhere.url("/v2/x"));
    let server = Server::start(move |_| {
        Reply::status(200)
            .header("Content-Type", INDEX)
            .header("Link", &link)
            .body(index_of(Vec::new()))
    })
    .await;
    let found = server.repository().referrers(&subject().digest).await;
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Server);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn without_a_list_the_index_under_the_tag_is_read() {
    let listed = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), b"signature");
    let (server, _) = old_registry(Some((INDEX, index_of(vec![listed.clone()])))).await;
    let found = server.repository().referrers(&subject().digest).await;
    assert_eq!(found.unwrap(), [listed]);
    let (server, _) = old_registry(None).await;
    let found = server.repository().referrers(&subject().digest).await;
    assert!(found.unwrap().is_empty());
}

#[tokio::test]
async fn a_manifest_with_a_subject_is_added_to_the_index_under_the_tag() {
    let (server, kept) = old_registry(None).await;
    for text in ["first", "second", "first"] {
        put(&server, &signature(text)).await.unwrap();
    }
    let found = server.repository().referrers(&subject().digest).await;
    let found = found.unwrap();
    let expected = ["first", "second"].map(|text| Digest::of(&signature(text)));
    assert_eq!(
        digests(&found),
        expected,
        "each once, in the order of writing"
    );
    assert_eq!(found[0].artifact_type.as_deref(), Some("application/x.sig"));
    assert_eq!(found[1].annotations["by"], "second");
    let kept = kept.lock().unwrap();
    let of_index = kept.iter().filter(|(target, _)| *target == tag_target());
    let types: Vec<&str> = of_index.map(|(_, (kind, _))| kind.as_str()).collect();
    assert_eq!(
        types, [INDEX; 2],
        "what is listed already is not written again"
    );
}

#[tokio::test]
async fn what_others_have_listed_stays() {
    let other = Descriptor {
        artifact_type: Some("application/x.sbom".to_owned()),
        ..Descriptor::of(MediaType::Other("application/x.unknown".into()), b"other")
    };
    let (server, _) = old_registry(Some((INDEX, index_of(vec![other.clone()])))).await;
    put(&server, &signature("mine")).await.unwrap();
    let found = server.repository().referrers(&subject().digest).await;
    assert_eq!(found.unwrap()[0], other);
}

#[tokio::test]
async fn a_registry_that_has_noted_the_subject_is_left_alone() {
    let server =
        Server::start(|_| Reply::status(201).header("OCI-Subject", subject().digest.as_str()))
            .await;
    put(&server, &signature("x")).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_image_under_the_tag_is_not_replaced() {
    let image = signature("an image of somebody's");
    let (server, kept) = old_registry(Some((MANIFEST, image))).await;
    let error = put(&server, &signature("x")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot list what is about an image of"),
        "{error}"
    );
    let kept = kept.lock().unwrap();
    let of_tag = kept.iter().filter(|(target, _)| *target == tag_target());
    assert_eq!(of_tag.count(), 1);
}

#[test]
fn the_tag_is_the_digest_with_a_dash_cut_to_what_a_tag_may_be() {
    let hex = "ab".repeat(32);
    let digest = Digest::parse(&format!("sha256:{hex}")).unwrap();
    assert_eq!(referrers_tag(&digest), format!("sha256-{hex}"));
    let long = Digest::parse(&format!("sha512:{}", "cd".repeat(64))).unwrap();
    assert_eq!(referrers_tag(&long), format!("sha512-{}", "cd".repeat(32)));
}
