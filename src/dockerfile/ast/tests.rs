use super::*;

fn nodes(text: &str) -> Vec<Node> {
    Ast::parse(text)
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
        .nodes
}

fn only(text: &str) -> Node {
    let mut nodes = nodes(text);
    assert_eq!(nodes.len(), 1, "{text:?}");
    nodes.remove(0)
}

fn failure(text: &str) -> (Span, String) {
    match Ast::parse(text) {
        Err(error) => (error.span, error.to_string()),
        Ok(ast) => panic!("{text:?} is {ast:?}"),
    }
}

#[test]
fn continued_lines_are_glued_with_their_leading_blanks() {
    let node = only("  RUN a \\\n  b\\\n c\n");
    assert_eq!(node.original, "RUN a   b c");
    assert_eq!(node.args, ["a   b c"]);
    assert_eq!(node.span, Span::new(1, 3));
}

#[test]
fn comments_and_blank_lines_between_continued_lines_are_dropped() {
    let node = only("RUN a \\\n# one \\\n  # two\n\n \t\n b\n");
    assert_eq!(node.args, ["a  b"]);
    assert_eq!(node.empty_continuations, [4, 5]);
    assert_eq!(node.span, Span::new(1, 6));
}

#[test]
fn a_continuation_may_run_into_the_end_of_the_file() {
    assert_eq!(only("RUN a \\").args, ["a"]);
    assert_eq!(only("RUN a \\\n\n# x\n").span, Span::new(1, 3));
}

#[test]
fn a_doubled_escape_at_the_end_continues_nothing() {
    let found = nodes("RUN a \\\\\nRUN b\n");
    assert_eq!(found[0].args, ["a \\\\"]);
    assert_eq!(found.len(), 2);
}

#[test]
fn a_line_of_nothing_but_an_escape_starts_an_instruction() {
    let node = only("\\\n\n  RUN a\n");
    assert_eq!((node.keyword.as_str(), node.span), ("RUN", Span::new(1, 3)));
}

