//! Stages: what each FROM starts, and how one is found by name or number.

use super::instruction::{From, FromName, Source, Statement};
use super::{Dockerfile, Span, suggest};

/// One FROM and the instructions below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What FROM says.
    pub from: From,
    /// How FROM was written.
    pub source: Source,
    /// The instructions in order; possibly none.
    pub statements: Vec<Statement>,
}

/// A stage that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// An instruction above the first FROM, other than ARG.
    #[error("no build stage in current context")]
    OutsideStage,
    /// A file without FROM.
    #[error("dockerfile contains no stages to build")]
    NoStages,
    /// The stage to build is none of the file's.
    #[error("target stage `{name}` could not be found{}", suggest::hint(.suggestion.as_deref()))]
    Target {
        /// The name that was asked for.
        name: String,
        /// A stage that is called almost so.
        suggestion: Option<String>,
    },
    /// A number beyond the last stage, or below zero.
    #[error("invalid stage index {0}")]
    Index(String),
    /// A number or name of the stage itself or one below it.
    #[error("cannot take files from stage `{0}`, it needs to be defined before current stage")]
    NotYet(String),
}

impl Stage {
    /// Returns the name that lookups use, in lower case.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.from.name.as_ref().map(|name| name.name.as_str())
    }
}

impl Dockerfile {
    /// Finds the stage that a FROM in stage number `current` means: of those above it that have the name, in any letter case, the last. `None`
    /// means that the name is no stage.
    #[must_use]
    pub fn stage_named(&self, name: &str, current: usize) -> Option<usize> {
        let name = name.to_lowercase();
        let above = &self.stages[..current.min(self.stages.len())];
        above.iter().rposition(|stage| stage.name() == Some(&name))
    }

    /// Finds the stage that `COPY --from` in stage number `current` means, by number or
    /// by name. `None` means that the name is no stage.
    ///
    /// # Errors
    /// If it is a number or a name of a stage that is not above, or a number of none.
    pub fn copy_source(&self, from: &str, current: usize) -> Result<Option<usize>, StageError> {
        let Some(index) = self.stage_index(from)? else {
            return self.mount_source(from, current);
        };
        if index >= current {
            return Err(StageError::NotYet(from.to_owned()));
        }
        Ok(Some(index))
    }

    /// Finds the stage that a mount in stage number `current` means. `None` means that the name is no stage: unlike in
    /// FROM, that of a later one is no image either (BuildKit frontend, `convert.go`).
    ///
    /// # Errors
    /// If only stages that are not above have the name.
    pub fn mount_source(&self, from: &str, current: usize) -> Result<Option<usize>, StageError> {
        let found = self.stage_named(from, current);
        match self.stage_named(from, self.stages.len()) {
            Some(_) if found.is_none() => Err(StageError::NotYet(from.to_owned())),
            Some(_) | None => Ok(found),
        }
    }

    /// Finds the stage that an instruction of stage `current` takes files from. `None` means that the name is no stage.
    /// For a mount a number is a name like others.
    ///
    /// # Errors
    /// If a name, or the number in a COPY, is that of a stage which is not above.
    pub fn source_stage(
        &self,
        from: FromName<'_>,
        current: usize,
    ) -> Result<Option<usize>, StageError> {
        match from {
            FromName::Copy(name) => self.copy_source(name, current),
            FromName::Mount(name) => self.mount_source(name, current),
        }
    }

    /// Finds the stage to build: the last, or the last that has the name, in any letter
    /// case. A number is no name.
    ///
    /// # Errors
    /// If no stage has the name.
    pub fn target(&self, name: Option<&str>) -> Result<usize, StageError> {
        let Some(name) = name else {
            return Ok(self.stages.len() - 1);
        };
        self.stage_named(name, self.stages.len()).ok_or_else(|| {
            let known: Vec<&str> = self.stages.iter().filter_map(Stage::name).collect();
            StageError::Target {
                name: name.to_owned(),
                suggestion: suggest::nearest_any_case(name, &known),
            }
        })
    }

    /// Returns the stage that somebody may have meant who wrote `name` at `span`, where it is no
    /// stage: one above, of almost that name.
    #[must_use]
    pub fn similar_stage(&self, name: &str, span: Span) -> Option<&str> {
        let above = |stage: &&Stage| stage.source.span.start < span.start;
        let above = self.stages.iter().filter(above);
        let known: Vec<&str> = above.filter_map(Stage::name).collect();
        let found = suggest::nearest(&name.to_lowercase(), &known)?;
        known.into_iter().find(|known| *known == found)
    }

    /// Reads a stage's number; `None` if the text is no number.
    pub(super) fn stage_index(&self, text: &str) -> Result<Option<usize>, StageError> {
        let Ok(number) = text.parse::<i64>() else {
            return Ok(None);
        };
        let index = usize::try_from(number).ok();
        let index = index.filter(|&index| index < self.stages.len());
        index
            .map(Some)
            .ok_or_else(|| StageError::Index(text.to_owned()))
    }
}
