//! What can be wrong with a word.

/// So much of a word is quoted in an error; it may be megabytes long.
const SHOWN_CHARS: usize = 80;

/// A word that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process `{word}`: {fault}")]
pub struct ExpandError {
    /// The word as written; a long one is cut.
    pub word: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl ExpandError {
    pub(super) fn new(word: &str, fault: Fault) -> Self {
        let shown = match word.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{}…", &word[..end]),
            None => word.to_owned(),
        };
        Self { word: shown, fault }
    }
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A quoted text does not end.
    #[error("unexpected end of statement while looking for matching {0}-quote")]
    UnclosedQuote(&'static str),
    /// A part of a substitution does not end.
    #[error("unexpected end of statement while looking for matching {0}")]
    Unclosed(char),
    /// The end of the word comes before the closing brace.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// The end of the word comes before the slash between pattern and replacement.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${:…` or `${{…`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// Something behind the name that is no known operator.
    #[error("unsupported modifier ({0}) in substitution")]
    UnsupportedModifier(String),
    /// A pattern that escapes what needs no escape, or that is too large.
    #[error("invalid pattern ({pattern}) in substitution: {reason}")]
    InvalidPattern {
        /// The pattern as it was when it was applied.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `${name:?message}` or `${name?message}` for a variable without a value.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The file's own message, or a standard one.
        message: String,
    },
    /// Substitutions are nested too deeply.
    #[error("substitutions are nested more than 100 deep")]
    TooDeep,
    /// The result would be longer than any argument can be.
    #[error("what the instruction expands to is longer than 16 MiB")]
    TooLong,
}

impl Fault {
    /// Says whether a limit of ours was reached, as opposed to a mistake in the grammar.
    pub(in crate::dockerfile) fn is_limit(&self) -> bool {
        matches!(self, Self::TooDeep | Self::TooLong)
    }
}