#[test]
fn the_backtick_continues_lines_where_a_directive_says_so() {
    let found = nodes("# escape=`\nRUN a `\n b\nRUN dir c:\\\n");
    assert_eq!(found[0].args, ["a  b"]);
    assert_eq!(found[1].args, ["dir c:\\"]);
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_are_dropped() {
    let found = nodes("\u{feff}# escape=`\r\nFROM a\r\nRUN b `\r\n c\r\n");
    assert_eq!(found[0].args, ["a"]);
    assert_eq!(found[1].args, ["b  c"]);
}

#[test]
fn comments_above_an_instruction_are_kept_up_to_a_bare_one() {
    let found = nodes("# syntax=x\n# one\n#\n# two\n\n#three\nFROM a\nRUN b\n");
    assert_eq!(found[0].comments, ["two", "three"]);
    assert_eq!(found[1].comments, Vec::<String>::new());
}

#[test]
fn a_number_sign_elsewhere_is_data() {
    assert_eq!(only("RUN a # b").args, ["a # b"]);
    assert_eq!(only("ARG a=b # c").args, ["a=b", "#", "c"]);
}

#[test]
fn each_instruction_splits_its_arguments_in_its_own_way() {
    for (line, args, json) in [
        ("FROM  a  AS\tb", vec!["a", "AS", "b"], false),
        ("EXPOSE \"80 81\" 82", vec!["\"80", "81\"", "82"], false),
        ("COPY \"a b\" c", vec!["\"a", "b\"", "c"], false),
        ("COPY [\"a b\", \"c\"]", vec!["a b", "c"], true),
        ("COPY [a, b]", vec!["[a,", "b]"], false),
        ("VOLUME [\"/a\"]", vec!["/a"], true),
        ("VOLUME /a /b", vec!["/a", "/b"], false),
        ("RUN [\"a\", \"b\"]", vec!["a", "b"], true),
        ("RUN [\"a\", \"b\"] c", vec!["[\"a\", \"b\"] c"], false),
        ("RUN ['a']", vec!["['a']"], false),
        ("CMD []", vec![], true),
        ("CMD", vec![], false),
        ("ENTRYPOINT a  b", vec!["a  b"], false),
        ("SHELL [\"a\"]", vec!["a"], true),
        ("HEALTHCHECK cmd a  b", vec!["cmd", "a  b"], false),
        ("HEALTHCHECK CMD [\"a\"]", vec!["CMD", "a"], true),
        ("HEALTHCHECK NONE", vec!["NONE"], false),
        ("ENV a=b c=\"d e\"", vec!["a", "b", "c", "\"d e\""], false),
        ("ENV a b c", vec!["a", "b c"], false),
        ("LABEL \"a b\"=c", vec!["\"a b\"", "c"], false),
        ("ARG a b=c d='e f'", vec!["a", "b=c", "d='e f'"], false),
        ("USER a b", vec!["a b"], false),
        ("WORKDIR /a b", vec!["/a b"], false),
        ("STOPSIGNAL x y", vec!["x y"], false),
        ("MAINTAINER a <b>", vec!["a <b>"], false),
        ("NOTHING a b", vec![], false),
    ] {
        let node = only(line);
        assert_eq!(
            (node.args, node.json),
            (args.into_iter().map(str::to_owned).collect(), json),
            "{line}"
        );
    }
}

#[test]
fn a_trigger_is_taken_apart_but_no_trigger_of_a_trigger() {
    let node = only("ONBUILD copy --link a b");
    let trigger = node.trigger.unwrap();
    assert_eq!(trigger.flags, ["--link"]);
    assert_eq!(trigger.args, ["a", "b"]);
    let endless = only(&"ONBUILD ".repeat(5_000));
    assert_eq!(endless.trigger.unwrap().trigger, None);
    assert_eq!(only("ONBUILD").trigger, None);
}

#[test]
fn here_documents_keep_their_lines_as_they_are() {
    let node = only("RUN cat <<A 3<<-B\n# no comment\n\n  x \\\nA\n\ty\r\n\tB\n");
    assert_eq!(node.heredocs[0].content, "# no comment\n\n  x \\\n");
    assert_eq!(node.heredocs[1].content, "\ty\r\n");
    assert_eq!((node.heredocs[1].fd, node.heredocs[1].chomp), (3, true));
    assert_eq!(node.span, Span::new(1, 7));
}

#[test]
fn here_documents_belong_to_run_copy_add_and_their_triggers_only() {
    assert_eq!(only("ONBUILD RUN <<E\nx\nE\n").heredocs[0].content, "x\n");
    assert_eq!(only("ADD <<E /x\ny\nE").heredocs[0].content, "y\n");
    for line in [
        "CMD <<E",
        "ENV a=<<E",
        "RUN [\"<<E\"]",
        "ONBUILD CMD <<E",
        "WORKDIR <<E",
    ] {
        assert_eq!(only(line).heredocs, [], "{line}");
    }
}

#[test]
fn a_here_document_may_close_without_a_line_feed() {
    assert_eq!(only("RUN <<E\nE").heredocs[0].content, "");
}

#[test]
fn what_is_no_list_of_instructions_is_refused_with_its_lines() {
    let line = Span::line;
    for (text, span, message) in [
        ("", line(1), "file with no instructions"),
        ("# a\n\n  # b\n", line(3), "file with no instructions"),
        ("# escape=`\n", line(1), "file with no instructions"),
        (
            "# escape=a\nFROM x",
            line(1),
            "invalid escape token 'a' does not match ` or \\",
        ),
        (
            "# syntax=a\n# Syntax=b\nFROM x",
            line(2),
            "only one syntax parser directive can be used",
        ),
        (
            "FROM x\nCMD [\"a\", 1]",
            line(2),
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        (
            "FROM x\nONBUILD CMD [1]",
            line(2),
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        (
            "FROM x\nENV a\\\n\n",
            Span::new(2, 3),
            "ENV must have two arguments",
        ),
        ("LABEL a", line(1), "LABEL must have two arguments"),
        (
            "ENV a=b c",
            line(1),
            "syntax error - can't find = in \"c\". must be of the form: name=value",
        ),
        (
            "FROM x\nRUN <<E\na\n E\n",
            Span::new(2, 4),
            "unterminated heredoc `E`",
        ),
        (
            "RUN <<A <<B\nA\n",
            Span::new(1, 2),
            "unterminated heredoc `B`",
        ),
    ] {
        assert_eq!(failure(text), (span, message.to_owned()), "{text:?}");
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_wherever_it_is() {
    let long = "x".repeat(65_536);
    for (text, line) in [
        (format!("FROM x\nRUN {long}\n"), 2),
        (format!("RUN a \\\n{long}\n"), 2),
        (format!("RUN <<E\n\n{long}\nE\n"), 3),
        (format!("# {long}\nFROM x\n"), 1),
    ] {
        let (span, message) = failure(&text);
        assert_eq!(span, Span::line(line));
        assert_eq!(
            message,
            "dockerfile line greater than max allowed size of 65535"
        );
    }
}

#[test]
fn an_instruction_of_megabytes_is_read() {
    let text = format!(
        "RUN a{}\n",
        " \\\n  bcdefghijklmnopqrstuvwxyz".repeat(200_000)
    );
    assert_eq!(only(&text).args[0].len(), 1 + 200_000 * 28);
    let words = format!("ENV a=b{}\n", " \\\n  cdef=\"gh $ij\"".repeat(200_000));
    assert_eq!(only(&words).args.len(), 2 + 400_000);
    let json = format!("COPY [\"a\"{}]\n", ", \\\n \"b\"".repeat(500_000));
    assert_eq!(only(&json).args.len(), 500_001);
    let flags = format!("RUN {}x\n", "--a=b \\\n".repeat(500_000));
    assert_eq!(only(&flags).flags.len(), 500_000);
}
