use super::*;

fn ignore(text: &str) -> Ignore {
    Ignore::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Checks which of the paths are ignored.
fn check(text: &str, ignored: &[&str], kept: &[&str]) {
    let list = ignore(text);
    for path in ignored {
        assert!(list.is_ignored(path), "{text:?} ignores {path}");
    }
    for path in kept {
        assert!(!list.is_ignored(path), "{text:?} keeps {path}");
    }
}

#[test]
fn a_pattern_means_the_path_from_the_root() {
    check("a", &["a", "a/b", "a/b/c"], &["b/a", "aa"]);
    check("a/b", &["a/b", "a/b/c"], &["a", "b", "x/a/b"]);
    check("/a", &["a"], &["b/a"]);
    check("a/", &["a", "a/b"], &[]);
    check("./a//b/../c", &["a/c"], &["a/b"]);
    check("../a", &[], &["a"]);
}

#[test]
fn stars_and_question_marks_stay_in_one_component() {
    check("*", &["a", "a/b"], &[]);
    check("*.go", &["x.go", "x.go/y"], &["a/x.go", "x.goo", "xgo"]);
    check("a/*.go", &["a/x.go"], &["x.go", "a/b/x.go"]);
    check("?.md", &["a.md"], &["ab.md", "/.md"]);
    check("*/*", &["a/b", "a/b/c"], &["a"]);
    check("temp?", &["tempa", "temps"], &["temp"]);
}

#[test]
fn double_stars_match_at_any_depth() {
    check("**", &["a", "a/b"], &[]);
    check("**/", &["a", "a/b"], &[]);
    check("**/x", &["x", "a/x", "a/b/x", "x/y"], &["ax", "a/xb"]);
    check("**/*.go", &["x.go", "a/x.go", "a/b/x.go"], &["x.goo"]);
    check("a/**", &["a/b", "a/b/c"], &["a", "ab"]);
    check("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb"]);
    check("**/a/**", &["a/b", "x/a/b", "x/y/a/b/c"], &["a", "x/a"]);
    check("a**/b", &["a/b", "ax/y/b", "ab"], &["b"]);
}

#[test]
fn each_of_the_four_ways_has_its_corner_cases() {
    // A pure suffix test need not begin at a component.
    check("**x", &["x", "ax", "a/bx"], &["xa"]);
    // A pure prefix test need not end at one.
    check("foo**", &["foo", "foobar", "foo/bar"], &["fo", "a/foo"]);
    // With another wildcard both become expressions.
    check("**x*", &["x", "xa", "a/xb"], &["ax"]);
    check("a.b", &["a.b"], &["axb"]);
}

#[test]
fn classes_and_escapes_work() {
    check("[ab]c", &["ac", "bc"], &["cc", "[ab]c"]);
    check("[^ab]c", &["cc"], &["ac"]);
    check("[a-c]", &["b"], &["d"]);
    check("\\*", &["*"], &["a"]);
    check("\\!a", &["!a"], &["a"]);
    check("\\#a", &["#a"], &["a"]);
    check("[[.&~]x", &["[x", ".x", "&x", "~x"], &["ax"]);
    check("[z-a]", &[], &["z", "a", "m"]);
    check("a+(b)|{c}^$", &["a+(b)|{c}^$"], &["a"]);
    check("a+(b)|{c}^$*", &["a+(b)|{c}^$x"], &["a"]);
}

#[test]
fn the_last_match_wins_and_reaches_into_ignored_directories() {
    check("*\n!a", &["b"], &["a", "a/b"]);
    check("a\n!a/b", &["a", "a/c"], &["a/b", "a/b/c"]);
    check("!a\na", &["a"], &[]);
    check(
        "*.md\n!README*.md\nREADME-secret.md",
        &["x.md", "README-secret.md"],
        &["README.md"],
    );
    check("a/b\n!a", &[], &["a/b", "a"]);
    check("**\n!**/*.txt\n", &["a", "a/b.go"], &["a/b.txt", "x.txt"]);
}

