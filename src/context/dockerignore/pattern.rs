//! One pattern of an ignore list, in one of the four ways it can be matched.

use std::borrow::Cow;

use regex::Regex;

use crate::fs::glob::{self, BadPattern, Class, Glob};

/// A pattern, ready to be applied to paths relative to the context.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    test: Test,
}

/// How a path is tested. Which way a pattern goes shows in corner cases: `**x` matches
/// any path that ends in `x`, though as a wildcard it would need a whole component.
#[derive(Debug, Clone)]
enum Test {
    /// The path is this text.
    Exact,
    /// The path starts with this text: a pattern whose only wildcard is `**` at its end.
    Prefix(String),
    /// The path ends with this text, or is this text without the slash in front: a
    /// pattern whose only wildcard is `**` at its start.
    Suffix(String),
    /// Anything else.
    Expression(Regex),
}

/// Which test fits what was read of a pattern so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

impl Pattern {
    /// Reads a pattern that is cleaned and has no `!` in front.
    pub(super) fn new(text: &str) -> Result<Self, BadPattern> {
        Glob::new(text)?;
        let (way, expression) = translate(text)?;
        let test = match way {
            Way::Exact => Test::Exact,
            Way::Prefix => Test::Prefix(text[..text.len() - 2].to_owned()),
            Way::Suffix => Test::Suffix(text[2..].to_owned()),
            Way::Expression => {
                let compiled = Regex::new(&expression);
                Test::Expression(compiled.map_err(|_| BadPattern(text.to_owned()))?)
            }
        };
        Ok(Self {
            text: text.to_owned(),
            test,
        })
    }

    /// Returns the pattern as it is after cleaning.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Says whether the pattern matches this very path; parents are tried by the caller.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.test {
            Test::Exact => path == self.text,
            Test::Prefix(prefix) => path.starts_with(prefix),
            Test::Suffix(suffix) => {
                path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path)
            }
            Test::Expression(expression) => expression.is_match(path),
        }
    }

    /// Says whether the pattern could match a path below a directory without matching
    /// the directory itself. May say yes too often, never no.
    pub(super) fn may_match_below(&self, directory: &[Cow<'_, str>]) -> bool {
        let mut names = directory.iter();
        for part in self.text.split('/') {
            // From here on the pattern is not bound to one component any more. In a class
            // or behind a backslash a slash may stand that separates nothing.
            if part.contains("**") || part.contains('[') || part.ends_with('\\') {
                return true;
            }
            let Some(name) = names.next() else {
                return true;
            };
            if !Glob::new(part).is_ok_and(|part| part.matches(name)) {
                return false;
            }
        }
        false
    }
}

/// Translates a pattern into a regular expression, and finds out whether it needs one.
fn translate(text: &str) -> Result<(Way, String), BadPattern> {
    let mut way = Way::Exact;
    let mut expression = "^".to_owned();
    let mut rest = text.chars();
    let mut is_first = true;
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.as_str().starts_with('*') => {
                rest.next();
                way = double_star(&mut rest, way, is_first, &mut expression);
            }
            '*' => {
                expression.push_str("[^/]*");
                way = Way::Expression;
            }
            '?' => {
                expression.push_str("[^/]");
                way = Way::Expression;
            }
            '[' => {
                let class = glob::class(&mut rest).ok_or_else(|| BadPattern(text.to_owned()))?;
                push_class(&class, &mut expression);
                way = Way::Expression;
            }
            '\\' => {
                // Behind a backslash every character is itself. BuildKit hands letters
                // through to its expressions, where \d and the like mean something.
                push_literal(rest.next().unwrap_or('\\'), &mut expression);
                way = Way::Expression;
            }
            _ => push_literal(character, &mut expression),
        }
        is_first = false;
    }
    expression.push('$');
    Ok((way, expression))
}

/// Translates `**`, whose stars are read already; a slash behind them belongs to them.
fn double_star(
    rest: &mut std::str::Chars<'_>,
    way: Way,
    is_first: bool,
    expression: &mut String,
) -> Way {
    if rest.as_str().starts_with('/') {
        rest.next();
    }
    let is_last = rest.as_str().is_empty();
    expression.push_str(if is_last { ".*" } else { "(.*/)?" });
    if is_first {
        Way::Suffix
    } else if is_last && way == Way::Exact {
        Way::Prefix
    } else {
        Way::Expression
    }
}

fn push_literal(character: char, expression: &mut String) {
    expression.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

fn push_class(class: &Class, expression: &mut String) {
    // A range whose ends are the wrong way round holds nothing.
    let ranges = class.ranges.iter().filter(|(low, high)| low <= high);
    let ranges: Vec<_> = ranges.collect();
    if ranges.is_empty() {
        expression.push_str(if class.negated {
            "[\\s\\S]"
        } else {
            "[^\\s\\S]"
        });
        return;
    }
    expression.push_str(if class.negated { "[^" } else { "[" });
    for (low, high) in ranges {
        let (low, high) = (u32::from(*low), u32::from(*high));
        expression.push_str(&format!("\\x{{{low:x}}}-\\x{{{high:x}}}"));
    }
    expression.push(']');
}
