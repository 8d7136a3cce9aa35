use url::Url;

use super::super::error::ErrorKind;
use super::super::options::Mirror;
use super::super::scripted_server::{Reply, Server, options, user_at};
use super::*;
use crate::http::options::ProxyOptions;
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

#[tokio::test]
async fn a_mirror_gets_the_credentials_that_are_configured_for_it() {
    let mirror = Server::start(|seen| match seen.header("authorization") {
        Some("Basic dTpw") => resolved(&Digest::of(b"x")),
        _ => Reply::status(401).header("WWW-Authenticate", "Basic realm=x"),
    })
    .await;
    let options = RegistryOptions {
        keychain: user_at(mirror.address),
        ..mirrored(&[&mirror])
    };
    let (source, _) = Registries::new(options).resolve(&alpine()).await.unwrap();
    assert_eq!(source.registry().host(), mirror.address.to_string());
}

#[test]
fn a_loopback_host_that_this_machine_keeps_certificates_for_speaks_tls() {
    let certificates = tempfile::tempdir().unwrap();
    let own = certificates.path().join("localhost:5000");
    std::fs::create_dir(&own).unwrap();
    let root = include_str!("../../http/tls/testdata/root.pem");
    std::fs::write(own.join("ca.crt"), root).unwrap();
    let options = RegistryOptions {
        certificate_dirs: vec![certificates.path().to_owned()],
        ..options()
    };
    let registries = Registries::new(options.clone());
    registries
        .registry("localhost:5000", Purpose::Pull)
        .unwrap();
    registries
        .registry("localhost:5001", Purpose::Pull)
        .unwrap();
    let clients = registries.clients.lock().unwrap();
    let securities: Vec<Security> = clients.keys().map(|key| key.security).collect();
    assert_eq!(securities, [Security::Tls, Security::Plain]);
    // What cannot be used is named.
    std::fs::write(own.join("ca.crt"), "no certificate").unwrap();
    let error = Registries::new(options)
        .registry("localhost:5000", Purpose::Pull)
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("localhost:5000/ca.crt"), "{cause}");
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

#[tokio::test]
async fn every_request_can_be_made_from_a_task_of_its_own() {
    let server = Server::start(|_| resolved(&Digest::of(b"x"))).await;
    let reference = Reference::parse(&format!("{}/app:v1", server.address)).unwrap();
    let registries = Arc::new(Registries::new(options()));
    let task = tokio::spawn(async move {
        let (repository, _) = registries.resolve(&reference).await?;
        repository.push_blob(&some_blob(), &nothing(), None).await?;
        let platform = crate::image::Platform::new("linux", "amd64");
        let image = repository.fetch_image("v1", &platform).await?;
        repository.fetch_config(&image.manifest.config).await?;
        let reader = repository.open_blob(&image.manifest.config).await?;
        tokio::io::copy(&mut reader.into_async_read(), &mut tokio::io::sink())
            .await
            .ok();
        registries.fetch_manifest(&reference).await
    });
    assert!(task.await.unwrap().is_err(), "the manifest is empty");
}

fn some_blob() -> Descriptor {
    Descriptor::of(crate::image::MediaType::Other("x".into()), b"x")
}

fn nothing() -> crate::registry::push::BlobSource {
    crate::registry::push::BlobSource::Bytes(bytes::Bytes::new())
}

fn through_proxy(proxy: &Server, no_proxy: &str) -> RegistryOptions {
    let url = Url::parse(&format!("http://user:pass@{}", proxy.address)).unwrap();
    RegistryOptions {
        insecure_hosts: ["reg.invalid".to_owned()].into(),
        proxy: ProxyOptions {
            http_proxy: Some(url.clone()),
            https_proxy: Some(url),
            no_proxy: no_proxy.to_owned(),
        },
        retry: crate::registry::options::RetryPolicy {
            retries: 0,
            ..options().retry
        },
        ..options()
    }
}

#[tokio::test]
async fn a_proxy_is_used_but_for_loopback_and_exceptions() {
    let proxy = Server::start(|seen| match seen.method.as_str() {
        "CONNECT" => Reply::status(403),
        _ => resolved(&Digest::of(b"x")),
    })
    .await;
    let reference = Reference::parse("reg.invalid/app:v1").unwrap();
    Registries::new(through_proxy(&proxy, ""))
        .resolve(&reference)
        .await
        .unwrap();
    let lines = proxy.lines();
    assert_eq!(
        lines,
        [
            "CONNECT reg.invalid:443",
            "HEAD http://reg.invalid/v2/app/manifests/v1"
        ]
    );
    // base64 of `user:pass`.
    assert_eq!(
        proxy.seen()[1].header("proxy-authorization"),
        Some("Basic dXNlcjpwYXNz")
    );

    let error = Registries::new(through_proxy(&proxy, "reg.invalid"))
        .resolve(&reference)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Unreachable,
        "a name that does not exist"
    );

    let local = Server::start(|_| resolved(&Digest::of(b"y"))).await;
    let reference = Reference::parse(&format!("{}/app:v1", local.address)).unwrap();
    Registries::new(through_proxy(&proxy, ""))
        .resolve(&reference)
        .await
        .unwrap();
    assert_eq!(proxy.seen().len(), 2);
    assert!(!format!("{:?}", through_proxy(&proxy, "")).contains("pass"));
}
