//! Words: quotes, escapes and `$variables`, as a Dockerfile knows them.
//!
//! It looks like a shell's grammar and is a smaller one: no commands, no arithmetic, no
//! splitting except where an instruction asks for it. Nothing here knows which
//! instruction a word belongs to, or where the values of variables come from.

mod dollar;
mod error;
mod pattern;
mod split;

use std::collections::BTreeSet;

pub use error::{ExpandError, Fault};
use split::WordList;

/// How deep `${a:-${b:-…}}` may nest. Real files stay below five; each level is a call
/// on the stack.
const MAX_DEPTH: usize = 100;

/// How long one expanded word may become, and all those of one instruction together. A
/// line of `$a$a` doubles its input, so a few dozen lines could otherwise ask for more
/// memory than there is; and so could one line of thousands of words.
const MAX_WORD_BYTES: usize = 16 * 1024 * 1024;

/// Looks a variable up by name; `None` if it is unset.
pub type Lookup<'v> = dyn Fn(&str) -> Option<String> + 'v;

/// Expands the words of one instruction, and remembers which variables they named.
pub struct Expander<'v> {
    escape: char,
    lookup: &'v Lookup<'v>,
    names: Names,
    /// The bytes of all words that were expanded.
    expanded: usize,
}

/// The variables that words named so far.
#[derive(Debug, Default)]
struct Names {
    used: BTreeSet<String>,
    unset: BTreeSet<String>,
}

impl<'v> Expander<'v> {
    /// Makes an expander for a file whose escape character is `escape`.
    pub fn new(escape: char, lookup: &'v Lookup<'v>) -> Self {
        Self {
            escape,
            lookup,
            names: Names::default(),
            expanded: 0,
        }
    }

    /// Expands one word to one word: blanks are kept, quotes are removed.
    ///
    /// # Errors
    /// If a quote or brace is not closed, a substitution is malformed, or `${name:?}`
    /// says so.
    pub fn word(&mut self, word: &str) -> Result<String, ExpandError> {
        Ok(self.lex(word, Mode::word(self.escape))?.0)
    }

    /// Expands one word to any number of words: what comes out of quotes stays together,
    /// everything else is split at blanks after expansion. Empty words vanish.
    ///
    /// # Errors
    /// As `word`.
    pub fn words(&mut self, word: &str) -> Result<Vec<String>, ExpandError> {
        Ok(self.lex(word, Mode::word(self.escape))?.1)
    }

    /// Expands the body of a here document: quotes are ordinary characters, and the
    /// escape character is `\` whatever the file says.
    ///
    /// # Errors
    /// As `word`.
    pub fn body(&mut self, body: &str) -> Result<String, ExpandError> {
        Ok(self.lex(body, Mode::BODY)?.0)
    }

    /// Returns the names that were looked up and found. Belongs into a cache key.
    #[must_use]
    pub fn used(&self) -> &BTreeSet<String> {
        &self.names.used
    }

    /// Returns the names that were looked up and are unset, where the word does not say what
    /// is meant then: `${name:-a}`, `${name:+a}` and `${name:?a}` do.
    #[must_use]
    pub fn unset(&self) -> &BTreeSet<String> {
        &self.names.unset
    }

    fn lex(&mut self, text: &str, mode: Mode) -> Result<(String, Vec<String>), ExpandError> {
        let lexed = lex(text, mode, self.lookup, &mut self.names)
            .map_err(|fault| ExpandError::new(text, fault))?;
        self.expanded += lexed.0.len();
        if self.expanded > MAX_WORD_BYTES {
            return Err(ExpandError::new(text, Fault::TooLong));
        }
        Ok(lexed)
    }
}

/// Splits text into words without expanding it: quotes, escapes and variables stay as
/// they are written. As here documents are looked for; the escape character is `\`.
pub(super) fn split_raw(text: &str) -> Result<Vec<String>, Fault> {
    let mode = Mode {
        keep_escapes: true,
        ..Mode::heredoc_word(true)
    };
    lex(text, mode, &|_| None, &mut Names::default()).map(|lexed| lexed.1)
}

/// Splits the word behind `<<` without expanding variables; quotes are kept or removed.
pub(super) fn split_heredoc_word(text: &str, keep_quotes: bool) -> Result<Vec<String>, Fault> {
    let mode = Mode::heredoc_word(keep_quotes);
    lex(text, mode, &|_| None, &mut Names::default()).map(|lexed| lexed.1)
}

/// What is special in the text, and what stays as written.
#[derive(Debug, Clone, Copy)]
struct Mode {
    escape: char,
    /// Quotes quote. Otherwise they are ordinary characters.
    quotes: bool,
    /// Quotes that quote stay in the result.
    keep_quotes: bool,
    /// Escape characters that escape stay in the result.
    keep_escapes: bool,
    /// A variable that is unset stays as written.
    keep_unset: bool,
}

impl Mode {
    const BODY: Self = Self {
        quotes: false,
        ..Self::word('\\')
    };

    const fn word(escape: char) -> Self {
        Self {
            escape,
            quotes: true,
            keep_quotes: false,
            keep_escapes: false,
            keep_unset: false,
        }
    }

