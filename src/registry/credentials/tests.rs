use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::http::{Password, Token};
use crate::registry::host::RegistryHost;

fn keychain(text: &str) -> Keychain {
    Keychain::new(vec![DockerConfig::parse(text, "config.json").unwrap()])
}

async fn found(text: &str, host: &str, repository: &str) -> Option<Credential> {
    keychain(text)
        .find(&RegistryHost::new(host), repository, None)
        .await
        .credential
}

fn basic(username: &str, password: &str) -> Option<Credential> {
    Some(Credential::Basic {
        username: username.to_owned(),
        password: Password::new(password),
    })
}

#[tokio::test]
async fn every_way_of_writing_an_entry_is_read() {
    // base64 of `user:pass:word`, with and without padding and a newline before it was encoded.
    for auth in [
        "dXNlcjpwYXNzOndvcmQ=",
        "dXNlcjpwYXNzOndvcmQ",
        "dXNlcjpwYXNzOndvcmQK",
        " dXNlcjpw\\nYXNzOndvcmQ= ",
    ] {
        let text = format!(r#"{{"auths":{{"reg.example":{{"auth":"{auth}"}}}}}}"#);
        assert_eq!(
            found(&text, "reg.example", "a").await,
            basic("user", "pass:word"),
            "{auth}"
        );
    }
    let plain = r#"{"auths":{"reg.example":{"username":"u","password":"p"}}}"#;
    assert_eq!(found(plain, "reg.example", "a").await, basic("u", "p"));
    let identity = r#"{"auths":{"reg.example":{"auth":"MDA6","identitytoken":"t"}}}"#;
    let expected = Credential::IdentityToken {
        username: "00".into(),
        token: Token::new("t"),
    };
    assert_eq!(found(identity, "reg.example", "a").await, Some(expected));
    let registry = r#"{"auths":{"reg.example":{"registrytoken":"t"}}}"#;
    assert_eq!(
        found(registry, "reg.example", "a").await,
        Some(Credential::RegistryToken(Token::new("t")))
    );
}

#[tokio::test]
async fn keys_are_found_in_every_spelling() {
    for (key, host) in [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "index.docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://reg.example/v2/", "reg.example"),
        ("http://reg.example", "reg.example"),
        ("reg.example/", "reg.example:443"),
        ("REG.example:443", "reg.example"),
        ("localhost:5000", "localhost:5000"),
    ] {
        let text = format!(r#"{{"auths":{{"{key}":{{"username":"u","password":"p"}}}}}}"#);
        assert_eq!(found(&text, host, "a/b").await, basic("u", "p"), "{key}");
        assert_eq!(found(&text, "other.example", "a/b").await, None);
        assert_eq!(found(&text, "reg.example.evil", "a/b").await, None);
    }
}

#[tokio::test]
async fn the_longest_path_that_contains_the_repository_wins() {
    let text = r#"{"auths":{"reg.example":{"username":"host","password":"p"},
        "reg.example/group":{"username":"group","password":"p"},
        "reg.example/group/app":{"username":"app","password":"p"}}}"#;
    for (repository, user) in [
        ("group/app", "app"),
        ("group/app/cache", "app"),
        ("group/apple", "group"),
        ("groupies", "host"),
        ("x", "host"),
    ] {
        assert_eq!(
            found(text, "reg.example", repository).await,
            basic(user, "p"),
            "{repository}"
        );
    }
}

#[tokio::test]
async fn empty_and_foreign_entries_mean_anonymous() {
    for text in [
        "",
        " \n",
        "{}",
        r#"{"auths":null,"credHelpers":null,"credsStore":"","HttpHeaders":{"a":"b"}}"#,
        r#"{"auths":{"reg.example":{}}}"#,
        r#"{"auths":{"reg.example":null}}"#,
        r#"{"auths":{"reg.example":{"auth":"","email":"a@b"}}}"#,
    ] {
        assert_eq!(found(text, "reg.example", "a").await, None, "{text}");
    }
}

#[tokio::test]
async fn a_broken_entry_is_named_and_harms_no_other() {
    let text = r#"{"auths":{"bad.example":{"auth":"s3cret!"},"reg.example":{"username":"u","password":"p"}}}"#;
    assert_eq!(found(text, "reg.example", "a").await, basic("u", "p"));
    let lookup = keychain(text)
        .find(&RegistryHost::new("bad.example"), "a", None)
        .await;
    let message = lookup.failure.unwrap().to_string();
    assert_eq!(
        message,
        "entry `bad.example` of `config.json` is unusable: `auth` is not base64"
    );
    assert_eq!(lookup.tried, [format!("config.json: {message}")]);
}

