//! Here documents: `<<NAME` in an instruction, and the lines up to `NAME` below it.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::lines::without_ending;
use super::words::{self, Fault};

/// One here document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word behind `<<`, without its quotes.
    pub name: String,
    /// The number in front of `<<`; 0 if there is none.
    pub fd: u64,
    /// No part of the word was quoted: variables in the content are expanded.
    pub expand: bool,
    /// It was written `<<-`: leading tabs do not count.
    pub chomp: bool,
    /// The lines as written, endings and tabs included, without the closing one.
    pub content: String,
}

impl Heredoc {
    /// Reads a single word of an instruction; `None` if it is not `<<NAME`.
    ///
    /// # Errors
    /// If the name has a quote or brace that is not closed.
    pub(super) fn of_word(word: &str) -> Result<Option<Self>, Fault> {
        // More than one name, as in `<<A B`, cannot be a word of a here document.
        let Some((fd, chomp, name)) = split_sign(word) else {
            return Ok(None);
        };
        let unquoted = words::split_heredoc_word(name, false)?;
        let [unquoted] = unquoted.as_slice() else {
            return Ok(None);
        };
        let quoted = words::split_heredoc_word(name, true)?.concat();
        // Escaped quotes are in both readings; those that quote are in one only.
        let expand = count_quotes(&quoted) == count_quotes(unquoted);
        Ok(Some(Self {
            name: unquoted.clone(),
            fd,
            expand,
            chomp,
            content: String::new(),
        }))
    }

    /// Finds the here documents that a whole instruction announces, in order. A line
    /// whose quotes do not close announces none.
    ///
    /// # Errors
    /// If the name of one has a quote or brace that is not closed, or nests too deeply.
    pub(super) fn of_line(line: &str) -> Result<Vec<Self>, Fault> {
        if !line.contains("<<") {
            return Ok(Vec::new());
        }
        let words = match words::split_raw(line) {
            Ok(words) => words,
            Err(fault) if fault.is_limit() => return Err(fault),
            Err(_unclosed) => return Ok(Vec::new()),
        };
        let documents = words.iter().map(|word| Self::of_word(word));
        documents.filter_map(Result::transpose).collect()
    }

    /// Says whether a line, endings and all, closes this document.
    pub(super) fn is_closed_by(&self, line: &str) -> bool {
        let line = without_ending(line);
        let line = if self.chomp {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }

    /// Returns the content as it is meant: without leading tabs if it was written `<<-`.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        if self.chomp {
            Cow::Owned(self.without_tabs())
        } else {
            Cow::Borrowed(&self.content)
        }
    }

    /// Returns the content without leading tabs, however it was written.
    pub(super) fn without_tabs(&self) -> String {
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// Splits `3<<-NAME` into descriptor, dash and the rest. A `<` in the rest means that
/// this is something else, such as `<<<`.
fn split_sign(word: &str) -> Option<(u64, bool, &str)> {
    static SIGN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)$").expect("the expression is valid")
    });
    let (_, [fd, dash, name]) = SIGN.captures(word)?.extract();
    let fd = if fd.is_empty() {
        0
    } else {
        fd.parse().unwrap_or(u64::MAX)
    };
    (!name.is_empty()).then_some((fd, !dash.is_empty(), name))
}

fn count_quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(word: &str) -> Option<(String, u64, bool, bool)> {
        let found = Heredoc::of_word(word).unwrap()?;
        Some((found.name, found.fd, found.expand, found.chomp))
    }

    fn names(line: &str) -> Vec<String> {
        let found = Heredoc::of_line(line).unwrap();
        found.into_iter().map(|document| document.name).collect()
    }

    #[test]
    fn the_word_tells_name_descriptor_expansion_and_tabs() {
        let found = |name: &str, fd, expand, chomp| Some((name.to_owned(), fd, expand, chomp));
        for (word, expected) in [
            ("<<EOF", found("EOF", 0, true, false)),
            ("<<-EOF", found("EOF", 0, true, true)),
            ("3<<EOF", found("EOF", 3, true, false)),
            ("<< EOF", found("EOF", 0, true, false)),
            ("<<'EOF'", found("EOF", 0, false, false)),
            ("<<\"EOF\"", found("EOF", 0, false, false)),
            ("<<E'O'F", found("EOF", 0, false, false)),
            ("<<E\\'F", found("E'F", 0, true, false)),
            ("<<'e'o\\'f", found("eo'f", 0, false, false)),
            ("<<'a b'", found("a b", 0, false, false)),
            ("<<$EOF", found("$EOF", 0, true, false)),
            ("<<${EOF}", found("${EOF}", 0, true, false)),
            ("<<", None),
            ("<<-", None),
            ("<<<EOF", None),
            ("<<A<B", None),
            ("<<A B", None),
            ("x<<EOF", None),
            ("\"<<EOF\"", None),
            ("EOF", None),
        ] {
            assert_eq!(one(word), expected, "{word}");
        }
    }

    #[test]
    fn several_documents_of_a_line_are_found_in_order() {
        assert_eq!(names("RUN 3<<A 4<<-B cat"), ["A", "B"]);
        assert_eq!(names("COPY <<a <<b /dst/"), ["a", "b"]);
        assert_eq!(names("RUN cat <<EOF > /x"), ["EOF"]);
        assert_eq!(names("RUN cat << EOF | sh"), ["EOF"]);
    }

    #[test]
    fn quoted_signs_and_here_strings_are_none() {
        for line in [
            "RUN echo '<<EOF'",
            "RUN cat <<<word",
            "RUN echo \\<<EOF",
            "RUN x",
            "RUN it's <<EOF",
        ] {
            assert_eq!(names(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn tabs_but_no_spaces_are_stripped() {
        let document = Heredoc {
            content: "\t\ta\tb\n \tc\n\t\n".to_owned(),
            ..Heredoc::of_word("<<-EOF").unwrap().unwrap()
        };
        assert_eq!(document.text(), "a\tb\n \tc\n\n");
        assert!(document.is_closed_by("\t\tEOF\r\n"));
        assert!(!document.is_closed_by(" EOF\n"));
        let plain = Heredoc::of_word("<<EOF").unwrap().unwrap();
        assert!(plain.is_closed_by("EOF"));
        assert!(!plain.is_closed_by("\tEOF\n"));
        assert!(!plain.is_closed_by("EOF \n"));
    }
}
