//! What is said, and in which form.

use crate::support::cache_dir::{CacheDir, text_of};
use crate::support::{Context, Executor, Registry, Who};
use serde_json::Value;

/// Builds an image of nothing with the flags, and returns what was said.
fn said(flags: &[&str]) -> String {
    let context = Context::new("FROM scratch\nLABEL a=$undefined\n");
    let executor = Executor::new(Who::User).context(&context);
    let build = executor.arg("--no-push").args(flags).run();
    build.assert_success();
    build.stderr().to_owned()
}

/// Which of an information and a warning of that build are in a log.
fn shown(text: &str) -> (bool, bool) {
    (
        text.contains("built sha256:"),
        text.contains("UndefinedVar"),
    )
}

#[test]
fn less_is_said_at_each_level() {
    for (level, expected) in [
        ("trace", (true, true)),
        ("debug", (true, true)),
        ("info", (true, true)),
        ("INFO", (true, true)),
        ("warn", (false, true)),
        ("warning", (false, true)),
        ("error", (false, false)),
        ("fatal", (false, false)),
        ("panic", (false, false)),
    ] {
        let text = said(&["--verbosity", level]);
        assert_eq!(shown(&text), expected, "{level}\n{text}");
    }
    // What stops a build is always said.
    let build = Executor::new(Who::User)
        .args(["-v=panic", "--no-push", "-c=/nowhere"])
        .run();
    build.assert_error(1, &["/nowhere"]);
}

fn is_seconds(word: &str) -> bool {
    word.split_once('.').is_some_and(|(whole, rest)| {
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number(whole) && is_number(rest)
    })
}

#[test]
fn a_log_has_the_form_that_is_asked_for() {
    // Nobody looks: no colours.
    for format in ["text", "color"] {
        let text = said(&["--log-format", format]);
        assert!(
            !text.contains('\u{1b}') && !text.contains("\"msg\""),
            "{text}"
        );
        assert_eq!(shown(&text), (true, true));
    }
    let text = said(&["--log-format=json", "--log-timestamp=false"]);
    for line in text.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line["level"].is_string() && line["msg"].is_string(),
            "{line}"
        );
        assert!(line["time"].is_null(), "{line}");
    }
    assert_eq!(shown(&text), (true, true));
    let text = said(&["--log-timestamp", "--log-format=text"]);
    for line in text.lines().filter(|line| line.contains("built sha256:")) {
        let first = line.split_whitespace().next().unwrap_or_default();
        assert!(is_seconds(first), "{line}");
    }
    let build = Executor::new(Who::User).arg("--log-format=yaml").run();
    build.assert_error(1, &["'yaml'"]);
}

#[test]
fn the_warmers_log_has_the_same_forms() {
    let cache = CacheDir::new(Who::Root);
    // It has no image at all.
    let registry = Registry::start();
    let image = registry.reference("nothing:1");
    let said = |flags: &[&str]| {
        let flags = [flags, &["--image", &image]].concat();
        text_of(&cache.warmer(&flags))
    };
    let usual = said(&[]);
    let json = said(&["--log-format=json", "--log-timestamp"]);
    for line in json.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line["level"].is_string() && line["msg"].is_string(),
            "{line}"
        );
    }
    assert!(usual.contains(&image) && json.contains(&image));
    let text = said(&["--log-timestamp"]);
    let first = text
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().next());
    assert!(is_seconds(first.unwrap_or_default()), "{text}");
    let quiet = said(&["--verbosity=panic"]);
    let debug = said(&["-v", "debug"]);
    assert!(
        quiet.len() <= usual.len() && usual.len() <= debug.len(),
        "{quiet}\n{usual}\n{debug}"
    );
}
