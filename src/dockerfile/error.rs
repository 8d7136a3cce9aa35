//! What can be wrong with a Dockerfile, and on which lines.

use super::{InstructionError, Span, StageError, words::Fault};

/// A Dockerfile that cannot be built as it is written. Its text says what is wrong; the
/// file's name and the lines themselves are for the reader of the error to add.
#[derive(Debug)]
pub struct ParseError {
    /// The lines that are wrong: those of the whole instruction, where one is.
    pub span: Span,
    /// What is wrong with them.
    pub kind: ParseErrorKind,
}

impl ParseError {
    pub(super) fn new(span: Span, kind: impl Into<ParseErrorKind>) -> Self {
        Self {
            span,
            kind: kind.into(),
        }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind.fmt(formatter)
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

/// At which level something is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ParseErrorKind {
    /// The text does not fall into instructions.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// An instruction is unknown, or not used as it must be.
    #[error(transparent)]
    Instruction(#[from] InstructionError),
    /// The instructions do not make stages.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// Why a text does not fall into instructions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Nothing but blank lines, comments and directives.
    #[error("file with no instructions")]
    NoInstructions,
    /// A physical line is longer than BuildKit reads.
    #[error("dockerfile line greater than max allowed size of 65535")]
    LineTooLong,
    /// A parser directive is given twice.
    #[error("only one {0} parser directive can be used")]
    DuplicateDirective(&'static str),
    /// The escape directive asks for another character than `\` or a backtick.
    #[error("invalid escape token '{0}' does not match ` or \\")]
    InvalidEscape(String),
    /// A JSON array with an element that is no string.
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    JsonNotStrings,
    /// A name without a value, in the old form of ENV or LABEL.
    #[error("{0} must have two arguments")]
    ValueMissing(super::Keyword),
    /// A word without `=` behind others that have one, in ENV or LABEL.
    #[error("syntax error - can't find = in {0:?}. must be of the form: name=value")]
    EqualsMissing(String),
    /// The file ends before a here document does.
    #[error("unterminated heredoc `{0}`")]
    UnterminatedHeredoc(String),
    /// The name of a here document cannot be read.
    #[error("invalid heredoc name: {0}")]
    HeredocName(Fault),
    /// A trigger in an image's config is not one single instruction.
    #[error("onbuild trigger should be a single expression")]
    TriggerNotSingle,
}
