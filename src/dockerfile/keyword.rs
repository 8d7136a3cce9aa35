//! The names of the instructions, and how the text behind each is taken apart.

/// An instruction's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyword {
    /// `ADD`
    Add,
    /// `ARG`
    Arg,
    /// `CMD`
    Cmd,
    /// `COPY`
    Copy,
    /// `ENTRYPOINT`
    Entrypoint,
    /// `ENV`
    Env,
    /// `EXPOSE`
    Expose,
    /// `FROM`
    From,
    /// `HEALTHCHECK`
    Healthcheck,
    /// `LABEL`
    Label,
    /// `MAINTAINER`
    Maintainer,
    /// `ONBUILD`
    Onbuild,
    /// `RUN`
    Run,
    /// `SHELL`
    Shell,
    /// `STOPSIGNAL`
    Stopsignal,
    /// `USER`
    User,
    /// `VOLUME`
    Volume,
    /// `WORKDIR`
    Workdir,
}

/// How the text behind an instruction's name and flags becomes arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Words between blanks; quotes mean nothing.
    Words,
    /// A JSON array of strings, or else words between blanks.
    JsonOrWords,
    /// A JSON array of strings, or else the whole text as one argument.
    JsonOrText,
    /// A first word, then a JSON array of strings or the rest of the text.
    WordThenJsonOrText,
    /// `name=value` words, or the old form: a name, a blank, and the rest as value.
    NameValues,
    /// Words in which quotes and escapes keep blanks together.
    QuotedWords,
    /// The whole text as one argument.
    Text,
    /// Another instruction.
    Nested,
}

impl Keyword {
    /// Every keyword, in alphabetical order.
    pub const ALL: [Self; 18] = [
        Self::Add,
        Self::Arg,
        Self::Cmd,
        Self::Copy,
        Self::Entrypoint,
        Self::Env,
        Self::Expose,
        Self::From,
        Self::Healthcheck,
        Self::Label,
        Self::Maintainer,
        Self::Onbuild,
        Self::Run,
        Self::Shell,
        Self::Stopsignal,
        Self::User,
        Self::Volume,
        Self::Workdir,
    ];

    /// Finds the keyword of a word in any letter case; `None` for any other word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|keyword| keyword.as_str().eq_ignore_ascii_case(word))
    }

    /// Returns the name in upper case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Arg => "ARG",
            Self::Cmd => "CMD",
            Self::Copy => "COPY",
            Self::Entrypoint => "ENTRYPOINT",
            Self::Env => "ENV",
            Self::Expose => "EXPOSE",
            Self::From => "FROM",
            Self::Healthcheck => "HEALTHCHECK",
            Self::Label => "LABEL",
            Self::Maintainer => "MAINTAINER",
            Self::Onbuild => "ONBUILD",
            Self::Run => "RUN",
            Self::Shell => "SHELL",
            Self::Stopsignal => "STOPSIGNAL",
            Self::User => "USER",
            Self::Volume => "VOLUME",
            Self::Workdir => "WORKDIR",
        }
    }

    /// Returns how this instruction's arguments are split.
    pub(super) fn shape(self) -> Shape {
        match self {
            Self::From | Self::Expose => Shape::Words,
            Self::Add | Self::Copy | Self::Volume => Shape::JsonOrWords,
            Self::Run | Self::Cmd | Self::Entrypoint | Self::Shell => Shape::JsonOrText,
            Self::Healthcheck => Shape::WordThenJsonOrText,
            Self::Env | Self::Label => Shape::NameValues,
            Self::Arg => Shape::QuotedWords,
            Self::User | Self::Workdir | Self::Stopsignal | Self::Maintainer => Shape::Text,
            Self::Onbuild => Shape::Nested,
        }
    }

    /// Says whether here documents may follow this instruction.
    pub(super) fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

impl std::fmt::Display for Keyword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}
