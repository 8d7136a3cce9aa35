use super::*;

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "FOO" => "foo",
        "BAR" => "bar baz",
        "EMPTY" => "",
        "PATHS" => "/usr/local/lib",
        "FILE" => "archive.tar.gz",
        "STARS" => "a*b*c",
        "MARKS" => "a?b\\}/c",
        "DOLLAR" => "$1",
        "grün" => "green",
        "12" => "twelve",
        _ => return None,
    };
    Some(value.to_owned())
}

fn word(text: &str) -> String {
    Expander::new('\\', &lookup)
        .word(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn fault(text: &str) -> Fault {
    match Expander::new('\\', &lookup).word(text) {
        Err(error) => error.fault,
        Ok(expanded) => panic!("{text} became {expanded}"),
    }
}

fn words(text: &str) -> Vec<String> {
    Expander::new('\\', &lookup).words(text).unwrap()
}

#[test]
fn every_form_of_substitution_gives_its_value() {
    for (text, expected) in [
        ("$FOO", "foo"),
        ("${FOO}", "foo"),
        ("a${FOO}b", "afoob"),
        ("$FOO-$BAR", "foo-bar baz"),
        ("$NONE", ""),
        ("${NONE}", ""),
        ("${FOO:-x}", "foo"),
        ("${EMPTY:-x}", "x"),
        ("${NONE:-x}", "x"),
        ("${FOO-x}", "foo"),
        ("${EMPTY-x}", ""),
        ("${NONE-x}", "x"),
        ("${FOO:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${NONE:+x}", ""),
        ("${FOO+x}", "x"),
        ("${EMPTY+x}", "x"),
        ("${NONE+x}", ""),
        ("${FOO:?m}", "foo"),
        ("${FOO?m}", "foo"),
        ("${EMPTY?m}", ""),
        ("${NONE:-${FOO}}", "foo"),
        ("${NONE:-${NONE:-deep}}", "deep"),
        ("${NONE:-a b}", "a b"),
        ("${NONE:-\"a}b\"}", "a}b"),
        ("${NONE:-a\\}b}", "a}b"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
}

#[test]
fn patterns_cut_from_the_front_and_the_end() {
    for (text, expected) in [
        ("${PATHS#*/}", "usr/local/lib"),
        ("${PATHS##*/}", "lib"),
        ("${PATHS%/*}", "/usr/local"),
        ("${PATHS%%/*}", ""),
        ("${FILE%.*}", "archive.tar"),
        ("${FILE%%.*}", "archive"),
        ("${FILE#archive}", ".tar.gz"),
        ("${FILE#x}", "archive.tar.gz"),
        ("${FILE%?z}", "archive.tar."),
        ("${FILE#[a]}", "archive.tar.gz"),
        ("${STARS#a\\*}", "b*c"),
        ("${STARS%\\**}", "a*b"),
        ("${NONE#x}", ""),
        ("${PATHS#/${NONE:-usr}}", "/local/lib"),
        ("${FILE%%a*}", ""),
        ("${FILE%a*}", "archive.t"),
        ("${NONE:-/a/b}", "/a/b"),
        ("${MARKS#a\\?}", "b\\}/c"),
        ("${MARKS%\\\\\\}/c}", "a?b"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
}

#[test]
fn patterns_replace_the_first_match_or_all() {
    for (text, expected) in [
        ("${PATHS/\\//-}", "-usr/local/lib"),
        ("${PATHS//\\//-}", "-usr-local-lib"),
        ("${FOO/o/0}", "f0o"),
        ("${FOO//o/0}", "f00"),
        ("${FOO/o/}", "fo"),
        ("${FOO//o/}", "f"),
        ("${FOO//*/x}", "x"),
        ("${FOO//?/x}", "xxx"),
        ("${FOO//x/y}", "foo"),
        ("${FOO/o/$BAR}", "fbar bazo"),
        ("${NONE/o/x}", ""),
        ("${NONE//o/x}", ""),
        ("${MARKS/\\?/!}", "a!b\\}/c"),
        ("${MARKS/\\}/!}", "a?b\\!/c"),
        ("${FILE/[a-z]/x}", "archive.tar.gz"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
}

#[test]
fn a_dollar_in_the_replacement_is_read_only_where_all_matches_are_replaced() {
    assert_eq!(word("${FOO/o/$DOLLAR}"), "f$1o");
    assert_eq!(word("${FOO//o/$DOLLAR}"), "f");
    assert_eq!(
        pattern::Pattern::anywhere("o")
            .unwrap()
            .replace_all("foo", "<$0>")
            .unwrap(),
        "f<o><o>"
    );
    assert_eq!(
        pattern::Pattern::anywhere("o")
            .unwrap()
            .replace_all("fo", "$$-${0}-$-${")
            .unwrap(),
        "f$-o-$-${"
    );
}

#[test]
fn names_end_where_bash_ends_them() {
    for (text, expected) in [
        ("$FOO.x", "foo.x"),
        ("$FOO_", ""),
        ("$12x", "twelvex"),
        ("${12}", "twelve"),
        ("$grün", "green"),
        ("$@x", "x"),
        ("$$", ""),
        ("$-", ""),
        ("$*x", "x"),
        ("$#x", "x"),
        ("$?x", "x"),
        ("$!x", "x"),
        ("$0x", "x"),
        ("$01x", "x"),
        ("${@}${*}x", "x"),
        ("$_x y", " y"),
        ("$%", "$%"),
        ("$", "$"),
        ("$ x", "$ x"),
        ("$(x)", "$(x)"),
        ("a$", "a$"),
        ("$'x'", "$x"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
}

#[test]
fn quotes_and_escapes_follow_the_shell() {
    for (text, expected) in [
        ("'$FOO'", "$FOO"),
        ("\"$FOO\"", "foo"),
        ("'a\\'b", "a\\b"),
        ("\\$FOO", "$FOO"),
        ("\"\\$FOO\"", "$FOO"),
        ("\"a\\b\"", "a\\b"),
        ("\"a\\\"b\"", "a\"b"),
        ("\"a\\\\b\"", "a\\b"),
        ("a\\b", "ab"),
        ("a\\\\b", "a\\b"),
        ("a\\", "a"),
        ("\"it's\"", "it's"),
        ("'a'\"b\"c", "abc"),
        ("''", ""),
        ("a  b", "a  b"),
        ("\\'", "'"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
}

#[test]
fn the_backtick_can_be_the_escape_character() {
    let mut expander = Expander::new('`', &lookup);
    assert_eq!(expander.word("C:\\dir\\`$FOO").unwrap(), "C:\\dir\\$FOO");
    assert_eq!(expander.word("\"`\"\"").unwrap(), "\"");
}

#[test]
fn malformed_substitutions_say_what_is_wrong() {
    let modifier = |text: &str| Fault::UnsupportedModifier(text.to_owned());
    for (text, expected) in [
        ("${}", Fault::BadSubstitution),
        ("${:x}", Fault::BadSubstitution),
        ("${{x}", Fault::BadSubstitution),
        ("${", Fault::MissingBrace),
        ("${FOO", Fault::MissingBrace),
        ("${FOO:", Fault::MissingBrace),
        ("${FOO:-x", Fault::MissingBrace),
        ("${FOO/x/y", Fault::MissingBrace),
        ("${FOO/x}", Fault::MissingSlash),
        ("${FOO:#x}", modifier(":#")),
        ("${FOO:%x}", modifier(":%")),
        ("${FOO:x}", modifier(":x")),
        ("${FOO=x}", modifier("=")),
        ("${FOO^}", modifier("^")),
        ("'a", Fault::UnclosedQuote("single")),
        ("\"a", Fault::UnclosedQuote("double")),
        ("\"a\\\"", Fault::UnclosedQuote("double")),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn a_needless_escape_in_a_pattern_is_an_error() {
    assert!(matches!(fault("${FOO#\\o}"), Fault::InvalidPattern { .. }));
    assert!(matches!(
        fault("${FOO/\\o/x}"),
        Fault::InvalidPattern { .. }
    ));
}

#[test]
fn a_required_variable_fails_with_its_message() {
    let required = |message: &str, name: &str| Fault::Required {
        name: name.to_owned(),
        message: message.to_owned(),
    };
    assert_eq!(fault("${NONE:?say $FOO}"), required("say foo", "NONE"));
    assert_eq!(
        fault("${NONE?}"),
        required("is not allowed to be unset", "NONE")
    );
    assert_eq!(
        fault("${EMPTY:?}"),
        required("is not allowed to be empty", "EMPTY")
    );
    assert_eq!(
        Expander::new('\\', &lookup)
            .word("${NONE?x}")
            .unwrap_err()
            .to_string(),
        "failed to process `${NONE?x}`: NONE: x"
    );
}

#[test]
fn words_are_split_after_expansion_but_not_in_quotes() {
    assert_eq!(words("$BAR"), ["bar", "baz"]);
    assert_eq!(words("\"$BAR\""), ["bar baz"]);
    assert_eq!(words("x$BAR'y z'"), ["xbar", "bazy z"]);
    assert_eq!(words("a\\ b  c"), ["a b", "c"]);
    assert_eq!(words("$EMPTY"), Vec::<String>::new());
    assert_eq!(words("''"), Vec::<String>::new());
}

#[test]
fn a_body_keeps_its_quotes_and_escapes_with_backslash_only() {
    let mut expander = Expander::new('`', &lookup);
    let body = expander
        .body("it's \"$FOO\" `x` \\$FOO ${NONE:-'d'}\n")
        .unwrap();
    assert_eq!(body, "it's \"foo\" `x` $FOO 'd'\n");
}

#[test]
fn used_and_unset_names_are_remembered() {
    let mut expander = Expander::new('\\', &lookup);
    expander.word("$FOO ${NONE:-$BAR} '$FILE'").unwrap();
    expander.word("${EMPTY:-x} ${LONE} ${CUT%x}").unwrap();
    expander.word("${WITH-x} ${PLUS:+x}${PLUS+x}").unwrap();
    let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    assert_eq!(names(expander.used()), ["BAR", "EMPTY", "FOO"]);
    assert_eq!(names(expander.unset()), ["CUT", "LONE"]);
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let nested = |depth: usize| format!("{}x{}", "${a:-".repeat(depth), "}".repeat(depth));
    assert_eq!(word(&nested(MAX_DEPTH - 1)), "x");
    assert_eq!(fault(&nested(MAX_DEPTH)), Fault::TooDeep);
    assert_eq!(fault(&nested(1_000_000)), Fault::TooDeep);
    let quoted = format!("{}{}", "\"${a:-".repeat(1_000_000), "}\"".repeat(1_000_000));
    assert_eq!(fault(&quoted), Fault::TooDeep);
}

#[test]
fn a_word_that_grows_beyond_all_bounds_is_an_error() {
    let huge = |_: &str| Some("x".repeat(1024 * 1024));
    let mut expander = Expander::new('\\', &huge);
    assert_eq!(
        expander.word(&"$a".repeat(17)).unwrap_err().fault,
        Fault::TooLong
    );
    let quoted = format!("\"{}\"", "$a".repeat(17));
    assert_eq!(expander.word(&quoted).unwrap_err().fault, Fault::TooLong);
    let replaced = format!("${{a//x/{}}}", "y".repeat(100));
    assert_eq!(expander.word(&replaced).unwrap_err().fault, Fault::TooLong);
}

#[test]
fn raw_splitting_keeps_everything_and_joins_blanks_behind_a_heredoc_sign() {
    assert_eq!(
        split_raw("RUN <<  EOF 'a b' $x ${y:-z} \\\" c").unwrap(),
        ["RUN", "<<  EOF", "'a b'", "$x", "${y:-z}", "\\\"", "c"]
    );
    assert_eq!(split_raw("a<b <<<c").unwrap(), ["a<b", "<<<c"]);
}
