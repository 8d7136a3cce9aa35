//! The second of two levels: what each instruction says, checked as far as that is
//! possible without values for variables.

mod convert;
mod copy;
mod device;
mod error;
mod expand;
mod from_names;
mod healthcheck;
mod onbuild;
mod run;

pub(super) use convert::{Converted, convert};
pub use copy::{AddInstruction, CopyInstruction, InlineFile, Sources};
pub use device::DeviceRequest;
pub use error::InstructionError;
pub use from_names::FromName;
pub use healthcheck::{HealthProbe, Healthcheck};
pub use onbuild::{OnbuildInstruction, parse_trigger};
pub use run::{Invocation, NetworkMode, RunInstruction, SecurityMode};

use super::{Keyword, Span};

/// An instruction of a stage, with all that was written around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it says.
    pub instruction: Instruction,
    /// How it was written.
    pub source: Source,
}

/// How an instruction was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// From its first line to its last, here documents included.
    pub span: Span,
    /// Its text, trimmed, with continuations joined and without here documents.
    pub text: String,
    /// Its first word in the case of the file.
    pub keyword: String,
    /// The comments above it, without `#`.
    pub comments: Vec<String>,
    /// The blank lines between its continued lines.
    pub empty_continuations: Vec<usize>,
}

/// What one instruction other than FROM says. Words are as written: unexpanded, with
/// their quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `ADD`
    Add(AddInstruction),
    /// `ARG`: the declarations in order; at least one.
    Arg(Vec<ArgDeclaration>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(CopyInstruction),
    /// `ENTRYPOINT`: an empty `Exec` means none.
    Entrypoint(CommandLine),
    /// `ENV`
    Env(NameValues),
    /// `EXPOSE`: the words, sorted bytewise as BuildKit does before it expands them.
    Expose(Vec<String>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(NameValues),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`
    Onbuild(OnbuildInstruction),
    /// `RUN`
    Run(RunInstruction),
    /// `SHELL`: at least one word.
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    Stopsignal(String),
    /// `USER`
    User(String),
    /// `VOLUME`: trimmed, none empty, at least one.
    Volume(Vec<String>),
    /// `WORKDIR`
    Workdir(String),
}

/// The start of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// What to start from: an earlier stage, `scratch` or an image; unexpanded.
    pub base: String,
    /// The stage's name.
    pub name: Option<StageName>,
    /// The value of `--platform`, unexpanded.
    pub platform: Option<String>,
}

/// The name of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageName {
    /// In lower case: how it is looked up.
    pub name: String,
    /// As written.
    pub written: String,
    /// The word `AS` in the case of the file.
    pub as_word: String,
}

/// One name that ARG declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The name, unexpanded.
    pub name: String,
    /// The default, unexpanded; `None` without `=`, which is not the same as empty.
    pub default: Option<String>,
}

/// The pairs of an ENV or LABEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameValues {
    /// Name and value, in order; at least one pair, no name empty as written.
    pub pairs: Vec<(String, String)>,
    /// It was written as one name and one value without `=`.
    pub legacy: bool,
}

/// What to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// The program and its arguments; possibly none at all.
    Exec(Vec<String>),
    /// A text for the SHELL; possibly empty.
    Shell(String),
}

impl Instruction {
    /// Returns the keyword that this instruction is written with.
    #[must_use]
    pub fn keyword(&self) -> Keyword {
        match self {
            Self::Add(_) => Keyword::Add,
            Self::Arg(_) => Keyword::Arg,
            Self::Cmd(_) => Keyword::Cmd,
            Self::Copy(_) => Keyword::Copy,
            Self::Entrypoint(_) => Keyword::Entrypoint,
            Self::Env(_) => Keyword::Env,
            Self::Expose(_) => Keyword::Expose,
            Self::Healthcheck(_) => Keyword::Healthcheck,
            Self::Label(_) => Keyword::Label,
            Self::Maintainer(_) => Keyword::Maintainer,
            Self::Onbuild(_) => Keyword::Onbuild,
            Self::Run(_) => Keyword::Run,
            Self::Shell(_) => Keyword::Shell,
            Self::Stopsignal(_) => Keyword::Stopsignal,
            Self::User(_) => Keyword::User,
            Self::Volume(_) => Keyword::Volume,
            Self::Workdir(_) => Keyword::Workdir,
        }
    }
}

#[cfg(test)]
mod tests;
