//! What holds for any file. What single rules say is in `testdata/dockerfile/lint`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::dockerfile::parse;

fn lint_alone(text: &str) -> Option<Linted> {
    let file = parse(text).ok()?;
    let config = CheckConfig::parse("experimental=all").unwrap();
    let facts = Facts {
        build_args: &BTreeMap::new(),
        automatic_args: vec![("TARGETPLATFORM".to_owned(), "linux/amd64".to_owned())],
        stages: None,
        bases: BTreeMap::new(),
        is_reference: &|text| !text.is_empty(),
        is_ignored: &|path| path == "secret",
    };
    Some(lint(text, &file, &config, &facts))
}

/// Lines that rules are about, with words that fit in them.
fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("$A"),
        Just("${B:-x}"),
        Just("${A%b}"),
        Just("$TARGETPLATFORM"),
        Just("base"),
        Just("scratch"),
        Just("secret"),
        Just("/x"),
        Just("80/TCP"),
        Just("TOKEN=1"),
        Just("a b"),
        Just("'$A"),
        Just("${"),
        Just("é"),
    ];
    let start = prop_oneof![
        Just("FROM "),
        Just("from "),
        Just("FROM --platform="),
        Just("FROM scratch AS "),
        Just("ARG "),
        Just("ENV "),
        Just("COPY a "),
        Just("COPY --from=0 a "),
        Just("CMD "),
        Just("EXPOSE "),
        Just("WORKDIR "),
        Just("ONBUILD ARG "),
        Just("ONBUILD COPY "),
        Just("RUN --mount=type=cache,target=/"),
        Just("# check=skip="),
        Just("# "),
        Just("COPY a \\\n\n"),
        Just("HEALTHCHECK CMD "),
        Just("MAINTAINER "),
        Just("SHELL "),
        Just("COPY <<E /\n$A\nE\n# "),
    ];
    (start, word).prop_map(|(start, word)| format!("{start}{word}"))
}

proptest! {
    #[test]
    fn any_file_is_linted_in_its_order_and_within_its_lines(lines in proptest::collection::vec(line(), 0..20)) {
        let text = format!("FROM base AS base\n{}\n", lines.join("\n"));
        let Some(linted) = lint_alone(&text) else {
            return Ok(());
        };
        let last = text.lines().count();
        for warning in &linted.warnings {
            prop_assert!(!warning.spans.is_empty());
            prop_assert!(warning.spans.iter().all(|span| span.start >= 1 && span.end <= last));
        }
        prop_assert!(linted.warnings.is_sorted_by(|one, next| one < next));
        prop_assert_eq!(lint_alone(&text), Some(linted));
    }
}

#[test]
fn many_stages_and_many_wrong_names_take_little_time() {
    let stage =
        |index| format!("FROM scratch AS s{index}\nENV V{index}=$W{index}\nCOPY --from=s a /\n");
    let stages = (0..5_000).map(stage);
    let first = "FROM scratch AS s\n".to_owned();
    let text: String = std::iter::once(first).chain(stages).collect();
    let start = Instant::now();
    let linted = lint_alone(&text).unwrap();
    assert_eq!(linted.warnings.len(), 5_000);
    let one_stage: String = (0..20_000)
        .map(|index| format!("ENV V{index}=$W{index}\n"))
        .collect();
    let linted = lint_alone(&format!("FROM scratch\n{one_stage}")).unwrap();
    assert_eq!(linted.warnings.len(), 20_000);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}
