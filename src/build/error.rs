//! An error at a place of the Dockerfile.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::dockerfile::Span;

/// The text of a Dockerfile under the name that messages use for it.
#[derive(Debug, Clone)]
pub struct DockerfileText {
    name: Arc<str>,
    text: Arc<str>,
}

impl DockerfileText {
    /// Keeps `text` for excerpts; `name` as the user typed it.
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the lines of `span` with their numbers from 1: the first few of many.
    pub fn lines_of(&self, span: Span) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines
            .map(|(index, line)| (index + 1, line))
            .skip(span.start.saturating_sub(1))
            .take_while(move |(number, _)| *number <= span.end)
            .take(EXCERPT_LINES_MAX)
    }

    /// Makes the error of something that went wrong at `span`.
    pub fn error_at(&self, span: Span, message: impl Into<String>) -> LocatedError {
        LocatedError {
            file: self.clone(),
            span,
            also: Box::default(),
            message: message.into().into(),
            source: None,
            hint: None,
            exit_code: None,
        }
    }
}

/// An error whose place in the Dockerfile is known.
#[derive(Debug)]
pub struct LocatedError {
    file: DockerfileText,
    span: Span,
    /// Other places that the message is about, in order.
    also: Box<[Span]>,
    message: Box<str>,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<Box<str>>,
    exit_code: Option<i32>,
}

/// Lines of the Dockerfile that an error shows; the rest of a long heredoc says nothing more.
const EXCERPT_LINES_MAX: usize = 8;

impl LocatedError {
    /// Shows these other places as well, which come after the first.
    pub fn also_at(mut self, spans: impl IntoIterator<Item = Span>) -> Self {
        self.also = spans.into_iter().collect();
        self
    }

    /// Adds what caused the error.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// Makes `code` the exit code of the program: a failing RUN's own.
    pub fn exit_code(mut self, code: i32) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// Returns the Dockerfile that it is about.
    pub fn file(&self) -> &DockerfileText {
        &self.file
    }

    /// Returns the lines that it is about first.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns what is wrong, without the place and the cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the exit code that the program should have; `None` for the usual one.
    pub fn wanted_exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Returns what to do about it.
    pub fn wanted_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the lines that the error is about, with their numbers from 1. Of each place the first
    /// few.
    pub fn excerpt(&self) -> Vec<(usize, &str)> {
        let spans = std::iter::once(&self.span).chain(&self.also);
        spans.flat_map(|span| self.file.lines_of(*span)).collect()
    }
}

impl fmt::Display for LocatedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}",
            self.file.name, self.span.start, self.message
        )
    }
}

impl Error for LocatedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
