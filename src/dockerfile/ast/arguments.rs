//! From the text behind the flags to arguments, by the shape an instruction asks for.

use super::split::{BLANKS, split_first};
use crate::dockerfile::json::{self, JsonForm};
use crate::dockerfile::{Keyword, SyntaxError};

/// The arguments of one instruction.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) values: Vec<String>,
    /// They were a JSON array.
    pub(super) json: bool,
    /// A name and a value without `=`.
    pub(super) legacy: bool,
}

impl Arguments {
    fn of(values: Vec<String>) -> Self {
        Self {
            values,
            ..Self::default()
        }
    }

    /// A text as the only argument; none if there is no text.
    pub(super) fn text(rest: &str) -> Self {
        Self::of(if rest.is_empty() {
            Vec::new()
        } else {
            vec![rest.to_owned()]
        })
    }
}

/// Splits at blanks; quotes mean nothing.
pub(super) fn words(rest: &str) -> Arguments {
    let words = rest.split(BLANKS).filter(|word| !word.is_empty());
    Arguments::of(words.map(str::to_owned).collect())
}

/// Splits at blanks outside quotes; quotes and escapes stay in the words.
pub(super) fn quoted_words(rest: &str, escape: char) -> Arguments {
    Arguments::of(split_quoted(rest, escape))
}

/// Reads a JSON array of strings, or else what `otherwise` makes of the text.
pub(super) fn json_or(
    rest: &str,
    otherwise: impl Fn(&str) -> Arguments,
) -> Result<Arguments, SyntaxError> {
    match json::read(rest) {
        JsonForm::Strings(values) => Ok(Arguments {
            values,
            json: true,
            legacy: false,
        }),
        JsonForm::OtherElements => Err(SyntaxError::JsonNotStrings),
        JsonForm::NotAnArray => Ok(otherwise(rest)),
    }
}

/// Reads a first word, and the rest as JSON or text.
pub(super) fn word_then_json_or_text(rest: &str) -> Result<Arguments, SyntaxError> {
    let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if word.is_empty() {
        return Ok(Arguments::default());
    }
    let mut arguments = json_or(behind.trim_start(), Arguments::text)?;
    arguments.values.insert(0, word.to_owned());
    Ok(arguments)
}

/// Reads `name=value` words into name, value, name, value; or, where the first word has
/// no `=`, one name with the rest of the line as its value.
pub(super) fn name_values(
    keyword: Keyword,
    rest: &str,
    escape: char,
) -> Result<Arguments, SyntaxError> {
    let words = split_quoted(rest, escape);
    let Some(first) = words.first() else {
        return Ok(Arguments::default());
    };
    if !first.contains('=') {
        let (name, value) = split_first(rest).ok_or(SyntaxError::ValueMissing(keyword))?;
        return Ok(Arguments {
            values: vec![name.to_owned(), value.to_owned()],
            json: false,
            legacy: true,
        });
    }
    let mut values = Vec::with_capacity(words.len() * 2);
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(SyntaxError::EqualsMissing(word.chars().take(80).collect()));
        };
        values.extend([name.to_owned(), value.to_owned()]);
    }
    Ok(Arguments::of(values))
}

/// Splits at blanks outside quotes. An escape character keeps the next character in the
/// word, except in single quotes; both stay as written. One at the very end is dropped.
fn split_quoted(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == escape && quote != Some('\'') {
            if let Some(escaped) = characters.next() {
                word.extend([escape, escaped]);
            }
            continue;
        }
        if quote.is_none() && character.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '\'' | '"') {
            quote = Some(character);
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_keep_their_quotes_and_escapes() {
        for (text, expected) in [
            ("a b", vec!["a", "b"]),
            ("a=\"b c\" d='e f'", vec!["a=\"b c\"", "d='e f'"]),
            ("a=b\\ c d", vec!["a=b\\ c", "d"]),
            ("a=\"b\\\" c\" d", vec!["a=\"b\\\" c\"", "d"]),
            ("a='b\\' c", vec!["a='b\\'", "c"]),
            ("a=\\'b c", vec!["a=\\'b", "c"]),
            ("a=b\\", vec!["a=b"]),
            ("\"\" ''", vec!["\"\"", "''"]),
            ("a=\"b c", vec!["a=\"b c"]),
            ("\\", vec![]),
        ] {
            assert_eq!(quoted_words(text, '\\').values, expected, "{text}");
        }
        assert_eq!(quoted_words("a=b` c\\ d", '`').values, ["a=b` c\\", "d"]);
    }

    #[test]
    fn the_old_form_takes_the_rest_of_the_line() {
        let legacy = name_values(Keyword::Env, "A  b = \"c\"", '\\').unwrap();
        assert_eq!(legacy.values, ["A", "b = \"c\""]);
        assert!(legacy.legacy);
        // The first word decides with its quotes, and is then split without them.
        let quoted = name_values(Keyword::Label, "\"a b\" c", '\\').unwrap();
        assert_eq!(quoted.values, ["\"a", "b\" c"]);
    }

    #[test]
    fn names_and_values_are_split_at_the_first_equals_sign() {
        let list = name_values(Keyword::Env, "a=b=c d= e=\"f g\"", '\\').unwrap();
        assert_eq!(list.values, ["a", "b=c", "d", "", "e", "\"f g\""]);
        assert!(!list.legacy);
        assert_eq!(
            name_values(Keyword::Env, "a=b c", '\\'),
            Err(SyntaxError::EqualsMissing("c".to_owned()))
        );
        assert_eq!(
            name_values(Keyword::Env, "a", '\\'),
            Err(SyntaxError::ValueMissing(Keyword::Env))
        );
    }
}
