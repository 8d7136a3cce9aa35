//! What an instruction takes files from besides the context.

use super::Instruction;

/// A name, as written. The two are looked up by different rules, see [`super::super::Dockerfile::source_stage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromName<'a> {
    /// Of `COPY --from`: a stage, its number, or an image.
    Copy(&'a str),
    /// Of `RUN --mount=from=`: a stage or an image.
    Mount(&'a str),
}

impl<'a> FromName<'a> {
    /// Returns the name itself.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Copy(name) | Self::Mount(name) => name,
        }
    }
}

impl Instruction {
    /// Returns the names in order. Empty for an instruction that takes files from nowhere else. Those of a trigger are
    /// not its own.
    #[must_use]
    pub fn from_names(&self) -> Vec<FromName<'_>> {
        match self {
            Self::Copy(copy) => copy
                .from
                .as_deref()
                .map(FromName::Copy)
                .into_iter()
                .collect(),
            Self::Run(run) => {
                let names = run.mounts.iter().filter_map(|mount| mount.from());
                names.map(FromName::Mount).collect()
            }
            Self::Add(_)
            | Self::Arg(_)
            | Self::Cmd(_)
            | Self::Entrypoint(_)
            | Self::Env(_)
            | Self::Expose(_)
            | Self::Healthcheck(_)
            | Self::Label(_)
            | Self::Maintainer(_)
            | Self::Onbuild(_)
            | Self::Shell(_)
            | Self::Stopsignal(_)
            | Self::User(_)
            | Self::Volume(_)
            | Self::Workdir(_) => Vec::new(),
        }
    }
}
