//! The patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`:
//! `*` and `?` are special, `[` is not.

use regex::{Captures, Regex};

use super::{Fault, MAX_WORD_BYTES};

/// Which of several possible matches is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

/// The most that the elements of a pattern, times the bytes of a value, may be. Matching
/// takes up to 100 ns for each; what real files ask for is a thousandth of it.
const MAX_COMPARISONS: usize = 4 * 1024 * 1024;

/// A pattern, ready to be applied.
pub(super) struct Pattern {
    expression: Regex,
    /// How many elements it has.
    elements: usize,
    /// As written; a long one is cut.
    shown: String,
}

impl Pattern {
    /// Makes a pattern that matches the longest text anywhere.
    pub(super) fn anywhere(pattern: &str) -> Result<Self, Fault> {
        compile(pattern, "", &expression(pattern, Greed::Longest)?)
    }

    /// Makes a pattern that matches at the start of a value only.
    pub(super) fn at_start(pattern: &str, greed: Greed) -> Result<Self, Fault> {
        compile(pattern, "^", &expression(pattern, greed)?)
    }

    /// Makes a pattern that matches, at the start of a reversed value, what `pattern`
    /// matches at the end of the value.
    pub(super) fn at_start_reversed(pattern: &str, greed: Greed) -> Result<Self, Fault> {
        let mut parts = expression(pattern, greed)?;
        parts.reverse();
        compile(pattern, "^", &parts)
    }

    /// Removes the match from the value.
    pub(super) fn cut(&self, value: &str) -> Result<String, Fault> {
        self.check_cost(value)?;
        let end = self.expression.find(value).map_or(0, |found| found.end());
        Ok(value[end..].to_owned())
    }

    /// Puts the replacement in place of the first match, literally.
    pub(super) fn replace_first(&self, value: &str, replacement: &str) -> Result<String, Fault> {
        self.check_cost(value)?;
        let replacement = regex::NoExpand(replacement);
        Ok(self.expression.replacen(value, 1, replacement).into_owned())
    }

    /// Puts the replacement in place of every match. BuildKit hands it to Go's regexp
    /// package here, which reads `$0`, `${name}` and `$$` in it: so do we.
    pub(super) fn replace_all(&self, value: &str, replacement: &str) -> Result<String, Fault> {
        self.check_cost(value)?;
        let matches = self.expression.find_iter(value).count();
        if matches.saturating_mul(replacement.len()) > MAX_WORD_BYTES {
            return Err(Fault::TooLong);
        }
        let whole = |captures: &Captures<'_>| expand_template(replacement, &captures[0]);
        Ok(self.expression.replace_all(value, whole).into_owned())
    }

    fn check_cost(&self, value: &str) -> Result<(), Fault> {
        if self.elements.saturating_mul(value.len()) > MAX_COMPARISONS {
            return Err(too_large(&self.shown));
        }
        Ok(())
    }
}

/// Turns a pattern into the parts of a regular expression, each of them for one element
/// of the pattern, so that they can be put together backwards.
fn expression(pattern: &str, greed: Greed) -> Result<Vec<String>, Fault> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let part = match character {
            '*' if greed == Greed::Longest => ".*".to_owned(),
            '*' => ".*?".to_owned(),
            '?' => ".".to_owned(),
            '\\' => match characters.peek() {
                // These need the escape because of the substitution around the pattern.
                Some('}' | '/') => continue,
                Some(&escaped @ ('*' | '?' | '\\')) => {
                    characters.next();
                    literal(escaped)
                }
                other => return Err(invalid_escape(pattern, other.copied())),
            },
            _ => literal(character),
        };
        parts.push(part);
    }
    Ok(parts)
}

fn literal(character: char) -> String {
    regex::escape(character.encode_utf8(&mut [0; 4]))
}

fn invalid_escape(pattern: &str, escaped: Option<char>) -> Fault {
    Fault::InvalidPattern {
        pattern: pattern.to_owned(),
        reason: match escaped {
            Some(escaped) => format!("invalid escape '\\{escaped}'"),
            None => "nothing behind the last '\\'".to_owned(),
        },
    }
}

fn compile(pattern: &str, anchor: &str, parts: &[String]) -> Result<Pattern, Fault> {
    let expression = Regex::new(&format!("{anchor}{}", parts.concat()));
    let shown: String = pattern.chars().take(80).collect();
    Ok(Pattern {
        expression: expression.map_err(|_| too_large(&shown))?,
        elements: parts.len(),
        shown,
    })
}

fn too_large(pattern: &str) -> Fault {
    Fault::InvalidPattern {
        pattern: pattern.to_owned(),
        reason: "it is too large".to_owned(),
    }
}

/// Fills a template as Go's `Regexp.Expand` does for an expression without groups.
fn expand_template(template: &str, whole: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            text.push('$');
            rest = after;
        } else if let Some((name, after)) = template_name(rest) {
            if name == "0" {
                text.push_str(whole);
            }
            rest = after;
        } else {
            text.push('$');
        }
    }
    text.push_str(rest);
    text
}

/// Reads `name` or `{name}` off the front.
fn template_name(text: &str) -> Option<(&str, &str)> {
    let (inner, is_braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let length = inner
        .find(|character: char| !(character.is_alphanumeric() || character == '_'))
        .unwrap_or(inner.len());
    let (name, after) = inner.split_at(length);
    if name.is_empty() {
        return None;
    }
    let after = if is_braced {
        after.strip_prefix('}')?
    } else {
        after
    };
    Some((name, after))
}
