use super::super::error::ErrorKind;
use super::super::options::Mirror;
use super::super::scripted_server::{Reply, Server, options, user_at};
use super::*;
use crate::image::Digest;

fn resolved(digest: &Digest) -> Reply {
    Reply::status(200)
        .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        .header("Docker-Content-Digest", digest.as_str())
}

fn mirrored(by: &[&Server]) -> RegistryOptions {
    let mirrors = by
        .iter()
        .map(|server| Mirror::parse(&format!("{}/proxy", server.address)));
    RegistryOptions {
        mirrors: [("docker.io".to_owned(), mirrors.collect())].into(),
        ..options()
    }
}

fn alpine() -> Reference {
    Reference::parse("alpine:3").unwrap()
}

#[tokio::test]
async fn mirrors_are_asked_in_order_under_their_prefix() {
    let broken = Server::start(|_| Reply::status(404)).await;
    let good = Server::start(|_| resolved(&Digest::of(b"x"))).await;
    let registries = Registries::new(mirrored(&[&broken, &good]));
    let (source, descriptor) = registries.resolve(&alpine()).await.unwrap();
    assert_eq!(descriptor.digest, Digest::of(b"x"));
    assert_eq!(source.name(), "proxy/library/alpine");
    assert_eq!(source.registry().host(), good.address.to_string());
    assert_eq!(
        broken.lines(),
        ["HEAD /v2/proxy/library/alpine/manifests/3"]
    );
}

#[tokio::test]
async fn without_fallback_the_last_mirrors_error_is_the_error() {
    let broken = Server::start(|_| Reply::status(403)).await;
    let options = RegistryOptions {
        skip_default_registry_fallback: true,
        ..mirrored(&[&broken])
    };
    let error = Registries::new(options)
        .fetch_manifest(&alpine())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}

#[tokio::test]
async fn a_mirror_gets_no_credentials_of_the_registry_it_stands_for() {
    let original = Server::start(|_| resolved(&Digest::of(b"x"))).await;
    let mirror = Server::start(|seen| match seen.header("authorization") {
        None => Reply::status(401).header("WWW-Authenticate", "Basic realm=x"),
        Some(_) => resolved(&Digest::of(b"stolen")),
    })
    .await;
    let options = RegistryOptions {
        mirrors: [(
            original.address.to_string(),
            vec![Mirror::parse(&mirror.address.to_string())],
        )]
        .into(),
        keychain: user_at(original.address),
        ..options()
    };
    let reference = Reference::parse(&format!("{}/app", original.address)).unwrap();
    let (_, descriptor) = Registries::new(options).resolve(&reference).await.unwrap();
    assert_eq!(descriptor.digest, Digest::of(b"x"));
    assert!(
        mirror
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}

#[test]
fn a_host_has_one_client_under_all_its_names_and_purposes() {
    let registries = Registries::new(options());
    let client = |host: &str, purpose| registries.registry(host, purpose).unwrap().transport;
    let one = client("reg.example", Purpose::Pull);
    assert!(Arc::ptr_eq(&one, &client("Reg.example:443", Purpose::Push)));
    assert!(!Arc::ptr_eq(&one, &client("other.example", Purpose::Pull)));
}

#[test]
fn flags_for_one_direction_make_two_clients_with_shared_connections() {
    let registries = Registries::new(RegistryOptions {
        insecure_push: true,
        ..options()
    });
    let pull = registries
        .registry("reg.example", Purpose::Pull)
        .unwrap()
        .transport;
    let push = registries
        .registry("reg.example", Purpose::Push)
        .unwrap()
        .transport;
    assert!(!Arc::ptr_eq(&pull, &push));
    let host = RegistryHost::new("reg.example");
    assert_eq!(Arc::strong_count(&registries.connections_of(&host)), 4);
}

#[test]
fn a_certificate_that_cannot_be_read_names_its_registry() {
    let registries = Registries::new(RegistryOptions {
        registry_certificates: [("reg.example".to_owned(), vec!["/nonexistent.pem".into()])].into(),
        ..options()
    });
    let error = registries
        .registry("reg.example", Purpose::Pull)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot set up the connection to `reg.example`"
    );
}
