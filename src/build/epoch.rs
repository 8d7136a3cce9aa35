//! SOURCE_DATE_EPOCH: the time that no time in an image is later than, and where it may come from (Dockerfile reference,
//! "SOURCE_DATE_EPOCH"; BuildKit, "Build reproducibility").

use anyhow::{Context, Result};

use crate::dockerfile::{AddInstruction, Expander, Instruction, Stage};

use super::control_args::EPOCH;
use super::named_contexts::NamedContext;
use super::planner::Planner;
use super::remote_source::{RemoteSource, remote_sources};
use super::remotes::cannot_fetch;
use super::scope::{GlobalScope, Variables};

/// The value that means the build context's time.
const CONTEXT: &str = "context";

/// What a stage must be whose name is the value.
const SOURCE_STAGE: &str = "a stage that gives SOURCE_DATE_EPOCH must be FROM scratch, and have exactly one ADD of one source from the network";

impl Planner<'_> {
    /// Returns the time in seconds since 1970-01-01: `--build-arg`, the environment or a global ARG says it, in this order;
    /// an empty value is none. From then on the variable's value is the number, or nothing.
    pub(super) async fn epoch(
        &self,
        global: &mut GlobalScope,
        of_context: Option<i64>,
    ) -> Result<Option<i64>> {
        let value = global.build_arg(EPOCH).or_else(|| global.get(EPOCH));
        let Some(value) = value.map(str::to_owned) else {
            return Ok(None);
        };
        let seconds = match value.parse().ok().filter(|seconds| *seconds >= 0) {
            Some(seconds) => Some(seconds),
            None if value.is_empty() => None,
            // A directory has no time of its own; only git and what is fetched have.
            None if value == CONTEXT => of_context,
            None => self.time_of(&value, global).await?,
        };
        let text = seconds.map(|seconds| seconds.to_string());
        global.replace(EPOCH, &text.unwrap_or_default());
        Ok(seconds)
    }

    /// Returns the time of a named context or of a stage's source.
    async fn time_of(&self, name: &str, global: &GlobalScope) -> Result<Option<i64>> {
        let options = self.options;
        match options.named_contexts.find(name, self.platform) {
            Some(NamedContext::Remote(url)) => {
                let cannot = || format!("cannot use the build context `{name}`");
                let dir = self.fetched_dir(url).await.with_context(cannot)?;
                return dir.time();
            }
            // None of them has a time of its own.
            Some(
                NamedContext::Scratch
                | NamedContext::Image(_)
                | NamedContext::Layout(_)
                | NamedContext::Directory(_),
            ) => return Ok(None),
            None => {}
        }
        let mut stages = self.dockerfile.stages.iter();
        let stage =
            stages.find(|stage| stage.name().is_some_and(|it| it.eq_ignore_ascii_case(name)));
        let stage = stage.with_context(|| {
            let expected = "seconds since 1970-01-01, `context`, a named context or a stage";
            format!("{EPOCH} is `{name}`, expected {expected}")
        })?;
        self.time_of_stage(stage, global).await
    }

    async fn time_of_stage(&self, stage: &Stage, global: &GlobalScope) -> Result<Option<i64>> {
        let source = self.source_of_stage(stage, global).map_err(|error| {
            let message = format!("cannot take {EPOCH} from the stage");
            let located = self.text.error_at(stage.source.span, message);
            located.because(error)
        })?;
        let time = self.remotes.time(&source).await;
        Ok(time.map_err(|error| cannot_fetch(self.text, stage.source.span, &source, error))?)
    }

    /// Returns the only thing that a stage consists of. Unlike in a build, its words see all global ARGs.
    fn source_of_stage(&self, stage: &Stage, global: &GlobalScope) -> Result<RemoteSource> {
        let mut known = Variables::default();
        let others = global.all().iter().filter(|(name, _)| name != EPOCH);
        others.for_each(|(name, value)| known.set(name, value));
        let base = self.expand_with(&known, |expander| expander.word(&stage.from.base))?;
        anyhow::ensure!(base == "scratch", SOURCE_STAGE);
        let mut found = None;
        for statement in &stage.statements {
            match &statement.instruction {
                Instruction::Arg(args) => {
                    for arg in args {
                        let default = arg.default.as_deref();
                        let value = match (global.build_arg(&arg.name), default) {
                            (Some(given), _) => given.to_owned(),
                            (None, Some(word)) => {
                                self.expand_with(&known, |expander| expander.word(word))?
                            }
                            (None, None) => continue,
                        };
                        known.set(&arg.name, &value);
                    }
                }
                Instruction::Add(_) => {
                    let instruction = &statement.instruction;
                    let add = self.expand_with(&known, |expander| instruction.expand(expander))?;
                    anyhow::ensure!(found.is_none(), SOURCE_STAGE);
                    found = Some(only_source(&add)?);
                }
                Instruction::Cmd(_)
                | Instruction::Copy(_)
                | Instruction::Entrypoint(_)
                | Instruction::Env(_)
                | Instruction::Expose(_)
                | Instruction::Healthcheck(_)
                | Instruction::Label(_)
                | Instruction::Maintainer(_)
                | Instruction::Onbuild(_)
                | Instruction::Run(_)
                | Instruction::Shell(_)
                | Instruction::Stopsignal(_)
                | Instruction::User(_)
                | Instruction::Volume(_)
                | Instruction::Workdir(_) => anyhow::bail!(SOURCE_STAGE),
            }
        }
        found.context(SOURCE_STAGE)
    }

    fn expand_with<T, E: std::error::Error + Send + Sync + 'static>(
        &self,
        known: &Variables,
        expand: impl FnOnce(&mut Expander<'_>) -> Result<T, E>,
    ) -> Result<T> {
        let lookup = |name: &str| known.get(name).map(str::to_owned);
        Ok(expand(&mut Expander::new(
            self.dockerfile.directives.escape,
            &lookup,
        ))?)
    }
}

fn only_source(instruction: &Instruction) -> Result<RemoteSource> {
    let Instruction::Add(add) = instruction else {
        anyhow::bail!(SOURCE_STAGE)
    };
    let AddInstruction { sources, .. } = add;
    let is_one = sources.files.is_empty() && sources.paths.len() == 1;
    anyhow::ensure!(is_one, SOURCE_STAGE);
    let mut found = remote_sources(add)?.into_values();
    found.next().context(SOURCE_STAGE)
}
