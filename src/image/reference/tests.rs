use super::*;

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn short_names_are_completed_as_docker_does() {
    for (text, expected) in [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("library/alpine", "docker.io/library/alpine:latest"),
        ("grafana/loki:main", "docker.io/grafana/loki:main"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
        ("docker.io/grafana/loki", "docker.io/grafana/loki:latest"),
        ("test.com:5000", "docker.io/library/test.com:5000"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("host:5000/a/b/c:v1", "host:5000/a/b/c:v1"),
        ("GHCR.io/owner/app:V1", "ghcr.io/owner/app:V1"),
        (
            "registry.gitlab.com:443/group/a__b/c-d--e:x",
            "registry.gitlab.com:443/group/a__b/c-d--e:x",
        ),
        ("127.0.0.1:5000/x:t", "127.0.0.1:5000/x:t"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("[::1]/x:t", "[::1]/x:t"),
    ] {
        assert_eq!(
            Reference::parse(text).unwrap().to_string(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_digest_stands_alone_or_beside_a_tag() {
    let pinned = Reference::parse(&format!("alpine@{DIGEST}")).unwrap();
    assert_eq!(pinned.tag(), None);
    assert_eq!(pinned.tag_or_digest(), DIGEST);
    let both = Reference::parse(&format!("localhost:5000/x:v1@{DIGEST}")).unwrap();
    assert_eq!((both.tag(), both.tag_or_digest()), (Some("v1"), DIGEST));
    assert_eq!(both.to_string(), format!("localhost:5000/x:v1@{DIGEST}"));
}

#[test]
fn what_is_no_reference_is_refused_with_its_text_and_reason() {
    use InvalidReference as Why;
    for (text, reason) in [
        ("", Why::Empty),
        (":tag", Why::Empty),
        ("localhost:5000/", Why::Empty),
        ("https://ghcr.io/x", Why::Scheme("https".into())),
        ("MyOrg/App", Why::UpperCase("MyOrg/App".into())),
        ("ghcr.io/Owner/app", Why::UpperCase("Owner/app".into())),
        ("a//b", Why::Repository("a//b".into())),
        ("../etc", Why::Registry("..".into())),
        ("a/../b", Why::Repository("a/../b".into())),
        ("a___b", Why::Repository("a___b".into())),
        ("-a", Why::Repository("-a".into())),
        ("a b", Why::Repository("a b".into())),
        ("alpine:", Why::Tag(String::new())),
        ("alpine:-x", Why::Tag("-x".into())),
        ("alpine:a:b", Why::Tag("a:b".into())),
        ("host:99999/x", Why::Registry("host:99999".into())),
        ("host:/x", Why::Registry("host:".into())),
        ("host:+80/x", Why::Registry("host:+80".into())),
        ("[::zz]:5000/x", Why::Registry("[::zz]:5000".into())),
        ("::1/x", Why::Registry("::1".into())),
        ("-bad-.com/x", Why::Registry("-bad-.com".into())),
    ] {
        let error = Reference::parse(text).unwrap_err();
        assert_eq!((error.text.as_str(), &error.reason), (text, &reason));
        assert!(error.to_string().contains(&format!("`{text}`")));
    }
    assert!(Reference::parse("alpine@sha256:abc").is_err());
    assert!(Reference::parse(&"a".repeat(248)).is_err());
    assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
    assert!(Reference::parse(&format!("a:{}", "t".repeat(128))).is_ok());
}

#[test]
fn digest_files_name_docker_hub_as_kaniko_does() {
    assert_eq!(
        Reference::parse("alpine").unwrap().name_in_digest_files(),
        "index.docker.io/library/alpine"
    );
    assert_eq!(
        Reference::parse("ghcr.io/a/b")
            .unwrap()
            .name_in_digest_files(),
        "ghcr.io/a/b"
    );
}

#[test]
fn another_tag_is_checked_and_replaces_a_digest() {
    let pinned = Reference::parse(&format!("a@{DIGEST}")).unwrap();
    assert_eq!(
        pinned.with_tag("v2").unwrap().to_string(),
        "docker.io/library/a:v2"
    );
    assert!(pinned.with_tag("a/b").is_err());
    let digest = Digest::parse(DIGEST).unwrap();
    assert_eq!(
        Reference::parse("a:v1").unwrap().with_digest(digest),
        pinned
    );
}
