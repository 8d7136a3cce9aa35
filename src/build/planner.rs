//! Finds out what one platform's build has to do: stages with their bases and steps, from the Dockerfile and the configs of
//! base images.
//!
//! Triggers (ONBUILD) are steps of the stage that they run in, so the configs of base images are fetched here; nothing
//! else is. Which stages are looked at is for `plans`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::dockerfile::{Dockerfile, Expander, Instruction, Span, Stage, Statement, parse_trigger};
use crate::image::{ImageConfig, Platform};

use super::base::{BaseImage, BaseImages};
use super::layers::SharedError;
use super::named_dir::NamedDir;
use super::once::Once;
use super::plan::{FileSource, PlannedStage, PlannedStep, StageBase, needs};
use super::remotes::Remotes;
use super::replacement::Replacement;
use super::scope::GlobalScope;
use super::support::refusal;
use super::workshop::Tools;
use super::{BuildOptions, DockerfileText};

/// Directories that stand in for images and stages, each opened or fetched once.
#[derive(Default)]
pub(super) struct OpenedDirectories {
    /// Directories of `--build-context` that are opened.
    pub(super) named: Mutex<BTreeMap<PathBuf, Arc<NamedDir>>>,
    /// Those that were fetched, by their URLs.
    pub(super) fetched: Once<String, Arc<NamedDir>>,
}

/// Plans the build for one platform.
pub(super) struct Planner<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) text: &'a DockerfileText,
    pub(super) options: &'a BuildOptions,
    /// What is built for.
    pub(super) platform: &'a Platform,
    pub(super) tools: &'a Tools,
    pub(super) images: &'a BaseImages,
    pub(super) directories: &'a OpenedDirectories,
    /// What ADD fetches.
    pub(super) remotes: Arc<Remotes>,
    pub(super) global: GlobalScope,
}

