//! Go's `filepath.Match`: the wildcards of COPY and ADD, and of `--ignore-path`. Knows strings, not files.
//!
//! `*` and `?` match anything but `/`; `[a-z]` and `[^a-z]` match one character of a
//! class or outside it; `\` takes the special meaning off the next character.

/// A pattern that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern `{0}`")]
pub struct BadPattern(pub String);

/// A pattern, ready to be applied.
#[derive(Debug, Clone)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of characters but `/`.
    Star,
    /// One character but `/`.
    Any,
    /// One character of a class.
    Class(Class),
    /// This character.
    Literal(char),
}

/// A class of characters: those in some ranges, or those outside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Whether it holds what is outside of the ranges.
    pub negated: bool,
    /// First and last character of each range; at least one. May be the wrong way
    /// round, and then holds nothing.
    pub ranges: Vec<(char, char)>,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If a class is empty or not closed, or nothing follows a `\`.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let mut parts = Vec::new();
        let mut rest = pattern.chars();
        while let Some(character) = rest.next() {
            let part = match character {
                '*' => Part::Star,
                '?' => Part::Any,
                '[' => {
                    let class = class(&mut rest);
                    Part::Class(class.ok_or_else(|| BadPattern(pattern.to_owned()))?)
                }
                '\\' => {
                    let escaped = rest.next();
                    Part::Literal(escaped.ok_or_else(|| BadPattern(pattern.to_owned()))?)
                }
                _ => Part::Literal(character),
            };
            // Two stars in a row match what one does.
            if part != Part::Star || parts.last() != Some(&Part::Star) {
                parts.push(part);
            }
        }
        Ok(Self { parts })
    }

    /// Says whether a pattern has anything in it that is not literal, as COPY asks to
    /// tell a path from a wildcard.
    #[must_use]
    pub fn has_wildcards(pattern: &str) -> bool {
        pattern.contains(['*', '?', '[', '\\'])
    }

    /// Says whether the whole name matches. Time is at most pattern times name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where to go on if the last star has to take one character more.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match self.parts.get(part) {
                None if at == name.len() => return true,
                Some(Part::Star) => {
                    part += 1;
                    retry = Some((part, at));
                    continue;
                }
                Some(wanted) if name.get(at).is_some_and(|&found| wanted.takes(found)) => {
                    part += 1;
                    at += 1;
                    continue;
                }
                None | Some(_) => {}
            }
            match retry {
                Some((behind_star, from)) if name.get(from).is_some_and(|&taken| taken != '/') => {
                    retry = Some((behind_star, from + 1));
                    (part, at) = (behind_star, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Part {
    fn takes(&self, found: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => found != '/',
            Self::Class(class) => class.holds(found),
            Self::Literal(wanted) => *wanted == found,
        }
    }
}

impl Class {
    fn holds(&self, found: char) -> bool {
        let is_in = |&(low, high): &(char, char)| low <= found && found <= high;
        self.ranges.iter().any(is_in) != self.negated
    }
}

/// Reads a class behind its `[`. `None` if it is not one.
pub fn class(rest: &mut std::str::Chars<'_>) -> Option<Class> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Some(Class { negated, ranges });
        }
        let low = class_character(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = class_character(rest)?;
        }
        ranges.push((low, high));
    }
}

fn class_character(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        character => Some(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn wildcards_match_within_one_component() {
        for (pattern, name) in [
            ("", ""),
            ("abc", "abc"),
            ("*", "abc"),
            ("*", ""),
            ("*c", "abc"),
            ("a*", "a"),
            ("a*b*c", "axbxbxc"),
            ("a*/b", "abc/b"),
            ("a?c", "abc"),
            ("a?c", "aéc"),
            ("ab[b-d]", "abc"),
            ("ab[^e-g]", "abc"),
            ("[a-zé]", "é"),
            ("a\\*b", "a*b"),
            ("[\\]a]", "]"),
            ("[\\-]", "-"),
            ("[!a]", "!"),
            ("**/x", "a/x"),
            ("*.tar.*", "x.tar.gz"),
            ("[^a]", "/"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn wildcards_do_not_cross_a_slash() {
        for (pattern, name) in [
            ("*", "a/b"),
            ("a*b", "a/b"),
            ("a?b", "a/b"),
            ("a*/b", "a/c/b"),
            ("**/x", "a/b/x"),
            ("abc", "abcd"),
            ("abcd", "abc"),
            ("ab[e-g]", "abc"),
            ("ab[^b-d]", "abc"),
            ("a\\*b", "axb"),
            ("*x", "a/x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_malformed_pattern_is_an_error_wherever_it_is_malformed() {
        for pattern in [
            "[", "[]", "[]a]", "[^]", "[a", "[a-", "[a-]", "[-a]", "\\", "x[", "x\\", "[\\",
        ] {
            assert_eq!(
                Glob::new(pattern).unwrap_err(),
                BadPattern(pattern.to_owned())
            );
        }
    }

    #[test]
    fn many_stars_cost_no_exponential_time() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!matches(&pattern, &"a".repeat(4_000)));
    }
}
