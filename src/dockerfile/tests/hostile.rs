//! Texts made to cost more than their length: each is read in a time that grows with it.

use std::time::{Duration, Instant};

use super::*;

/// Far more than any of these takes on a busy machine, and far less than a square of its size.
const PATIENCE: Duration = Duration::from_secs(20);

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(
        start.elapsed() < PATIENCE,
        "{what} took {:?}",
        start.elapsed()
    );
    result
}

#[test]
fn many_lines_of_one_kind_are_read_in_linear_time() {
    const TIMES: usize = 100_000;
    for (what, text, nodes) in [
        ("comments", format!("{}FROM a\n", "# b\n".repeat(TIMES)), 1),
        ("blank lines", format!("FROM a\n{}", "\n".repeat(TIMES)), 1),
        (
            "instructions",
            format!("FROM a\n{}", "ENV b=c\n".repeat(TIMES)),
            1 + TIMES,
        ),
        ("stages", "FROM a AS b\n".repeat(TIMES), TIMES),
        (
            "continuations",
            format!("FROM a\nRUN b{}\n", "\\\n\n# c\n d".repeat(TIMES)),
            2,
        ),
        (
            "triggers",
            format!("FROM a\n{}", "ONBUILD RUN b\n".repeat(TIMES)),
            1 + TIMES,
        ),
        (
            "here documents",
            format!("FROM a\n{}", "RUN <<E\nb\nE\n".repeat(TIMES / 10)),
            1 + TIMES / 10,
        ),
        (
            "escapes",
            format!("FROM a\nRUN {}\n", "\\".repeat(60_000)),
            2,
        ),
        (
            "one long line",
            format!("FROM a\nRUN {}\n", "b".repeat(65_531)),
            2,
        ),
    ] {
        let ast = in_time(what, || Ast::parse(&text)).unwrap();
        assert_eq!(ast.nodes.len(), nodes, "{what}");
        in_time(what, || Dockerfile::of(ast)).unwrap();
    }
}

#[test]
fn many_here_documents_of_one_instruction_are_read_in_linear_time() {
    let names: String = (0..20_000)
        .map(|number| format!(" \\\n<<E{number}"))
        .collect();
    let bodies: String = (0..20_000)
        .map(|number| format!("a\nE{number}\n"))
        .collect();
    let text = format!("FROM a\nCOPY{names} /b/\n{bodies}");
    let file = in_time("here documents", || parse(&text)).unwrap();
    let Instruction::Copy(copy) = &file.stages[0].statements[0].instruction else {
        panic!("no COPY");
    };
    assert_eq!(copy.sources.files.len(), 20_000);
    let open = format!("FROM a\nRUN{names} b\n");
    assert!(in_time("documents without an end", || parse(&open)).is_err());
}

#[test]
fn many_fields_and_flags_are_read_in_linear_time() {
    let fields = ",target=/b".repeat(100_000);
    let text = format!(
        "FROM a\nRUN --mount=type=cache{} c\n",
        fields.replace(",", "\\\n,")
    );
    let file = in_time("fields", || parse(&text)).unwrap();
    in_time("fields", || file.check_mounts()).unwrap();
    let quotes = format!("\"{}\"", "\"\"".repeat(100_000));
    assert_eq!(
        in_time("quotes", || csv_fields(&quotes)).unwrap()[0].len(),
        100_000
    );
    let flags = format!("FROM a\nCOPY {}b c\n", "--exclude=d\\\n ".repeat(100_000));
    in_time("flags", || parse(&flags)).unwrap();
}

#[test]
fn nested_and_unclosed_substitutions_are_refused_in_linear_time() {
    let unset = |_: &str| None;
    let mut expander = Expander::new('\\', &unset);
    for piece in [
        "${a:-", "\"${a:-", "${a//", "${a#\"", "'", "\"", "${a:-$a", "<<", "${", "\\",
    ] {
        let text = piece.repeat(100_000);
        let _ = in_time(piece, || expander.word(&text));
        let _ = in_time(piece, || expander.body(&text));
        let file = format!("FROM a\nRUN <<{}\n", text.replace("${a", "${a\\\n"));
        let _ = in_time(piece, || parse(&file));
    }
    // As deep as it may be, and the text inside is copied at each level.
    let nested = format!(
        "{}{}{}",
        "${a:-".repeat(90),
        "b".repeat(100_000),
        "}".repeat(90)
    );
    assert_eq!(
        in_time("depth", || expander.word(&nested)).unwrap().len(),
        100_000
    );
}

#[test]
fn patterns_of_many_stars_are_matched_or_refused_in_time() {
    let value = |_: &str| Some("a".repeat(50_000));
    let mut expander = Expander::new('\\', &value);
    for stars in [10, 40, 3_000, 10_000] {
        let pattern = "*a".repeat(stars);
        for form in [
            format!("${{v#{pattern}b}}"),
            format!("${{v##{pattern}b}}"),
            format!("${{v%b{pattern}}}"),
            format!("${{v%%b{pattern}}}"),
            format!("${{v/{pattern}b/c}}"),
            format!("${{v//{pattern}b/c}}"),
        ] {
            let found = in_time(&form[..20], || expander.word(&form));
            match found {
                Ok(found) => assert_eq!((found.len(), stars < 100), (50_000, true)),
                Err(error) => assert!(matches!(error.fault, Fault::InvalidPattern { .. })),
            }
        }
    }
}
