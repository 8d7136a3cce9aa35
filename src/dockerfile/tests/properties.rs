//! What holds for every text: nothing panics, and what is the same to a reader is read
//! as the same.

use proptest::prelude::*;

use super::grammar::{near_dockerfile, near_word, plain_lines, shaped_dockerfile};
use super::*;

/// Puts a text through everything that reads texts.
fn read_everything(text: &str) {
    if let Ok(file) = parse(text) {
        let lookup = |name: &str| name.starts_with('a').then(|| "*x".to_owned());
        for statement in file.stages.iter().flat_map(|stage| &stage.statements) {
            let mut expander = Expander::new(file.directives.escape, &lookup);
            let _ = statement.instruction.expand(&mut expander);
            if let Instruction::Onbuild(onbuild) = &statement.instruction {
                let _ = parse_trigger(&onbuild.trigger);
            }
            if let Instruction::Run(run) = &statement.instruction {
                let _ = run.invocation();
                run.mounts
                    .iter()
                    .for_each(|mount| drop(mount.resolve(&mut expander)));
            }
        }
        let _ = (file.check_mounts(), file.circle());
    }
    expand_everywhere(text);
    let _ = (parse_size(text), parse_duration(text), csv_fields(text));
}

fn expand_everywhere(text: &str) {
    for escape in ['\\', '`'] {
        let lookup = |name: &str| (name != "b").then(|| "a/b.c é".to_owned());
        let mut expander = Expander::new(escape, &lookup);
        let _ = (
            expander.word(text),
            expander.words(text),
            expander.body(text),
        );
    }
}

/// What an instruction is, apart from its lines.
fn shown(ast: &Ast) -> Vec<(String, Vec<String>, Vec<String>, bool)> {
    let nodes = ast.nodes.iter();
    nodes
        .map(|node| {
            let inner = node.trigger.as_deref().unwrap_or(node);
            let args = inner.args.clone();
            (node.keyword.clone(), inner.flags.clone(), args, inner.json)
        })
        .collect()
}

fn ast(text: &str) -> Ast {
    Ast::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Matches as a reader of the rule would: by trying everything.
fn matches(pattern: &[char], value: &[char]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some(('*', rest)) => (0..=value.len()).any(|taken| matches(rest, &value[taken..])),
        Some((&wanted, rest)) => value.split_first().is_some_and(|(&found, behind)| {
            (wanted == '?' || wanted == found) && matches(rest, behind)
        }),
    }
}

fn cut(operator: &str, pattern: &str, value: &str) -> String {
    let pattern: Vec<char> = pattern.chars().collect();
    let value: Vec<char> = value.chars().collect();
    let mut ends: Vec<usize> = (0..=value.len()).collect();
    let from_front = operator.starts_with('#');
    if from_front != (operator.len() == 1) {
        ends.reverse();
    }
    let found = ends.into_iter().find(|&end| {
        let part = if from_front {
            &value[..end]
        } else {
            &value[end..]
        };
        matches(&pattern, part)
    });
    let rest = match found {
        None => &value[..],
        Some(end) if from_front => &value[end..],
        Some(end) => &value[..end],
    };
    rest.iter().collect()
}