    const fn heredoc_word(keep_quotes: bool) -> Self {
        Self {
            keep_quotes,
            keep_unset: true,
            ..Self::word('\\')
        }
    }
}

fn lex(
    text: &str,
    mode: Mode,
    lookup: &Lookup<'_>,
    names: &mut Names,
) -> Result<(String, Vec<String>), Fault> {
    let mut lexer = Lexer {
        rest: text,
        mode,
        lookup,
        names,
        depth: 0,
    };
    let mut words = WordList::default();
    let text = lexer.until(None, mode.keep_escapes, Some(&mut words))?;
    Ok((text, words.finish()))
}

/// Reads a text from front to back, once.
struct Lexer<'t, 'l> {
    rest: &'t str,
    mode: Mode,
    lookup: &'l Lookup<'l>,
    names: &'l mut Names,
    depth: usize,
}

impl Lexer<'_, '_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    /// Reads up to and without `stop`, or to the end of the text where there is none to
    /// stop at. `words` collects the words that the outermost text falls into.
    fn until(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
        mut words: Option<&mut WordList>,
    ) -> Result<String, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        let outer = std::mem::replace(&mut self.mode.keep_escapes, keep_escapes);
        let mut text = String::new();
        let is_closed = loop {
            let Some(character) = self.peek() else {
                break stop.is_none();
            };
            if stop == Some(character) {
                self.next();
                break true;
            }
            self.piece(character, &mut text, words.as_deref_mut())?;
            if text.len() > MAX_WORD_BYTES {
                return Err(Fault::TooLong);
            }
        };
        self.mode.keep_escapes = outer;
        self.depth -= 1;
        match stop {
            Some(stop) if !is_closed => Err(Fault::Unclosed(stop)),
            _ => Ok(text),
        }
    }

    /// Reads what starts with `first`: an ordinary character, an escaped one, a quoted
    /// text or a substitution.
    fn piece(
        &mut self,
        first: char,
        text: &mut String,
        words: Option<&mut WordList>,
    ) -> Result<(), Fault> {
        let mut unheard = WordList::default();
        let words = words.unwrap_or(&mut unheard);
        match first {
            '$' => {
                let value = self.dollar()?;
                text.push_str(&value);
                words.add_splitting(&value);
            }
            '\'' | '"' if self.mode.quotes => {
                let quoted = if first == '"' {
                    self.double_quoted()?
                } else {
                    self.single_quoted()?
                };
                text.push_str(&quoted);
                words.add_whole(&quoted);
            }
            '<' if self.rest.starts_with("<<") => {
                // Blanks between << and a here document's name belong to the same word.
                let name = self.rest[2..].trim_start();
                let (sign, rest) = self.rest.split_at(self.rest.len() - name.len());
                self.rest = rest;
                text.push_str(sign);
                words.add_whole(sign);
            }
            _ if first == self.mode.escape => self.escaped(text, words),
            _ => {
                self.next();
                text.push(first);
                words.add_char(first);
            }
        }
        Ok(())
    }

    /// Reads an escape character and what it escapes. One at the very end is dropped.
    fn escaped(&mut self, text: &mut String, words: &mut WordList) {
        let escape = self.mode.escape;
        self.next();
        if self.mode.keep_escapes {
            text.push(escape);
            words.add_whole(escape.encode_utf8(&mut [0; 4]));
        }
        if let Some(character) = self.next() {
            text.push(character);
            words.add_whole(character.encode_utf8(&mut [0; 4]));
        }
    }

    /// Reads a text in single quotes: nothing in it is special.
    fn single_quoted(&mut self) -> Result<String, Fault> {
        let (quoted, rest) = self.rest[1..]
            .split_once('\'')
            .ok_or(Fault::UnclosedQuote("single"))?;
        self.rest = rest;
        Ok(if self.mode.keep_quotes {
            format!("'{quoted}'")
        } else {
            quoted.to_owned()
        })
    }

    /// Reads a text in double quotes: `$` substitutes, and the escape character escapes
    /// `"`, `$` and itself but stays in front of anything else.
    fn double_quoted(&mut self) -> Result<String, Fault> {
        let mut text = String::new();
        self.next();
        if self.mode.keep_quotes {
            text.push('"');
        }
        loop {
            if text.len() > MAX_WORD_BYTES {
                return Err(Fault::TooLong);
            }
            match self.peek().ok_or(Fault::UnclosedQuote("double"))? {
                '$' => {
                    let value = self.dollar()?;
                    text.push_str(&value);
                }
                '"' => {
                    self.next();
                    if self.mode.keep_quotes {
                        text.push('"');
                    }
                    return Ok(text);
                }
                character if character == self.mode.escape => {
                    self.next();
                    if self.mode.keep_escapes {
                        text.push(character);
                    }
                    let escaped = self
                        .peek()
                        .filter(|next| ['"', '$', self.mode.escape].contains(next));
                    if escaped.is_some() {
                        self.next();
                    }
                    text.push(escaped.unwrap_or(character));
                }
                character => {
                    self.next();
                    text.push(character);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
