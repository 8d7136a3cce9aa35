//! Parser directives: the `# key=value` lines at the very top of a Dockerfile.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::without_bom;
use super::{Span, SyntaxError};

/// What the directives of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The escape character, `\` or a backtick.
    pub escape: char,
    /// The value of `syntax`, unread: an image, and what to tell it behind a blank.
    pub syntax: Option<Directive>,
    /// The value of `check`, unread.
    pub check: Option<Directive>,
}

/// One directive's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The text behind `=`, trimmed; never empty.
    pub value: String,
    /// Where it is written.
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Syntax,
    Escape,
    Check,
}

impl Key {
    fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "syntax" => Some(Self::Syntax),
            "escape" => Some(Self::Escape),
            "check" => Some(Self::Check),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        }
    }
}

/// Recognises directives line by line, until the first line that is none.
#[derive(Debug, Default)]
pub(super) struct DirectiveZone {
    seen: Vec<Key>,
    is_over: bool,
    escape: Option<char>,
}

impl DirectiveZone {
    /// Looks at the next line, without its ending; says whether it is a directive.
    pub(super) fn read(&mut self, line: &str) -> Result<bool, SyntaxError> {
        let Some((key, value)) = self.directive(line)? else {
            return Ok(false);
        };
        if key == Key::Escape {
            self.escape = match value {
                "\\" => Some('\\'),
                "`" => Some('`'),
                _ => return Err(SyntaxError::InvalidEscape(value.to_owned())),
            };
        }
        Ok(true)
    }

    /// Returns the escape character as far as it is known.
    pub(super) fn escape(&self) -> char {
        self.escape.unwrap_or('\\')
    }

    fn directive<'l>(&mut self, line: &'l str) -> Result<Option<(Key, &'l str)>, SyntaxError> {
        if self.is_over {
            return Ok(None);
        }
        let Some((key, value)) = split_directive(line) else {
            self.is_over = true;
            return Ok(None);
        };
        if self.seen.contains(&key) {
            return Err(SyntaxError::DuplicateDirective(key.as_str()));
        }
        self.seen.push(key);
        Ok(Some((key, value)))
    }
}

/// Finds the directives that speak to others than the parser. They may stand below a
/// `#!` line, which for `escape` is the end of the zone; as in BuildKit, which reads the
/// file twice.
pub(super) fn detect(text: &str, escape: char) -> Directives {
    let mut found = Directives {
        escape,
        syntax: None,
        check: None,
    };
    let text = without_bom(text);
    let skipped = usize::from(text.starts_with("#!"));
    let mut zone = DirectiveZone::default();
    for (index, line) in text.lines().enumerate().skip(skipped) {
        let Ok(Some((key, value))) = zone.directive(line) else {
            break;
        };
        let directive = Directive {
            value: value.to_owned(),
            span: Span::line(index + 1),
        };
        match key {
            Key::Syntax => found.syntax = Some(directive),
            Key::Check => found.check = Some(directive),
            Key::Escape => {}
        }
    }
    found
}

fn split_directive(line: &str) -> Option<(Key, &str)> {
    // The blanks are those of Go's expressions, without the vertical tab.
    static KEY_AND_VALUE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*$")
            .expect("the expression is valid")
    });
    let text = line.strip_prefix('#')?.trim_start();
    let (_, [key, value]) = KEY_AND_VALUE.captures(text)?.extract();
    Some((Key::of(key)?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_may_have_blanks_and_any_case() {
        for line in ["#escape=`", "# escape = `", "#  ESCAPE=` ", "# Escape=`\t"] {
            let mut zone = DirectiveZone::default();
            assert_eq!(zone.read(line), Ok(true), "{line}");
            assert_eq!(zone.escape(), '`', "{line}");
        }
    }

    #[test]
    fn anything_else_ends_the_zone() {
        for line in [
            "",
            "# a comment",
            "# unknown=1",
            "FROM x",
            "#",
            "# escape",
            "# escape=",
        ] {
            let mut zone = DirectiveZone::default();
            assert_eq!(zone.read(line), Ok(false), "{line}");
            assert_eq!(zone.read("# escape=`"), Ok(false), "{line}");
            assert_eq!(zone.escape(), '\\', "{line}");
        }
    }

    #[test]
    fn a_repeated_key_and_a_strange_escape_are_errors() {
        let mut zone = DirectiveZone::default();
        assert_eq!(zone.read("# syntax=a"), Ok(true));
        assert_eq!(
            zone.read("# SYNTAX=b"),
            Err(SyntaxError::DuplicateDirective("syntax"))
        );
        assert_eq!(
            DirectiveZone::default().read("# escape=x"),
            Err(SyntaxError::InvalidEscape("x".to_owned()))
        );
    }

    #[test]
    fn syntax_and_check_are_found_even_below_an_interpreter_line() {
        let found = detect(
            "#!/usr/bin/env x\n# syntax=docker/dockerfile:1 a=b\n# check=skip=all\nFROM x",
            '\\',
        );
        let syntax = found.syntax.unwrap();
        assert_eq!(syntax.value, "docker/dockerfile:1 a=b");
        assert_eq!(syntax.span, Span::line(2));
        assert_eq!(found.check.unwrap().value, "skip=all");
    }

    #[test]
    fn a_comment_above_hides_the_directives_below() {
        assert_eq!(detect("# hello\n# syntax=x\n", '\\').syntax, None);
    }
}
