//! What a user wants registries to see is seen by the registry, and by nobody else.

use super::*;
use crate::image::{Descriptor, MediaType};

const NAME: &str = "x-meta-team";

fn with_headers(server: &Server) -> RegistryOptions {
    let address = server.address;
    let text = format!(
        r#"{{"auths":{{"{address}":{{"username":"u","password":"p"}}}},"HttpHeaders":{{"X-Meta-Team":"hunter2","User-Agent":"other"}}}}"#
    );
    RegistryOptions {
        keychain: Keychain::new(vec![DockerConfig::parse(&text, "config.json").unwrap()]),
        ..options()
    }
}

#[tokio::test]
async fn headers_of_the_users_go_to_the_registry_and_not_to_other_hosts() {
    let tokens = Server::start(|_| Reply::status(200).body(r#"{"token":"t0ken"}"#)).await;
    let storage = Server::start(|_| Reply::status(200).body("blob")).await;
    let (realm, blobs) = (tokens.url("/token"), storage.url("/blob"));
    let registry = Server::start(move |seen| match seen.header("authorization") {
        None => Reply::bearer_challenge(&realm, "repository:app:pull"),
        Some(_) if seen.is("GET", "/v2/app/blobs/") => {
            Reply::status(307).header("Location", &blobs)
        }
        Some(_) => manifest(),
    })
    .await;
    let repository = registry.repository_with(with_headers(&registry));
    repository.fetch_manifest("v1").await.unwrap();
    let blob = Descriptor::of(MediaType::Other("x".into()), b"blob");
    let mut reader = repository.open_blob(&blob).await.unwrap();
    assert_eq!(reader.next_chunk().await.unwrap().unwrap(), "blob");
    let seen = registry.seen();
    assert_eq!(seen.len(), 3, "{:?}", registry.lines());
    for request in &seen {
        assert_eq!(request.header(NAME), Some("hunter2"), "{}", request.line());
        let agent = request.header("user-agent").unwrap();
        assert!(agent.starts_with("sawagani/"), "{agent}");
    }
    assert_eq!(seen[1].header("authorization"), Some("Bearer t0ken"));
    for other in [tokens, storage] {
        let seen = other.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].header(NAME), None);
    }
}
