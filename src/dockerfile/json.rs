//! The JSON form of an instruction: exactly one array, of strings only.
//!
//! Text that is no JSON array is no error here: it is the other form of the instruction.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a text turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonForm {
    /// One array of strings; possibly empty.
    Strings(Vec<String>),
    /// One array, but with an element that is no string: always an error.
    OtherElements,
    /// Anything else: the shell form or the word form.
    NotAnArray,
}

/// Reads the text behind an instruction's flags.
pub(super) fn read(text: &str) -> JsonForm {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return JsonForm::NotAnArray;
    }
    let text = without_lone_surrogates(text);
    let Ok(elements) = serde_json::from_str::<Vec<Element>>(&text) else {
        return JsonForm::NotAnArray;
    };
    let strings: Option<Vec<String>> = elements.into_iter().map(|element| element.0).collect();
    strings.map_or(JsonForm::OtherElements, JsonForm::Strings)
}

/// Replaces `\uXXXX` escapes of half a surrogate pair by the replacement character, as
/// Go's decoder does; our decoder would call the whole text invalid.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut fixed = String::new();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match surrogate_at(bytes, at) {
            Some(high) if high < 0xDC00 && is_low(surrogate_at(bytes, at + 6)) => at += 12,
            Some(_) => {
                fixed.push_str(&text[copied..at]);
                fixed.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            // The byte behind a backslash is part of the escape, whatever it is.
            None => at += 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    fixed.push_str(&text[copied..]);
    Cow::Owned(fixed)
}

fn is_low(unit: Option<u32>) -> bool {
    unit.is_some_and(|unit| unit >= 0xDC00)
}

/// Reads a `\uXXXX` escape at `at` if it names half a surrogate pair.
fn surrogate_at(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let unit = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xD800..0xE000).contains(&unit).then_some(unit)
}

/// One element: the string, or `None` for any other JSON value.
struct Element(Option<String>);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor).map(Element)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(text))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    // What is inside is skipped without recursion, so depth costs no stack.
    fn visit_seq<A: SeqAccess<'de>>(self, mut inner: A) -> Result<Self::Value, A::Error> {
        while inner.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut inner: A) -> Result<Self::Value, A::Error> {
        while inner.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Vec<String> {
        match read(text) {
            JsonForm::Strings(strings) => strings,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn an_array_of_strings_is_read_with_its_escapes() {
        assert_eq!(
            strings(r#"["a","b\tc","\u00e9\u0000"]"#),
            ["a", "b\tc", "é\0"]
        );
        assert_eq!(strings(" [ ] "), Vec::<String>::new());
    }

    #[test]
    fn a_surrogate_pair_is_one_character_and_half_of_one_is_replaced() {
        assert_eq!(strings(r#"["\ud83d\ude00"]"#), ["😀"]);
        assert_eq!(
            strings(r#"["a\ud83d","\ude00","\\ud83d"]"#),
            ["a\u{fffd}", "\u{fffd}", "\\ud83d"]
        );
    }

    #[test]
    fn another_element_than_a_string_is_told_apart_from_no_array() {
        for text in [
            "[1]",
            r#"["a", true]"#,
            "[null]",
            "[[]]",
            r#"[{"a":[1]}]"#,
            "[1.5]",
            "[-1]",
        ] {
            assert_eq!(read(text), JsonForm::OtherElements, "{text}");
        }
        for text in [
            "['a']",
            r#"["a",]"#,
            r#"["a"] x"#,
            "[",
            r#"["a]"#,
            "{}",
            "x",
            "",
        ] {
            assert_eq!(read(text), JsonForm::NotAnArray, "{text}");
        }
    }

    #[test]
    fn a_million_brackets_are_no_stack_overflow() {
        assert_eq!(read(&"[".repeat(1_000_000)), JsonForm::NotAnArray);
        let nested = format!("[{}{}]", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(read(&nested), JsonForm::OtherElements);
    }
}
