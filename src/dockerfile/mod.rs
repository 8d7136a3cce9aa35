//! A Dockerfile's text, read as BuildKit reads it: first into instructions with their
//! words (`Ast`), then into stages of instructions with their meaning (`Dockerfile`).
//! Everything keeps the lines it came from.
//!
//! This room is pure: it knows no file, no network, no clock and no environment. Values
//! of variables are asked of whoever expands a word, and what an instruction does is for
//! others to know. Text is untrusted: no input panics, and none takes more than linear
//! time and a fixed depth of stack.
//!
//! Where BuildKit has quirks they are kept, and said at their place. On purpose different:
//! an error in a directive or a line that is too long is reported on its own line, where
//! BuildKit counts one too few; words with letters outside ASCII in flags stay whole.

mod ast;
mod circle;
mod csv;
mod directives;
mod duration;
mod error;
mod flags;
mod heredoc;
mod instruction;
mod json;
mod keyword;
mod lines;
pub mod lint;
mod mount;
mod span;
mod stage;
mod suggest;
mod words;

pub use ast::{Ast, Node};
pub use circle::Circle;
pub use csv::{CsvError, fields as csv_fields};
pub use directives::{Directive, Directives};
pub use duration::parse as parse_duration;
pub use error::{ParseError, ParseErrorKind, SyntaxError};
pub use flags::FlagError;
pub use heredoc::Heredoc;
pub use instruction::{
    AddInstruction, ArgDeclaration, CommandLine, CopyInstruction, DeviceRequest, From, FromName,
    HealthProbe, Healthcheck, InlineFile, Instruction, InstructionError, Invocation, NameValues,
    NetworkMode, OnbuildInstruction, RunInstruction, SecurityMode, Source, Sources, StageName,
    Statement, parse_trigger,
};
use instruction::{Converted, convert};
pub use keyword::Keyword;
pub use mount::{Mount, MountError, MountRequest, Owner, Sharing, parse_size};
pub use span::Span;
pub use stage::{Stage, StageError};
pub use suggest::nearest as nearest_name;
pub use words::{ExpandError, Expander, Fault, Lookup};

/// A whole Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What the lines at the top ask for, the escape character among it.
    pub directives: Directives,
    /// The ARGs above the first FROM, in order; possibly none.
    pub meta_args: Vec<MetaArg>,
    /// The stages in order; never empty.
    pub stages: Vec<Stage>,
}

/// An ARG above the first FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaArg {
    /// The declarations in order; at least one.
    pub args: Vec<ArgDeclaration>,
    /// How it was written.
    pub source: Source,
}

/// Reads a Dockerfile's text. Bytes that are no UTF-8 are best replaced before, as
/// `String::from_utf8_lossy` does: BuildKit takes such files as well.
///
/// # Errors
/// Where BuildKit would refuse the file for its text alone: a mistake in the grammar
/// anywhere comes before one in the use of an instruction.
pub fn parse(text: &str) -> Result<Dockerfile, ParseError> {
    Dockerfile::of(Ast::parse(text)?)
}

impl Dockerfile {
    /// Reads the meaning of a file that is already taken apart.
    ///
    /// # Errors
    /// If an instruction is unknown or not used as it must be, or if they make no stages.
    pub fn of(ast: Ast) -> Result<Self, ParseError> {
        let last = ast.nodes.last().map_or(Span::line(1), |node| node.span);
        let mut file = Self {
            directives: ast.directives,
            meta_args: Vec::new(),
            stages: Vec::new(),
        };
        for node in ast.nodes {
            file.add(node)?;
        }
        if file.stages.is_empty() {
            return Err(ParseError::new(last, StageError::NoStages));
        }
        file.check_indexes()?;
        Ok(file)
    }

    fn add(&mut self, node: Node) -> Result<(), ParseError> {
        let converted = convert(&node).map_err(|error| ParseError::new(node.span, error))?;
        let source = Source::of(node);
        match (converted, self.stages.last_mut()) {
            (Converted::Stage(from), _) => self.stages.push(Stage {
                from,
                source,
                statements: Vec::new(),
            }),
            (Converted::Step(instruction), Some(stage)) => stage.statements.push(Statement {
                instruction,
                source,
            }),
            (Converted::Step(Instruction::Arg(args)), None) => {
                self.meta_args.push(MetaArg { args, source });
            }
            (Converted::Step(_), None) => {
                return Err(ParseError::new(source.span, StageError::OutsideStage));
            }
        }
        Ok(())
    }

    /// Checks every mount that needs the value of no variable. A build checks those of
    /// the stages it needs when it runs them; this finds a mistake without a build, in
    /// any stage.
    ///
    /// # Errors
    /// If a mount cannot be used.
    pub fn check_mounts(&self) -> Result<(), ParseError> {
        for statement in self.stages.iter().flat_map(|stage| &stage.statements) {
            let Instruction::Run(run) = &statement.instruction else {
                continue;
            };
            let mut expander = Expander::new(self.directives.escape, &|_| None);
            for mount in run.mounts.iter().filter(|mount| mount.is_literal()) {
                mount.resolve(&mut expander).map_err(|error| {
                    ParseError::new(statement.source.span, InstructionError::from(error))
                })?;
            }
        }
        Ok(())
    }

    /// Checks that every `COPY --from` with a number means a stage of this file. Whether
    /// it is one above matters only if the stage is built.
    fn check_indexes(&self) -> Result<(), ParseError> {
        for statement in self.stages.iter().flat_map(|stage| &stage.statements) {
            if let Instruction::Copy(CopyInstruction {
                from: Some(from), ..
            }) = &statement.instruction
            {
                self.stage_index(from)
                    .map_err(|error| ParseError::new(statement.source.span, error))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