impl Planner<'_> {
    /// Plans one stage, and resolves its base.
    pub(super) async fn stage(&self, index: usize) -> Result<PlannedStage> {
        let stage = &self.dockerfile.stages[index];
        if let Some(replacement) = self.stand_in(index).await? {
            return self.replaced_stage(stage, index, replacement);
        }
        let platform = self.platform_of(stage)?;
        let (base, load) = self.base(stage, index, &platform).await?;
        let mut steps = Vec::from_iter(load);
        for statement in self.triggers(stage, &base).await? {
            steps.push(self.step(statement, index, Some(stage.source.span)).await?);
        }
        for statement in &stage.statements {
            steps.push(self.step(statement.clone(), index, None).await?);
        }
        self.planned(stage, index, base, steps)
    }

    /// Puts a stage together.
    pub(super) fn planned(
        &self,
        stage: &Stage,
        index: usize,
        base: StageBase,
        steps: Vec<PlannedStep>,
    ) -> Result<PlannedStage> {
        Ok(PlannedStage {
            name: stage
                .name()
                .map_or_else(|| format!("stage-{index}"), str::to_owned),
            text: stage.source.text.clone(),
            span: stage.source.span,
            needs: needs(&base, &steps),
            base,
            platform: self.platform_of(stage)?,
            is_replaced: false,
            steps,
            makes_layers: false,
        })
    }

    pub(super) fn platform_of(&self, stage: &Stage) -> Result<Platform> {
        let Some(word) = &stage.from.platform else {
            return Ok(self.platform.clone());
        };
        let text = self.expand(word, stage.source.span)?;
        let platform = Platform::parse(&text).map_err(|error| {
            let message = format!("cannot read the platform `{text}`");
            self.text
                .error_at(stage.source.span, message)
                .because(error)
        })?;
        Ok(platform.normalised())
    }

    /// Returns what a stage starts from, and its first step, if it starts from a directory.
    async fn base(
        &self,
        stage: &Stage,
        index: usize,
        platform: &Platform,
    ) -> Result<(StageBase, Option<PlannedStep>)> {
        let span = stage.source.span;
        let name = self.base_name(stage)?;
        if let Some(earlier) = self.dockerfile.stage_named(&name, index) {
            return Ok((StageBase::Stage(earlier), None));
        }
        if name == "scratch" {
            return Ok((StageBase::Scratch, None));
        }
        if let Some(replacement) = self.replacement(&name, platform, span).await? {
            return self.base_of(replacement, span);
        }
        let image = self.image(&name, platform, span).await?;
        Ok((StageBase::Image(image), None))
    }

    /// Finds an image in its registry: its manifest and config, not its layers.
    async fn image(&self, name: &str, platform: &Platform, span: Span) -> Result<Arc<BaseImage>> {
        let reference = self.reference(name, span)?;
        self.images
            .resolve(&reference, platform)
            .await
            .map_err(|error_of_registry| {
                let message = format!("cannot get the image `{name}`");
                let error = self.text.error_at(span, message);
                // Shared, it can be told what it is: the boxed form hides that.
                let error = error.because(SharedError::from(error_of_registry));
                match self.meant_stage(name, span) {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
                .into()
            })
    }

    /// Says which stage somebody may have meant who wrote the name of an image that is not there.
    fn meant_stage(&self, name: &str, span: Span) -> Option<String> {
        let number = name.parse::<usize>().ok();
        if number.is_some_and(|number| number < self.dockerfile.stages.len()) {
            let hint = "only `COPY --from` takes the number of a stage: give the stage a name";
            return Some(hint.to_owned());
        }
        let stage = self.dockerfile.similar_stage(name, span)?;
        Some(format!("did you mean the stage `{stage}`?"))
    }

    /// Returns the instructions that the base asks every stage built on it to begin with.
    async fn triggers(&self, stage: &Stage, base: &StageBase) -> Result<Vec<Statement>> {
        let texts: Vec<String> = match base {
            StageBase::Scratch => Vec::new(),
            StageBase::Image(image) => image.config.config.on_build.clone(),
            StageBase::Stage(index) => match self.stand_in(*index).await? {
                Some(Replacement::Image(image)) => image.config.config.on_build.clone(),
                Some(Replacement::Scratch | Replacement::Directory { .. }) => Vec::new(),
                None => {
                    let statements = &self.dockerfile.stages[*index].statements;
                    statements.iter().filter_map(trigger_text).collect()
                }
            },
        };
        let parse = |text: &String| {
            parse_trigger(text).map_err(|error| {
                let message = format!("cannot run the trigger `ONBUILD {text}` of the base");
                self.text
                    .error_at(stage.source.span, message)
                    .because(error)
                    .into()
            })
        };
        texts.iter().map(parse).collect()
    }

    async fn step(
        &self,
        statement: Statement,
        stage: usize,
        trigger_of: Option<Span>,
    ) -> Result<PlannedStep> {
        let span = trigger_of.unwrap_or(statement.source.span);
        if let Some(refusal) = refusal(&statement.instruction) {
            return Err(self.text.error_at(span, refusal).into());
        }
        let source = match copied_from(&statement.instruction) {
            Some(from) => self.file_source(from, stage, span).await?,
            None => FileSource::Context,
        };
        let mount_sources = self
            .mount_sources(&statement.instruction, stage, span)
            .await?;
        Ok(PlannedStep {
            is_trigger: trigger_of.is_some(),
            shown: None,
            statement,
            span,
            source,
            mount_sources,
        })
    }

    /// Returns where the mounts of a RUN take files from. A number is no stage here, unlike in COPY (Dockerfile
    /// reference, "RUN --mount").
    async fn mount_sources(
        &self,
        instruction: &Instruction,
        stage: usize,
        span: Span,
    ) -> Result<Vec<FileSource>> {
        let Instruction::Run(run) = instruction else {
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        for mount in &run.mounts {
            self.check_mount(mount, span)?;
            let Some(from) = mount.from() else {
                sources.push(FileSource::Context);
                continue;
            };
            let found = self.dockerfile.mount_source(from, stage).map_err(|error| {
                let located = self
                    .text
                    .error_at(span, "cannot find the source of a mount");
                located.because(error)
            })?;
            sources.push(match found {
                Some(index) => FileSource::Stage(index),
                None => self.image_source(from, span).await?,
            });
        }
        Ok(sources)
    }

    /// An image without files.
    pub(super) fn nothing(&self) -> BaseImage {
        BaseImage {
            digest: None,
            config: ImageConfig::scratch(self.platform),
            layers: Vec::new(),
        }
    }

    /// The image for the platform of the target, whatever the stage's own is, or what stands in for it.
    async fn image_source(&self, name: &str, span: Span) -> Result<FileSource> {
        let platform = self.platform;
        if name == "scratch" {
            return Ok(FileSource::Image(Arc::new(self.nothing())));
        }
        if let Some(replacement) = self.replacement(name, platform, span).await? {
            if let Replacement::Image(image) = &replacement {
                self.warn_of_platform(name, image);
            }
            return Ok(self.source_of(replacement));
        }
        let image = self.image(name, platform, span).await?;
        self.warn_of_platform(name, &image);
        Ok(FileSource::Image(image))
    }

    fn warn_of_platform(&self, name: &str, image: &BaseImage) {
        let (found, wanted) = (image.config.platform(), self.platform);
        self.images.warn_of_platform(&name, &found, wanted);
    }

    async fn file_source(&self, from: &str, stage: usize, span: Span) -> Result<FileSource> {
        let index = self.dockerfile.copy_source(from, stage);
        let index = index.map_err(|error| {
            self.text
                .error_at(span, "cannot find the source of COPY")
                .because(error)
        })?;
        match index {
            Some(index) => Ok(FileSource::Stage(index)),
            None => self.image_source(from, span).await,
        }
    }

    pub(super) fn expand(&self, word: &str, span: Span) -> Result<String> {
        let lookup = |name: &str| self.global.get(name).map(str::to_owned);
        let mut expander = Expander::new(self.dockerfile.directives.escape, &lookup);
        expander.word(word).map_err(|error| {
            self.text
                .error_at(span, "cannot expand a variable")
                .because(error)
                .into()
        })
    }
}

fn copied_from(instruction: &Instruction) -> Option<&str> {
    let Instruction::Copy(copy) = instruction else {
        return None;
    };
    copy.from.as_deref()
}

/// Returns the trigger that an ONBUILD sets.
pub(super) fn trigger_text(statement: &Statement) -> Option<String> {
    let Instruction::Onbuild(onbuild) = &statement.instruction else {
        return None;
    };
    Some(onbuild.trigger.clone())
}
