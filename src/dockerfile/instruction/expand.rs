//! Which words of an instruction are expanded, and which are not: decided here and
//! nowhere else.

use super::{AddInstruction, CopyInstruction, Instruction, NameValues, Sources};
use crate::dockerfile::{ExpandError, Expander};

impl Instruction {
    /// Returns this instruction with its words expanded, and with their quotes removed.
    /// All values are those from before the instruction.
    ///
    /// Expanded are: names and values of ENV and LABEL; EXPOSE, of which a word may become
    /// several; STOPSIGNAL, USER, VOLUME and WORKDIR; `--chown`, `--chmod`, `--checksum`,
    /// sources, destination and unquoted here documents of ADD and COPY. `--exclude` and
    /// `--from` are not, nor is the text of CMD, ENTRYPOINT, HEALTHCHECK, MAINTAINER,
    /// ONBUILD, RUN and SHELL. Two are left to the caller: ARG, whose declarations each
    /// see those before, and RUN's mounts, see `MountRequest::resolve`.
    ///
    /// # Errors
    /// If a word cannot be expanded.
    pub fn expand(&self, expander: &mut Expander<'_>) -> Result<Self, ExpandError> {
        Ok(match self {
            Self::Add(add) => Self::Add(add.expand(expander)?),
            Self::Copy(copy) => Self::Copy(copy.expand(expander)?),
            Self::Env(list) => Self::Env(list.expand(expander)?),
            Self::Label(list) => Self::Label(list.expand(expander)?),
            Self::Expose(ports) => {
                let words: Result<Vec<_>, _> =
                    ports.iter().map(|port| expander.words(port)).collect();
                Self::Expose(words?.concat())
            }
            Self::Stopsignal(signal) => Self::Stopsignal(expander.word(signal)?),
            Self::User(user) => Self::User(expander.word(user)?),
            Self::Volume(volumes) => Self::Volume(each(volumes, expander)?),
            Self::Workdir(path) => Self::Workdir(expander.word(path)?),
            Self::Arg(_)
            | Self::Cmd(_)
            | Self::Entrypoint(_)
            | Self::Healthcheck(_)
            | Self::Maintainer(_)
            | Self::Onbuild(_)
            | Self::Run(_)
            | Self::Shell(_) => self.clone(),
        })
    }
}

impl NameValues {
    fn expand(&self, expander: &mut Expander<'_>) -> Result<Self, ExpandError> {
        let mut pairs = Vec::with_capacity(self.pairs.len());
        for (name, value) in &self.pairs {
            pairs.push((expander.word(name)?, expander.word(value)?));
        }
        Ok(Self {
            pairs,
            legacy: self.legacy,
        })
    }
}

impl CopyInstruction {
    fn expand(&self, expander: &mut Expander<'_>) -> Result<Self, ExpandError> {
        Ok(Self {
            chown: optional(self.chown.as_deref(), expander)?,
            chmod: optional(self.chmod.as_deref(), expander)?,
            sources: self.sources.expand(expander)?,
            ..self.clone()
        })
    }
}

impl AddInstruction {
    fn expand(&self, expander: &mut Expander<'_>) -> Result<Self, ExpandError> {
        Ok(Self {
            chown: optional(self.chown.as_deref(), expander)?,
            chmod: optional(self.chmod.as_deref(), expander)?,
            checksum: optional(self.checksum.as_deref(), expander)?,
            sources: self.sources.expand(expander)?,
            ..self.clone()
        })
    }
}

impl Sources {
    fn expand(&self, expander: &mut Expander<'_>) -> Result<Self, ExpandError> {
        let mut files = self.files.clone();
        for file in files.iter_mut().filter(|file| file.expand) {
            file.content = expander.body(&file.content)?;
        }
        Ok(Self {
            paths: each(&self.paths, expander)?,
            files,
            destination: expander.word(&self.destination)?,
        })
    }
}

fn each(words: &[String], expander: &mut Expander<'_>) -> Result<Vec<String>, ExpandError> {
    words.iter().map(|word| expander.word(word)).collect()
}

fn optional(
    word: Option<&str>,
    expander: &mut Expander<'_>,
) -> Result<Option<String>, ExpandError> {
    let expanded = word.map(|word| expander.word(word)).transpose()?;
    // An empty value is the same as none.
    Ok(expanded.filter(|value| !value.is_empty()))
}