#[test]
fn comments_blanks_and_marks_are_read_line_by_line() {
    check(
        "\u{feff}# a\n\n  b  \n #c\n! d\n",
        &["b", "#c"],
        &["a", "d", "# a"],
    );
    check("a\r\nb\r\n", &["a", "b"], &[]);
    check("*\n! /a\n", &["b"], &["a"]);
    check("*\n!/a/\n", &["b"], &["a"]);
}

#[test]
fn the_root_is_never_ignored() {
    check("*\n.\n/\n**", &["a"], &["", ".", "./", "/"]);
    check(".", &[], &["a", "."]);
}

#[test]
fn what_is_no_pattern_is_an_error_with_its_line() {
    assert_eq!(
        Ignore::parse("a\n\n!\n").unwrap_err(),
        IgnoreError::LoneExclamationMark { line: 3 }
    );
    assert_eq!(
        Ignore::parse("a\n!  \n").unwrap_err(),
        IgnoreError::LoneExclamationMark { line: 2 }
    );
    for bad in ["[", "a[", "[]", "[a-]", "a\\"] {
        assert_eq!(
            Ignore::parse(&format!("# x\n{bad}\n")).unwrap_err(),
            IgnoreError::BadPattern {
                line: 2,
                pattern: bad.to_owned()
            }
        );
    }
}

#[test]
fn the_deciding_line_is_the_last_that_changed_something() {
    let list = ignore("# comment\n*\nfoo\n!foo/bar\nfoo/bar/x\n");
    assert_eq!(list.deciding_line("other"), Some(2));
    assert_eq!(list.deciding_line("foo"), Some(2));
    assert_eq!(list.deciding_line("foo/bar/y"), Some(4));
    assert_eq!(list.deciding_line("foo/bar/x"), Some(5));
    assert_eq!(ignore("a\n").deciding_line("b"), None);
}

#[test]
fn a_list_of_patterns_is_read_without_a_file_s_courtesies() {
    let list = Ignore::from_patterns(&["*.txt", "!keep.txt", " ", "/abs"]).unwrap();
    assert!(list.is_ignored("a.txt"));
    assert!(!list.is_ignored("keep.txt"));
    assert!(!list.is_ignored("abs"));
    assert!(list.has_exceptions());
    assert!(Ignore::from_patterns::<&str>(&[]).unwrap().is_empty());
    assert_eq!(
        Ignore::from_patterns(&["a", "["]).unwrap_err(),
        IgnoreError::BadPattern {
            line: 2,
            pattern: "[".to_owned()
        }
    );
}

#[test]
fn a_directory_is_skipped_only_if_nothing_below_can_come_back() {
    for (text, directory, expected) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a\n!b", "a", true),
        ("*\n!a/b", "a", false),
        ("*\n!a/b", "c", true),
        ("*\n!a/*/c", "a", false),
        ("*\n!a/*/c", "a/x", false),
        ("*\n!a/*/c", "a/x/y", true),
        ("*\n!**/x", "a", false),
        ("*\n!a/**/x", "a/b", false),
        ("*\n!a/**/x", "b", true),
        ("*\n!a[/]b", "a", false),
        ("*\n!a\\/b", "a", false),
        // The exception matches the directory itself, and the last line ends that again.
        ("*\n!a\na", "a", true),
    ] {
        assert_eq!(
            ignore(text).may_skip_dir(directory),
            expected,
            "{text:?} {directory}"
        );
    }
}

#[test]
fn a_name_that_is_no_text_is_matched_by_wildcards() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let path = Path::new(OsStr::from_bytes(b"a\xff"));
    assert!(ignore("*").is_ignored(path));
    assert!(ignore("a?").is_ignored(path));
    assert!(!ignore("b*").is_ignored(path));
}