proptest! {
    #[test]
    fn text_near_a_dockerfile_never_panics(text in near_dockerfile()) {
        read_everything(&text);
    }

    #[test]
    fn text_in_the_shape_of_a_dockerfile_never_panics(text in shaped_dockerfile()) {
        read_everything(&text);
    }

    #[test]
    fn words_never_panic(text in near_word()) {
        expand_everywhere(&text);
        let _ = parse(&format!("FROM a\nCOPY {text} b\nENV {text}\nRUN --mount={text} c"));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        read_everything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn spans_are_in_order_and_inside_the_file(
        text in prop_oneof![near_dockerfile(), shaped_dockerfile()],
    ) {
        let lines = text.lines().count();
        if let Ok(ast) = Ast::parse(&text) {
            let mut last = 0;
            for node in &ast.nodes {
                prop_assert!(last < node.span.start && node.span.start <= node.span.end);
                last = node.span.end;
            }
            prop_assert!(last <= lines);
        }
    }

    #[test]
    fn an_error_is_on_a_line_of_the_file(
        text in prop_oneof![near_dockerfile(), shaped_dockerfile()],
    ) {
        if let Err(error) = parse(&text) {
            let lines = text.lines().count().max(1);
            prop_assert!(1 <= error.span.start && error.span.end <= lines, "{error} {:?}", error.span);
        }
    }

    #[test]
    fn the_kind_of_line_ends_makes_no_difference(lines in plain_lines()) {
        let unix = format!("FROM a\n{}\n", lines.join("\n"));
        let windows = unix.replace('\n', "\r\n");
        prop_assert_eq!(shown(&ast(&unix)), shown(&ast(&windows)));
    }

    #[test]
    fn comments_and_blank_lines_only_move_what_is_below(lines in plain_lines()) {
        let plain = format!("FROM a\n{}\n", lines.join("\n"));
        let spread = format!("FROM a\n{}\n", lines.join("\n \t\n  # RUN b \\\n"));
        let (plain, spread) = (ast(&plain), ast(&spread));
        prop_assert_eq!(shown(&plain), shown(&spread));
        for (index, node) in spread.nodes.iter().enumerate().skip(1) {
            prop_assert_eq!(node.span, Span::line(3 * index - 1));
        }
    }

    #[test]
    fn an_instruction_may_be_continued_at_every_blank(lines in plain_lines()) {
        let plain = format!("FROM a\n{}\n", lines.join("\n"));
        let spread = format!("FROM a\n{}\n", lines.join("\n").replace(' ', "\\\n # c\n\n "));
        prop_assert_eq!(shown(&ast(&plain)), shown(&ast(&spread)));
    }

    #[test]
    fn strings_in_json_arrive_as_they_are(words in prop::collection::vec(any::<String>(), 0..5)) {
        let text = format!("FROM a\nCMD {}\n", serde_json::to_string(&words).unwrap());
        let node = ast(&text).nodes.remove(1);
        prop_assert!(node.json);
        prop_assert_eq!(node.args, words);
    }

    #[test]
    fn values_in_quotes_arrive_as_they_are(value in "[^\u{0}\n\r]{0,20}") {
        let escaped: String = value.chars().flat_map(|character| {
            let special = matches!(character, '\\' | '"' | '$');
            special.then_some('\\').into_iter().chain([character])
        }).collect();
        let file = parse(&format!("FROM a\nENV b=\"{escaped}\" c=d\n")).unwrap();
        let mut expander = Expander::new('\\', &|_| None);
        let expanded = file.stages[0].statements[0].instruction.expand(&mut expander).unwrap();
        let Instruction::Env(list) = expanded else { panic!("no ENV") };
        prop_assert_eq!(&list.pairs[0], &("b".to_owned(), value));
        prop_assert_eq!(&list.pairs[1], &("c".to_owned(), "d".to_owned()));
    }

    #[test]
    fn fields_of_a_record_arrive_as_they_are(
        fields in prop::collection::vec("[a-c\",= é]{0,6}", 1..5),
    ) {
        let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let record: Vec<String> = fields.iter().map(quoted).collect();
        prop_assert_eq!(csv_fields(&record.join(",")).unwrap(), fields);
    }

    #[test]
    fn here_documents_keep_every_line(lines in prop::collection::vec("[^\n\r]{0,12}", 0..6)) {
        let body: String = lines.iter().filter(|line| *line != "EOF").map(|line| format!("{line}\n")).collect();
        let node = ast(&format!("FROM a\nCOPY <<EOF /b\n{body}EOF\nRUN c\n")).nodes.remove(1);
        prop_assert_eq!(&node.heredocs[0].content, &body);
        prop_assert_eq!(node.span.end, 3 + body.matches('\n').count());
    }

    #[test]
    fn patterns_cut_what_trying_everything_finds(
        pattern in "[ab*?]{0,5}", value in "[abc]{0,7}", operator in "#|##|%|%%",
    ) {
        // A pattern that begins with the operator's sign would be another operator; these do not.
        let lookup = |_: &str| Some(value.clone());
        let mut expander = Expander::new('\\', &lookup);
        let word = format!("${{v{operator}{pattern}}}");
        prop_assert_eq!(expander.word(&word).unwrap(), cut(&operator, &pattern, &value));
    }
}
