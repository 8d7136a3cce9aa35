//! Taking one logical line apart: keyword, flags, rest.

/// What separates the words of an instruction; no other blank does.
pub(super) const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// A logical line in its three parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'l> {
    /// The first word, as written.
    pub(super) keyword: &'l str,
    /// The words behind it that start with `--`, without their quotes.
    pub(super) flags: Vec<String>,
    /// Everything else, trimmed.
    pub(super) rest: &'l str,
}

/// Splits a line whose continuations are already joined.
pub(super) fn split(line: &str) -> Line<'_> {
    let line = line.trim();
    let Some((keyword, behind)) = line.split_once(BLANKS) else {
        return Line {
            keyword: line,
            flags: Vec::new(),
            rest: "",
        };
    };
    let (flags, rest) = split_flags(behind.trim_start_matches(BLANKS));
    Line {
        keyword,
        flags,
        rest: rest.trim(),
    }
}

/// Splits at the first blanks; `None` if there are none.
pub(super) fn split_first(text: &str) -> Option<(&str, &str)> {
    let (first, behind) = text.split_once(BLANKS)?;
    Some((first, behind.trim_start_matches(BLANKS)))
}

/// Takes words that start with `--` off the front, up to the first that does not, or to
/// a lone `--`, which is dropped.
fn split_flags(text: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (word, was_quoted, after) = flag_word(rest);
        rest = after;
        if word == "--" {
            return (flags, rest);
        }
        if was_quoted || !word.is_empty() {
            flags.push(word);
        }
    }
}

/// Reads a flag up to a blank outside quotes: the word without its quotes, whether it
/// had any, and what follows. `\` is the escape character in here whatever the file says,
/// and inside both kinds of quotes, as in BuildKit.
fn flag_word(text: &str) -> (String, bool, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut was_quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
            _ if quote == Some(character) => quote = None,
            '\'' | '"' if quote.is_none() => {
                quote = Some(character);
                was_quoted = true;
            }
            _ if quote.is_none() && character.is_whitespace() => {
                return (word, was_quoted, &text[at..]);
            }
            _ => word.push(character),
        }
    }
    (word, was_quoted, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> (&str, Vec<String>, &str) {
        let Line {
            keyword,
            flags,
            rest,
        } = split(line);
        (keyword, flags, rest)
    }

    #[test]
    fn a_line_falls_into_keyword_flags_and_rest() {
        for (line, keyword, flags, rest) in [
            ("RUN", "RUN", vec![], ""),
            ("  run \t x  y ", "run", vec![], "x  y"),
            (
                "COPY --from=a --link b c",
                "COPY",
                vec!["--from=a", "--link"],
                "b c",
            ),
            ("RUN x --mount=y", "RUN", vec![], "x --mount=y"),
            ("RUN - --x", "RUN", vec![], "- --x"),
            ("RUN -- --x y", "RUN", vec![], "--x y"),
            ("RUN --a=1 -- --x y", "RUN", vec!["--a=1"], "--x y"),
            ("RUN --a=1 --", "RUN", vec!["--a=1"], ""),
            ("RUN --a=1", "RUN", vec!["--a=1"], ""),
            ("RUN\u{a0}x", "RUN\u{a0}x", vec![], ""),
        ] {
            assert_eq!(
                parts(line),
                (
                    keyword,
                    flags.into_iter().map(str::to_owned).collect(),
                    rest
                ),
                "{line}"
            );
        }
    }

    #[test]
    fn quotes_and_escapes_in_flags_are_removed() {
        for (line, flag) in [
            ("RUN --a=\"b c\" x", "--a=b c"),
            ("RUN --a='b c' x", "--a=b c"),
            ("RUN '--a' x", ""),
            ("RUN --\"a b\"=c x", "--a b=c"),
            ("RUN --a=b\\ c x", "--a=b c"),
            ("RUN --a='b\\'c' x", "--a=b'c"),
            ("RUN --a=\"b\\\"c\" x", "--a=b\"c"),
            ("RUN --a=é x", "--a=é"),
            ("RUN --a='b c", "--a=b c"),
            ("RUN --a=b\\", "--a=b"),
        ] {
            let (_, flags, _) = parts(line);
            assert_eq!(flags.first().map_or("", String::as_str), flag, "{line}");
        }
    }
}
