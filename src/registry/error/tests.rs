use reqwest::Method;
use url::Url;

use super::*;
use crate::http::retry::{RetryAdvice, Retryable};

fn refusal(status: u16, body: &str) -> Refusal {
    let url = Url::parse("https://reg.example/v2/a/manifests/v1").unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    Refusal::read(Call::new(&Method::PUT, &url), status, None, body.as_bytes())
}

fn kind(status: u16, body: &str) -> ErrorKind {
    RegistryError::Refused(Box::new(refusal(status, body))).kind()
}

#[test]
fn a_refusal_says_what_was_asked_and_what_was_answered() {
    let body = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied","detail":[{"Type":"x"}]}]}"#;
    assert_eq!(
        refusal(403, body).to_string(),
        "PUT https://reg.example/v2/a/manifests/v1 was answered with 403 Forbidden: DENIED: requested access to the resource is denied"
    );
    assert_eq!(
        refusal(401, r#"{"details":"incorrect username or password"}"#).message,
        "incorrect username or password"
    );
    assert_eq!(refusal(500, "<html><body>oops").message, "");
    let page = "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>";
    let error = refusal(400, page);
    assert_eq!(error.message, "400 No required SSL certificate was sent");
    assert!(error.is_about_client_certificate());
    assert_eq!(
        refusal(400, "Client sent an HTTP request\n to an HTTPS server.\n").message,
        "Client sent an HTTP request to an HTTPS server."
    );
}

#[test]
fn a_message_cannot_drive_the_terminal_or_fill_it() {
    let shown = refusal(400, &format!("\u{1b}[31mred\u{7} {}", "x".repeat(10_000))).to_string();
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'));
    assert!(shown.chars().count() < 600, "{shown}");
}

#[test]
fn kinds_follow_status_and_code() {
    assert_eq!(kind(401, ""), ErrorKind::Unauthorized);
    assert_eq!(kind(403, ""), ErrorKind::Forbidden);
    assert_eq!(kind(404, ""), ErrorKind::NotFound);
    assert_eq!(kind(413, ""), ErrorKind::ContentTooLarge);
    assert_eq!(kind(415, ""), ErrorKind::UnsupportedMediaType);
    assert_eq!(kind(429, ""), ErrorKind::TooManyRequests);
    assert_eq!(kind(503, ""), ErrorKind::Server);
    assert_eq!(kind(400, ""), ErrorKind::Refused);
}

#[test]
fn immutable_tags_are_known_in_the_words_of_each_registry() {
    for (status, body) in [
        (
            400,
            r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag 'v1' already exists"}]}"#,
        ),
        (
            400,
            r#"{"errors":[{"code":"DENIED","message":"The repository has enabled tag immutability"}]}"#,
        ),
        // ECR's sentence has changed once; its code has not.
        (
            400,
            r#"{"errors":[{"code":"ImageTagAlreadyExistsException","message":"cannot be overwritten"}]}"#,
        ),
        (
            400,
            r#"{"errors":[{"code":"UNKNOWN","message":"it cannot be overwritten because the tag is immutable."}]}"#,
        ),
        (
            412,
            r#"{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to 'app:v1' configured as immutable."}]}"#,
        ),
    ] {
        assert_eq!(kind(status, body), ErrorKind::TagImmutable);
    }
    assert_eq!(kind(500, "immutable"), ErrorKind::Server);
}

#[test]
fn only_what_may_pass_is_worth_another_try() {
    let advice = |status| RegistryError::Refused(Box::new(refusal(status, ""))).retry_advice();
    for status in [408, 425, 429, 499, 500, 502, 503, 504, 520, 522] {
        assert_eq!(advice(status), RetryAdvice::Backoff, "{status}");
    }
    for status in [400, 401, 403, 404, 405, 409, 412, 413, 415, 416, 501, 505] {
        assert_eq!(advice(status), RetryAdvice::Never, "{status}");
    }
    let mut late = refusal(503, "");
    late.retry_after = Some(Duration::from_secs(7));
    assert_eq!(
        late.retry_advice(),
        RetryAdvice::After(Duration::from_secs(7))
    );
}

#[test]
fn what_a_registry_says_of_its_quota_is_passed_on() {
    let body = r#"{"errors":[{"code":"DENIED","message":"adding 5 GiB of storage resource, which when updated to current usage of 10 GiB will exceed the configured upper limit"}]}"#;
    for status in [403, 412] {
        let shown = refusal(status, body).to_string();
        assert!(
            shown.contains("exceed the configured upper limit"),
            "{shown}"
        );
    }
    assert_eq!(kind(412, body), ErrorKind::Refused);
}
