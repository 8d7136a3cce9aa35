//! The hidden `debug` commands: what our readers make of a Dockerfile, a word or an
//! ignore file. For contributors and tests. Nothing is printed here, and no file opened.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::context::dockerignore::{Ignore, IgnoreError};
use crate::dockerfile::{Ast, Dockerfile, ExpandError, Expander, Heredoc, Node, ParseError};

/// Returns the instructions of a Dockerfile, as the parser splits them:
/// `{"instructions":[{"name","flags","args","json","heredocs","start","end"}]}`.
///
/// Names are in upper case. The arguments of ONBUILD are its trigger's name and the
/// trigger's arguments; the flags and `json` are the trigger's as well, since ONBUILD has
/// no flags of its own. The content of a here document lacks its leading tabs if `chomp`
/// says so.
///
/// # Errors
/// Where a build of the file would be refused for its text alone, by the parser or by the
/// checks of single instructions. Mounts without variables are checked in every stage.
pub fn ast(file: &[u8]) -> Result<Value, ParseError> {
    let ast = Ast::parse(&String::from_utf8_lossy(file))?;
    let instructions: Vec<Value> = ast.nodes.iter().map(instruction).collect();
    Dockerfile::of(ast)?.check_mounts()?;
    Ok(json!({ "instructions": instructions }))
}

fn instruction(node: &Node) -> Value {
    let inner = node.trigger.as_deref().unwrap_or(node);
    let trigger = node.trigger.as_deref();
    let trigger = trigger.map(|trigger| trigger.keyword.to_uppercase());
    let args: Vec<&str> = trigger
        .iter()
        .chain(&inner.args)
        .map(String::as_str)
        .collect();
    let heredocs: Vec<Value> = node.heredocs.iter().map(heredoc).collect();
    json!({
        "name": node.keyword.to_uppercase(),
        "flags": inner.flags,
        "args": args,
        "json": inner.json,
        "heredocs": heredocs,
        "start": node.span.start,
        "end": node.span.end,
    })
}

fn heredoc(heredoc: &Heredoc) -> Value {
    json!({
        "name": heredoc.name,
        "content": heredoc.text(),
        "expand": heredoc.expand,
        "chomp": heredoc.chomp,
    })
}

/// Expands one word to one word with `NAME=value` pairs, of which the last of a name
/// counts. A pair without `=` is a name with an empty value. The escape character is `\`.
///
/// # Errors
/// If the word cannot be expanded.
pub fn expand(word: &str, pairs: &[String]) -> Result<String, ExpandError> {
    let values: BTreeMap<&str, &str> = pairs
        .iter()
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    let lookup = |name: &str| values.get(name).map(|&value| value.to_owned());
    Expander::new('\\', &lookup).word(word)
}

/// Says whether a path relative to the context is ignored, and by which line of the
/// ignore file: `{"path","ignored","line"}`. The line is that of the last pattern that
/// decided, which may be one with `!`; null if no pattern did.
///
/// # Errors
/// If the ignore file has a line that is no pattern.
pub fn ignore(file: &[u8], path: &str) -> Result<Value, IgnoreError> {
    let ignore = Ignore::parse(&String::from_utf8_lossy(file))?;
    Ok(json!({
        "path": path,
        "ignored": ignore.is_ignored(path),
        "line": ignore.deciding_line(path),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_shows_all_its_parts() {
        let file =
            b"FROM x AS b\nFROM scratch\ncopy --from=b \\\n a /b\nRUN <<-'EOF'\n\thi\n\tEOF\n";
        assert_eq!(
            ast(file).unwrap(),
            json!({"instructions": [
                {"name": "FROM", "flags": [], "args": ["x", "AS", "b"], "json": false,
                 "heredocs": [], "start": 1, "end": 1},
                {"name": "FROM", "flags": [], "args": ["scratch"], "json": false,
                 "heredocs": [], "start": 2, "end": 2},
                {"name": "COPY", "flags": ["--from=b"], "args": ["a", "/b"], "json": false,
                 "heredocs": [], "start": 3, "end": 4},
                {"name": "RUN", "flags": [], "args": ["<<-'EOF'"], "json": false,
                 "heredocs": [{"name": "EOF", "content": "hi\n", "expand": false, "chomp": true}],
                 "start": 5, "end": 7},
            ]})
        );
    }

    #[test]
    fn a_trigger_is_shown_as_name_and_arguments() {
        let shown = ast(b"FROM x\nONBUILD copy --link [\"a\", \"/b\"]\n").unwrap();
        assert_eq!(
            shown["instructions"][1],
            json!({"name": "ONBUILD", "flags": ["--link"], "args": ["COPY", "a", "/b"],
                   "json": true, "heredocs": [], "start": 2, "end": 2})
        );
    }

    #[test]
    fn a_file_is_refused_at_either_level_and_for_a_bad_mount() {
        for (file, line) in [
            (&b"FROM x\nRUN [1]\n"[..], 2),
            (b"FROM x\n\nFORM y\n", 3),
            (b"FROM x\nRUN --mount=type=bnd true\n", 2),
            (b"FROM x\nRUN true\nRUN --mount=target=/a,foo=bar true\n", 3),
        ] {
            assert_eq!(ast(file).unwrap_err().span.start, line);
        }
        assert!(ast(b"FROM x\nARG T\nRUN --mount=type=$T true\n").is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_no_error() {
        let shown = ast(b"FROM x\nRUN echo \xff\n").unwrap();
        assert_eq!(shown["instructions"][1]["args"][0], "echo \u{fffd}");
    }

    #[test]
    fn a_word_is_expanded_with_the_last_of_equal_names() {
        let pairs = ["A=1", "A=2=3", "B"].map(str::to_owned);
        assert_eq!(
            expand("$A-${B-unset}-${C-unset}", &pairs).unwrap(),
            "2=3--unset"
        );
        assert!(expand("${A", &pairs).is_err());
    }

    #[test]
    fn a_path_is_shown_with_the_line_that_decides() {
        let file = b"# all\n*\n!keep\n";
        assert_eq!(
            ignore(file, "a/b").unwrap(),
            json!({"path": "a/b", "ignored": true, "line": 2})
        );
        assert_eq!(
            ignore(file, "keep").unwrap(),
            json!({"path": "keep", "ignored": false, "line": 3})
        );
        assert_eq!(
            ignore(b"x", "y").unwrap(),
            json!({"path": "y", "ignored": false, "line": null})
        );
        assert!(ignore(b"!", "y").is_err());
    }
}
