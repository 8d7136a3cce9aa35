//! The first of two levels: a Dockerfile as a list of instructions, each with its flags
//! and arguments as words. Whether they make sense is not known here.

mod arguments;
mod split;

use arguments::Arguments;

use super::directives::{self, DirectiveZone};
use super::keyword::Shape;
use super::lines::{Lines, is_comment, split_continuation, without_ending};
use super::{Directives, Heredoc, Keyword, ParseError, Span, SyntaxError};

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ast {
    /// What the lines at the top ask for.
    pub directives: Directives,
    /// The instructions in the order of the file; never empty.
    pub nodes: Vec<Node>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The first word as written; may be no keyword at all.
    pub keyword: String,
    /// The flags with their dashes, without quotes.
    pub flags: Vec<String>,
    /// The arguments as this instruction splits them: ENV and LABEL as name, value,
    /// name, value; the shell form of RUN and its like as one. None for ONBUILD and for
    /// what is no instruction.
    pub args: Vec<String>,
    /// The arguments were a JSON array.
    pub json: bool,
    /// ENV or LABEL in the old form, a name and a value without `=`.
    pub legacy: bool,
    /// The here documents, in order; those of a trigger belong to its ONBUILD.
    pub heredocs: Vec<Heredoc>,
    /// The instruction behind ONBUILD, if there is one.
    pub trigger: Option<Box<Node>>,
    /// The instruction's text with its continuations joined, without here documents.
    pub original: String,
    /// From its first line to its last, here documents included.
    pub span: Span,
    /// The comments above it, without `#`; a bare `#` clears those above.
    pub comments: Vec<String>,
    /// The blank lines between its continued lines, which BuildKit warns of.
    pub empty_continuations: Vec<usize>,
}

impl Node {
    /// Returns the keyword; `None` if the first word is none.
    #[must_use]
    pub fn known_keyword(&self) -> Option<Keyword> {
        Keyword::of(&self.keyword)
    }

    fn takes_heredocs(&self) -> bool {
        let node = self.trigger.as_deref().unwrap_or(self);
        !node.json && node.known_keyword().is_some_and(Keyword::takes_heredocs)
    }
}

impl Ast {
    /// Takes a Dockerfile's text apart.
    ///
    /// # Errors
    /// If the text does not fall into instructions: see `SyntaxError`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader {
            lines: Lines::new(text),
            zone: DirectiveZone::default(),
            comments: Vec::new(),
        };
        let mut nodes = Vec::new();
        while let Some(node) = reader.instruction()? {
            nodes.push(node);
        }
        if nodes.is_empty() {
            let last = Span::line(reader.lines.number().max(1));
            return Err(ParseError::new(last, SyntaxError::NoInstructions));
        }
        Ok(Self {
            directives: directives::detect(text, reader.zone.escape()),
            nodes,
        })
    }
}

/// Reads a file from top to bottom, once.
struct Reader<'t> {
    lines: Lines<'t>,
    zone: DirectiveZone,
    /// The comments since the last instruction.
    comments: Vec<String>,
}

