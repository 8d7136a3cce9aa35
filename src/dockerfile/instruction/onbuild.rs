//! ONBUILD: an instruction kept for the build of an image on top of this one.

use super::{Converted, Instruction, InstructionError, Source, Statement, convert};
use crate::dockerfile::ast::{Ast, Node};
use crate::dockerfile::flags::Flags;
use crate::dockerfile::{Keyword, ParseError, SyntaxError};

/// What ONBUILD says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnbuildInstruction {
    /// The trigger as the image config keeps it: the text behind the keyword with its
    /// continuations joined, and its here documents below. Not expanded, and checked no
    /// further than BuildKit does: an unknown instruction fails when it is triggered.
    pub trigger: String,
}

impl OnbuildInstruction {
    pub(super) fn of(node: &Node) -> Result<Self, InstructionError> {
        let Some(inner) = &node.trigger else {
            return Err(InstructionError::AtLeastOne(Keyword::Onbuild));
        };
        Flags::read(&node.flags, &[])?;
        check(inner.known_keyword())?;
        // Blanks at the end stay, as in BuildKit: an image's config has them too.
        let text = node.original.trim_start();
        let mut trigger = text[node.keyword.len()..].trim_start().to_owned();
        for heredoc in &node.heredocs {
            trigger.push('\n');
            trigger.push_str(&heredoc.content);
            trigger.push_str(&heredoc.name);
        }
        Ok(Self { trigger })
    }
}

/// Reads a trigger as an image config holds it. Its escape character is `\`.
///
/// # Errors
/// If the text is not exactly one instruction, or one that no trigger can be.
pub fn parse_trigger(text: &str) -> Result<Statement, ParseError> {
    let mut nodes = Ast::parse(text)?.nodes;
    let node = nodes.remove(0);
    if let Some(second) = nodes.first() {
        return Err(ParseError::new(second.span, SyntaxError::TriggerNotSingle));
    }
    let instruction = instruction(&node).map_err(|error| ParseError::new(node.span, error))?;
    Ok(Statement {
        instruction,
        source: Source::of(node),
    })
}

fn instruction(node: &Node) -> Result<Instruction, InstructionError> {
    check(node.known_keyword())?;
    match convert(node)? {
        Converted::Step(instruction) => Ok(instruction),
        Converted::Stage(_) => Err(InstructionError::Trigger(Keyword::From)),
    }
}

fn check(keyword: Option<Keyword>) -> Result<(), InstructionError> {
    if keyword == Some(Keyword::Onbuild) {
        return Err(InstructionError::ChainedOnbuild);
    }
    let refused = keyword.filter(|known| matches!(known, Keyword::From | Keyword::Maintainer));
    refused.map_or(Ok(()), |known| Err(InstructionError::Trigger(known)))
}

impl Source {
    pub(crate) fn of(node: Node) -> Self {
        Self {
            span: node.span,
            text: node.original.trim().to_owned(),
            keyword: node.keyword,
            comments: node.comments,
            empty_continuations: node.empty_continuations,
        }
    }
}
