//! Physical lines, and how several of them continue one another.

use super::{Span, SyntaxError};

/// The longest line BuildKit reads, in bytes without the line feed.
const MAX_LINE_BYTES: usize = 65_535;

/// Hands out the lines of a text one by one.
pub(super) struct Lines<'t> {
    rest: &'t str,
    number: usize,
}

impl<'t> Lines<'t> {
    /// Starts at the first line. A byte order mark there is dropped.
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            rest: without_bom(text),
            number: 0,
        }
    }

    /// Returns the number of the line that was read last; 0 before the first.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Returns the next line with its line ending; `None` at the end of the text.
    ///
    /// # Errors
    /// If the line is longer than BuildKit reads.
    pub(super) fn next(&mut self) -> Result<Option<&'t str>, (Span, SyntaxError)> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.number += 1;
        if line.trim_end_matches('\n').len() > MAX_LINE_BYTES {
            return Err((Span::line(self.number), SyntaxError::LineTooLong));
        }
        Ok(Some(line))
    }
}

/// Drops a byte order mark.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Drops line feeds and carriage returns off the end.
pub(super) fn without_ending(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Says whether the first thing on a line is a `#`.
pub(super) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Splits the continuation off a line without its ending: returns the text in front of
/// it, and whether there was one. An escape character behind another is none, even where
/// the first of three escapes the second: BuildKit has that hole, and files live with it.
pub(super) fn split_continuation(line: &str, escape: char) -> (&str, bool) {
    let text = line.trim_end_matches([' ', '\t']);
    match text.strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_endings_and_are_counted_from_one() {
        let mut lines = Lines::new("\u{feff}a\r\n\nb");
        assert_eq!(lines.number(), 0);
        assert_eq!(lines.next().unwrap(), Some("a\r\n"));
        assert_eq!(lines.next().unwrap(), Some("\n"));
        assert_eq!(lines.next().unwrap(), Some("b"));
        assert_eq!(lines.number(), 3);
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn a_line_may_have_65535_bytes_and_no_more() {
        let longest = "x".repeat(65_535);
        assert!(Lines::new(&format!("{longest}\n")).next().is_ok());
        assert!(Lines::new(&longest).next().is_ok());
        let (span, error) = Lines::new(&format!("{longest}x\n")).next().unwrap_err();
        assert_eq!((span, error), (Span::line(1), SyntaxError::LineTooLong));
    }

    #[test]
    fn a_continuation_is_a_single_escape_at_the_end() {
        for (line, expected) in [
            ("a \\", ("a ", true)),
            ("a\\ \t ", ("a", true)),
            ("\\", ("", true)),
            ("a", ("a", false)),
            ("a\\\\", ("a\\\\", false)),
            ("a\\\\\\", ("a\\\\\\", false)),
            ("a\\ \\", ("a\\ ", true)),
            ("a\\b ", ("a\\b ", false)),
        ] {
            assert_eq!(split_continuation(line, '\\'), expected, "{line}");
        }
        assert_eq!(split_continuation("a`", '`'), ("a", true));
        assert_eq!(split_continuation("a\\", '`'), ("a\\", false));
    }
}