impl<'t> Reader<'t> {
    /// Reads up to the end of the next instruction; `None` if there is none left.
    fn instruction(&mut self) -> Result<Option<Node>, ParseError> {
        while let Some(line) = self.line()? {
            if let Some((first, continues)) = self.first_line(line)? {
                return self.node(first, continues).map(Some);
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<&'t str>, ParseError> {
        let line = self.lines.next();
        line.map_err(|(span, error)| ParseError::new(span, error))
    }

    /// Looks at a line outside any instruction: returns the text that starts one and
    /// whether it continues; `None` for a blank line, a comment or a directive.
    fn first_line(&mut self, line: &'t str) -> Result<Option<(&'t str, bool)>, ParseError> {
        let text = without_ending(line).trim_start();
        let is_directive = self
            .zone
            .read(text)
            .map_err(|error| ParseError::new(Span::line(self.lines.number()), error))?;
        if is_comment(text) {
            if !is_directive {
                self.remember_comment(line);
            }
            return Ok(None);
        }
        let (text, continues) = split_continuation(text, self.zone.escape());
        Ok((continues || !text.is_empty()).then_some((text, continues)))
    }

    fn remember_comment(&mut self, line: &str) {
        // BuildKit drops the first character, even where that is a blank and not the #.
        let mut characters = line.chars();
        characters.next();
        match characters.as_str().trim() {
            "" => self.comments.clear(),
            comment => self.comments.push(comment.to_owned()),
        }
    }

    /// Reads the rest of an instruction and takes it apart.
    fn node(&mut self, first: &str, continues: bool) -> Result<Node, ParseError> {
        let start = self.lines.number();
        let mut text = first.to_owned();
        let empty_continuations = self.continuations(&mut text, continues)?;
        let mut node = node_of(text, self.zone.escape())
            .map_err(|error| ParseError::new(Span::new(start, self.lines.number()), error))?;
        node.empty_continuations = empty_continuations;
        node.comments = std::mem::take(&mut self.comments);
        self.heredocs(&mut node, start)?;
        node.span = Span::new(start, self.lines.number());
        Ok(node)
    }

    /// Appends the lines that continue an instruction, and returns the blank ones among
    /// them. The end of the file ends an instruction as well.
    fn continuations(
        &mut self,
        text: &mut String,
        mut continues: bool,
    ) -> Result<Vec<usize>, ParseError> {
        let mut empty = Vec::new();
        while continues {
            let Some(line) = self.line()? else {
                break;
            };
            if is_comment(line) {
                continue;
            }
            let line = without_ending(line);
            if line.trim_start().is_empty() {
                empty.push(self.lines.number());
                continue;
            }
            let (part, goes_on) = split_continuation(line, self.zone.escape());
            text.push_str(part);
            continues = goes_on;
        }
        Ok(empty)
    }

    fn heredocs(&mut self, node: &mut Node, start: usize) -> Result<(), ParseError> {
        if !node.takes_heredocs() {
            return Ok(());
        }
        let span = Span::new(start, self.lines.number());
        let announced = Heredoc::of_line(&node.original)
            .map_err(|fault| ParseError::new(span, SyntaxError::HeredocName(fault)))?;
        for mut heredoc in announced {
            loop {
                let Some(line) = self.line()? else {
                    let span = Span::new(start, self.lines.number());
                    let error = SyntaxError::UnterminatedHeredoc(heredoc.name);
                    return Err(ParseError::new(span, error));
                };
                if heredoc.is_closed_by(line) {
                    break;
                }
                heredoc.content.push_str(line);
            }
            node.heredocs.push(heredoc);
        }
        Ok(())
    }
}

/// Takes one joined line apart.
fn node_of(text: String, escape: char) -> Result<Node, SyntaxError> {
    let line = split::split(&text);
    let keyword = Keyword::of(line.keyword);
    let mut trigger = None;
    if keyword == Some(Keyword::Onbuild) && !line.rest.is_empty() {
        trigger = Some(Box::new(trigger_of(line.rest, escape)?));
    }
    let arguments = match keyword {
        Some(keyword) => arguments_of(keyword, line.rest, escape)?,
        None => Arguments::default(),
    };
    Ok(Node {
        keyword: line.keyword.to_owned(),
        flags: line.flags,
        args: arguments.values,
        json: arguments.json,
        legacy: arguments.legacy,
        heredocs: Vec::new(),
        trigger,
        original: text,
        span: Span::line(1),
        comments: Vec::new(),
        empty_continuations: Vec::new(),
    })
}

/// Takes the instruction behind ONBUILD apart. One more ONBUILD is not opened: it is
/// refused later, and a file could nest them without end.
fn trigger_of(rest: &str, escape: char) -> Result<Node, SyntaxError> {
    let keyword = split::split(rest).keyword;
    if Keyword::of(keyword) != Some(Keyword::Onbuild) {
        return node_of(rest.to_owned(), escape);
    }
    node_of(keyword.to_owned(), escape)
}

fn arguments_of(keyword: Keyword, rest: &str, escape: char) -> Result<Arguments, SyntaxError> {
    match keyword.shape() {
        Shape::Words => Ok(arguments::words(rest)),
        Shape::JsonOrWords => arguments::json_or(rest, arguments::words),
        Shape::JsonOrText => arguments::json_or(rest, Arguments::text),
        Shape::WordThenJsonOrText => arguments::word_then_json_or_text(rest),
        Shape::NameValues => arguments::name_values(keyword, rest, escape),
        Shape::QuotedWords => Ok(arguments::quoted_words(rest, escape)),
        Shape::Text => Ok(Arguments::text(rest)),
        Shape::Nested => Ok(Arguments::default()),
    }
}

#[cfg(test)]
mod tests;
