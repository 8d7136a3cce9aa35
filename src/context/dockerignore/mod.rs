//! `.dockerignore`: which paths of a context are not part of it. The same patterns serve
//! `COPY --exclude`. Knows text and paths, not files.
//!
//! It is no `.gitignore`: a pattern means the path from the context's root, the last
//! pattern that matches wins, and a pattern that matches a directory matches all below.

mod pattern;

use std::borrow::Cow;
use std::path::{Component, Path};

use pattern::Pattern;

/// A list of patterns.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// One pattern of a list.
#[derive(Debug, Clone)]
struct Rule {
    /// The line in the file, from 1; the place in the list for a list.
    line: usize,
    /// It starts with `!`: what it matches is kept after all.
    keeps: bool,
    pattern: Pattern,
}

/// A list of patterns that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A `!` with nothing behind it.
    #[error("illegal exclusion pattern: \"!\" on line {line}")]
    LoneExclamationMark {
        /// The line, from 1.
        line: usize,
    },
    /// A pattern outside the grammar, or too large.
    #[error("syntax error in pattern `{pattern}` on line {line}")]
    BadPattern {
        /// The line, from 1.
        line: usize,
        /// The pattern as it was understood.
        pattern: String,
    },
}

impl Ignore {
    /// Reads the text of an ignore file. A `#` makes a comment in the first column only.
    ///
    /// # Errors
    /// If a line is no pattern.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (keeps, rest) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let cleaned = clean(rest);
            let relative = match cleaned.strip_prefix('/') {
                Some(relative) if !relative.is_empty() => relative,
                _ => &cleaned,
            };
            let sign = if keeps { "!" } else { "" };
            rules.extend(Rule::of(&format!("{sign}{relative}"), index + 1)?);
        }
        Ok(Self { rules })
    }

    /// Reads a list of patterns, such as the values of `--exclude`. Unlike those of a
    /// file, a pattern that starts with `/` matches no relative path.
    ///
    /// # Errors
    /// If an element is no pattern; its line is its place in the list, from 1.
    pub fn from_patterns<S: AsRef<str>>(patterns: &[S]) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            rules.extend(Rule::of(pattern.as_ref(), index + 1)?);
        }
        Ok(Self { rules })
    }

    /// Says whether there is no pattern at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Says whether a pattern starts with `!`.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.keeps)
    }

    /// Says whether one pattern ignores all that lies at the top, whatever its name (BuildKit frontend, `validations.go`).
    #[must_use]
    pub fn takes_everything(&self) -> bool {
        let mut rules = self.rules.iter().filter(|rule| !rule.keeps);
        rules.any(|rule| ["*", "**", "**/*"].contains(&rule.pattern.text()))
    }

    /// Says whether a path, relative to the context, is ignored. The root never is.
    #[must_use]
    pub fn is_ignored(&self, path: impl AsRef<Path>) -> bool {
        self.verdict(&components(path.as_ref()))
            .is_some_and(|rule| !rule.keeps)
    }

    /// Returns the line of the pattern that decides about a path: the last that matches
    /// it and changes what those above say. `None` if none does; the path is then kept.
    #[must_use]
    pub fn deciding_line(&self, path: impl AsRef<Path>) -> Option<usize> {
        self.verdict(&components(path.as_ref()))
            .map(|rule| rule.line)
    }

    /// Says whether a walk may leave a directory out with all that is in it: it is
    /// ignored, and no pattern with `!` can match anything below.
    #[must_use]
    pub fn may_skip_dir(&self, path: impl AsRef<Path>) -> bool {
        let names = components(path.as_ref());
        if self.verdict(&names).is_none_or(|rule| rule.keeps) {
            return false;
        }
        let mut exceptions = self.rules.iter().filter(|rule| rule.keeps);
        !exceptions.any(|rule| rule.pattern.may_match_below(&names))
    }

    /// Says whether a pattern without `!` can match anything below a directory. May say yes too often, never no.
    #[must_use]
    pub fn may_match_below(&self, path: impl AsRef<Path>) -> bool {
        let names = components(path.as_ref());
        let mut rules = self.rules.iter().filter(|rule| !rule.keeps);
        rules.any(|rule| rule.pattern.may_match_below(&names))
    }

    fn verdict(&self, names: &[Cow<'_, str>]) -> Option<&Rule> {
        let path = names.join("/");
        let mut deciding: Option<&Rule> = None;
        for rule in &self.rules {
            // A pattern that would change nothing need not be tried.
            let is_ignored = deciding.is_some_and(|rule| !rule.keeps);
            if rule.keeps == is_ignored
                && with_parents(&path).any(|path| rule.pattern.matches(path))
            {
                deciding = Some(rule);
            }
        }
        deciding
    }
}

impl Rule {
    /// Reads one pattern; `None` for a blank one.
    fn of(text: &str, line: usize) -> Result<Option<Self>, IgnoreError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let cleaned = clean(text);
        let (keeps, pattern) = match cleaned.strip_prefix('!') {
            Some("") => return Err(IgnoreError::LoneExclamationMark { line }),
            Some(pattern) => (true, pattern),
            None => (false, cleaned.as_str()),
        };
        let pattern = Pattern::new(pattern).map_err(|bad| IgnoreError::BadPattern {
            line,
            pattern: bad.0,
        })?;
        Ok(Some(Self {
            line,
            keeps,
            pattern,
        }))
    }
}

/// The names in a path; `.`, `..` and the root do not count. What is no UTF-8 can only
/// be matched by wildcards.
fn components(path: &Path) -> Vec<Cow<'_, str>> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    });
    names.collect()
}

/// The path and all its parents, the longest first.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    let whole = Some(path).filter(|path| !path.is_empty());
    std::iter::successors(whole, |path| path.rsplit_once('/').map(|split| split.0))
}

/// Shortens a path by its text alone, as Go's `filepath.Clean` does; empty stays empty.
fn clean(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let is_rooted = path.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|&last| last != "..") => {
                names.pop();
            }
            ".." if is_rooted => {}
            _ => names.push(name),
        }
    }
    let root = if is_rooted { "/" } else { "" };
    let joined = format!("{root}{}", names.join("/"));
    if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
