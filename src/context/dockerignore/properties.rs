//! What holds for every list of patterns and every path.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Ignore;
use crate::fs::glob::Glob;

fn pieces(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let piece = (0..of.len()).prop_map(|index| of[index]);
    prop::collection::vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

fn list() -> impl Strategy<Value = String> {
    pieces(
        &[
            "a", "b", "/", "*", "**", "?", "!", "\n", "\r\n", "#", " ", ".", "..", "[a", "]", "^",
            "-", "\\", "é",
        ],
        24,
    )
}

fn path() -> impl Strategy<Value = String> {
    pieces(&["a", "b", "/", ".", "é", "ab", "/a", "/b"], 8)
}

/// Matches as a reader of the rule would: by trying everything.
fn matches(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => {
            let most = name
                .iter()
                .position(|&found| found == '/')
                .unwrap_or(name.len());
            (0..=most).any(|taken| matches(rest, &name[taken..]))
        }
        Some((&wanted, rest)) => name.split_first().is_some_and(|(&found, behind)| {
            (wanted == found || (wanted == '?' && found != '/')) && matches(rest, behind)
        }),
    }
}

proptest! {
    #[test]
    fn no_list_and_no_path_panics(list in list(), path in path()) {
        if let Ok(ignore) = Ignore::parse(&list) {
            let _ = (ignore.is_ignored(&path), ignore.deciding_line(&path), ignore.may_skip_dir(&path));
        }
        let lines: Vec<&str> = list.lines().collect();
        let _ = Ignore::from_patterns(&lines);
    }

    #[test]
    fn the_deciding_line_is_one_of_the_list(list in list(), path in path()) {
        if let Ok(ignore) = Ignore::parse(&list) {
            let line = ignore.deciding_line(&path);
            prop_assert!(line.is_none_or(|line| (1..=list.lines().count()).contains(&line)));
            prop_assert!(line.is_some() || !ignore.is_ignored(&path));
        }
    }

    #[test]
    fn nothing_below_a_skipped_directory_is_kept(list in list(), directory in path(), below in path()) {
        if let Ok(ignore) = Ignore::parse(&list) {
            let below = format!("{directory}/{below}");
            prop_assert!(!ignore.may_skip_dir(&directory) || ignore.is_ignored(&below));
        }
    }

    #[test]
    fn wildcards_match_what_trying_everything_finds(
        pattern in "[ab/*?]{0,6}", name in "[abc/]{0,7}",
    ) {
        let (of, on): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
        prop_assert_eq!(Glob::new(&pattern).unwrap().matches(&name), matches(&of, &on));
    }
}

#[test]
fn patterns_of_many_stars_cost_no_exponential_time() {
    let start = Instant::now();
    let name = "a".repeat(200);
    let path = vec![name.as_str(); 20].join("/");
    for pattern in [
        "*a".repeat(100),
        "**/".repeat(100),
        "**a/*".repeat(50),
        "?*".repeat(100),
    ] {
        let ignore = Ignore::parse(&format!("{pattern}b\n!{pattern}c\n")).unwrap();
        assert!(!ignore.is_ignored(&path), "{pattern}");
        let _ = ignore.may_skip_dir(&path);
    }
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}