#[test]
fn neither_an_error_nor_debug_quotes_the_file() {
    let error = DockerConfig::parse(r#"{"auths": "s3cret"}"#, "config.json").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot parse `config.json`: no docker config at line 1, column 18"
    );
    let config = DockerConfig::parse(r#"{"auths":{"a":{"password":"s3cret"}}}"#, "x").unwrap();
    assert!(!format!("{config:?} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn the_first_source_that_has_something_wins_and_all_are_told() {
    let first = DockerConfig::parse(
        r#"{"auths":{"other.example":{"username":"o","password":"p"}}}"#,
        "first",
    )
    .unwrap();
    let second = DockerConfig::parse(
        r#"{"auths":{"reg.example":{"username":"u","password":"p"}}}"#,
        "second",
    )
    .unwrap();
    let lookup = Keychain::new(vec![first, second])
        .find(&RegistryHost::new("reg.example"), "a", None)
        .await;
    assert_eq!(lookup.credential, basic("u", "p"));
    assert_eq!(
        lookup.tried,
        ["first: no entry for `reg.example`", "second: user `u`"]
    );
}

#[tokio::test]
async fn a_helper_that_is_missing_or_no_name_is_an_error_that_names_it() {
    let missing = r#"{"credHelpers":{"reg.example":"sawagani-test-missing"}}"#;
    let lookup = keychain(missing)
        .find(&RegistryHost::new("reg.example"), "a", None)
        .await;
    let message = lookup.failure.unwrap().to_string();
    assert_eq!(
        message,
        "cannot run credential helper `docker-credential-sawagani-test-missing`"
    );
    let path = r#"{"credsStore":"../../tmp/evil"}"#;
    let lookup = keychain(path)
        .find(&RegistryHost::new("reg.example"), "a", None)
        .await;
    assert!(matches!(
        lookup.failure.as_deref(),
        Some(CredentialError::HelperName { .. })
    ));
}

/// Writes a helper that runs `script`, and asks it. Another process writes the file: were it open for writing here while
/// another test forks, it could not be executed.
async fn asked(script: &str, timeout: Duration) -> Result<Option<Credential>, CredentialError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("helper");
    let mut writer = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = writer.stdin.take().unwrap();
    input
        .write_all(format!("#!/bin/sh\n{script}\n").as_bytes())
        .unwrap();
    drop(input);
    assert!(writer.wait().unwrap().success());
    helper::get_within(
        path.to_str().unwrap(),
        "https://index.docker.io/v1/",
        timeout,
    )
    .await
}

#[tokio::test]
async fn a_helper_is_asked_over_its_standard_input() {
    let long = Duration::from_secs(30);
    let echo = r#"read server; test "$1" = get && printf '{"ServerURL":"%s","Username":"u","Secret":"%s"}' "$server" "$server""#;
    let expected = basic("u", "https://index.docker.io/v1/");
    assert_eq!(asked(echo, long).await.unwrap(), expected);
    let token = r#"echo '{"Username":"<token>","Secret":"t"}'"#;
    let expected = Credential::IdentityToken {
        username: String::new(),
        token: Token::new("t"),
    };
    assert_eq!(asked(token, long).await.unwrap(), Some(expected));
}

#[tokio::test]
async fn a_helper_that_knows_nothing_is_not_an_error_and_one_that_fails_is() {
    let long = Duration::from_secs(30);
    let unknown = "echo credentials not found in native keychain; exit 1";
    assert_eq!(asked(unknown, long).await.unwrap(), None);
    let broken = asked("echo no metadata server; exit 1", long)
        .await
        .unwrap_err();
    assert!(
        broken.to_string().ends_with("no metadata server"),
        "{broken}"
    );
    assert!(asked("echo garbage", long).await.is_err());
    let both = r#"echo '{"Username":"u","Secret":"s3cret"}'; exit 1"#;
    let error = asked(both, long).await.unwrap_err().to_string();
    assert!(!error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_helper_that_hangs_is_given_up() {
    let error = asked("sleep 600", Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
}
