//! Substitutions: `$name` and all forms of `${name…}`.

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::{Greed, Pattern};
use super::{Fault, Lexer};

impl Lexer<'_, '_> {
    /// Reads a substitution from its `$` on and returns what it stands for.
    pub(super) fn dollar(&mut self) -> Result<String, Fault> {
        self.next();
        if self.peek() == Some('{') {
            self.next();
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        let value = self.value(&name);
        Ok(self.or_as_written(value, || format!("${name}")))
    }

    /// Reads what is behind `${`, to the closing brace.
    fn braced(&mut self) -> Result<String, Fault> {
        match self.peek() {
            None => return Err(Fault::MissingBrace),
            Some('{' | '}' | ':') => return Err(Fault::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next().ok_or(Fault::MissingBrace)? {
            '}' => {
                let value = self.value(&name);
                Ok(self.or_as_written(value, || format!("${{{name}}}")))
            }
            ':' => {
                let operator = self.next().ok_or(Fault::MissingBrace)?;
                self.with_word(&name, operator, true)
            }
            operator @ ('+' | '-' | '?' | '#' | '%') => self.with_word(&name, operator, false),
            '/' => self.replacing(&name),
            other => Err(Fault::UnsupportedModifier(other.to_string())),
        }
    }

    /// Reads the word behind an operator and applies it. With `empty_is_unset` the
    /// operator had a colon in front.
    fn with_word(
        &mut self,
        name: &str,
        operator: char,
        empty_is_unset: bool,
    ) -> Result<String, Fault> {
        let colon = if empty_is_unset { ":" } else { "" };
        let cuts = matches!(operator, '#' | '%');
        if !matches!(operator, '+' | '-' | '?' | '#' | '%') || (cuts && empty_is_unset) {
            return Err(Fault::UnsupportedModifier(format!("{colon}{operator}")));
        }
        let word = self.part('}', cuts, &Fault::MissingBrace)?;
        let value = match cuts {
            true => self.value(name),
            // The word says what is meant where there is no value.
            false => self.value_if_set(name),
        };
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let given = value
            .clone()
            .filter(|text| !(empty_is_unset && text.is_empty()));
        match operator {
            '-' => Ok(given.unwrap_or(word)),
            '+' => Ok(given.map_or_else(String::new, |_| word)),
            '?' => given.ok_or_else(|| required(name, word, value.is_none())),
            _ => cut(operator, &word, &value.unwrap_or_default()),
        }
    }

    /// Reads `pattern/replacement}` and applies it; a second slash in front of the
    /// pattern asks for every match.
    fn replacing(&mut self, name: &str) -> Result<String, Fault> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.part('/', true, &Fault::MissingSlash)?;
        let replacement = self.part('}', true, &Fault::MissingBrace)?;
        let value = self.value(name);
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let value = value.unwrap_or_default();
        let pattern = Pattern::anywhere(&pattern)?;
        if all {
            pattern.replace_all(&value, &replacement)
        } else {
            pattern.replace_first(&value, &replacement)
        }
    }

    /// Reads up to `stop`. Whatever the end of the text interrupts, `at_end` is what is
    /// missing.
    fn part(&mut self, stop: char, keep_escapes: bool, at_end: &Fault) -> Result<String, Fault> {
        self.until(Some(stop), keep_escapes, None)
            .map_err(|fault| match fault {
                Fault::Unclosed(_) | Fault::UnclosedQuote(_) => at_end.clone(),
                Fault::MissingBrace
                | Fault::MissingSlash
                | Fault::BadSubstitution
                | Fault::UnsupportedModifier(_)
                | Fault::InvalidPattern { .. }
                | Fault::Required { .. }
                | Fault::TooDeep
                | Fault::TooLong => fault,
            })
    }

    /// Reads a name: a run of digits, one special parameter, or letters, digits and `_`.
    /// Empty if none starts here.
    fn name(&mut self) -> String {
        let Some(first) = self.peek() else {
            return String::new();
        };
        let length = if is_digit(first) {
            self.length_while(is_digit)
        } else if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            first.len_utf8()
        } else {
            self.length_while(|character| {
                character == '_' || is_letter(character) || is_digit(character)
            })
        };
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name.to_owned()
    }

    fn length_while(&self, is_part: impl Fn(char) -> bool) -> usize {
        self.rest
            .find(|character| !is_part(character))
            .unwrap_or(self.rest.len())
    }

    /// Looks a variable up that should have a value.
    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.value_if_set(name);
        if value.is_none() && !self.names.unset.contains(name) {
            self.names.unset.insert(name.to_owned());
        }
        value
    }

    fn value_if_set(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name);
        if value.is_some() && !self.names.used.contains(name) {
            self.names.used.insert(name.to_owned());
        }
        value
    }

    fn or_as_written(&self, value: Option<String>, written: impl Fn() -> String) -> String {
        match value {
            Some(value) => value,
            None if self.mode.keep_unset => written(),
            None => String::new(),
        }
    }
}

fn required(name: &str, message: String, is_unset: bool) -> Fault {
    let standard = if is_unset {
        "is not allowed to be unset"
    } else {
        "is not allowed to be empty"
    };
    Fault::Required {
        name: name.to_owned(),
        message: if message.is_empty() {
            standard.to_owned()
        } else {
            message
        },
    }
}

/// Cuts what the word matches off the front (`#`) or the end (`%`) of the value; the
/// longest match if the operator is doubled.
fn cut(operator: char, word: &str, value: &str) -> Result<String, Fault> {
    let (pattern, greed) = match word.strip_prefix(operator) {
        Some(pattern) => (pattern, Greed::Longest),
        None => (word, Greed::Shortest),
    };
    if operator == '#' {
        Pattern::at_start(pattern, greed)?.cut(value)
    } else {
        cut_end(pattern, greed, value)
    }
}

/// A regular expression finds the leftmost match, and the shortest match at the end is
/// not that one: so pattern and value are reversed.
fn cut_end(pattern: &str, greed: Greed, value: &str) -> Result<String, Fault> {
    let reversed: String = value.chars().rev().collect();
    let rest = Pattern::at_start_reversed(pattern, greed)?.cut(&reversed)?;
    Ok(rest.chars().rev().collect())
}

/// Unicode's decimal digits, as Go's `unicode.IsDigit`.
fn is_digit(character: char) -> bool {
    static DIGIT: LazyLock<Regex> = LazyLock::new(|| class(r"\p{Nd}"));
    character.is_ascii_digit() || is_in(&DIGIT, character)
}

/// Unicode's letters, as Go's `unicode.IsLetter`.
fn is_letter(character: char) -> bool {
    static LETTER: LazyLock<Regex> = LazyLock::new(|| class(r"\p{L}"));
    character.is_ascii_alphabetic() || is_in(&LETTER, character)
}

fn class(expression: &str) -> Regex {
    Regex::new(expression).expect("the expression is valid")
}

fn is_in(class: &Regex, character: char) -> bool {
    !character.is_ascii() && class.is_match(character.encode_utf8(&mut [0; 4]))
}
