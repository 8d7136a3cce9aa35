//! What a build has to do: the stages that the target needs, in order, each with its steps. `planner` finds it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dockerfile::{Span, Statement};
use crate::image::Platform;

use super::base::BaseImage;
use super::forecast::Forecast;
use super::named_dir::NamedDir;
use super::remotes::Remotes;
use super::scope::GlobalScope;

/// The stages to build.
pub(super) struct Plan {
    /// By their number in the file: each comes after those that it needs.
    pub(super) stages: BTreeMap<usize, PlannedStage>,
    /// Numbers of the stages to build for their own sake; the first is the image.
    pub(super) targets: Vec<usize>,
    /// The ARGs before the first FROM.
    pub(super) global: GlobalScope,
    /// Time in seconds since the Unix epoch that replaces every later one.
    pub(super) epoch: Option<i64>,
    /// Files from the network, some of which may be here already.
    pub(super) remotes: Arc<Remotes>,
}

/// A stage to build.
pub(super) struct PlannedStage {
    /// Its name, or `stage-N`.
    pub(super) name: String,
    /// The text of its FROM.
    pub(super) text: String,
    /// Where that is.
    pub(super) span: Span,
    /// What it starts from.
    pub(super) base: StageBase,
    /// Platform of what it builds.
    pub(super) platform: Platform,
    /// Whether something else stands in for it: what the Dockerfile says of it does not count.
    pub(super) is_replaced: bool,
    /// Its steps in order, triggers of its base first.
    pub(super) steps: Vec<PlannedStep>,
    /// Numbers of the stages that must be built before.
    pub(super) needs: BTreeSet<usize>,
    /// Whether its layers go into an image: not so for stages that files are only copied from.
    pub(super) makes_layers: bool,
}

/// What a stage starts from.
pub(super) enum StageBase {
    /// Nothing.
    Scratch,
    /// An earlier stage, by number.
    Stage(usize),
    /// An image.
    Image(Arc<BaseImage>),
}

impl Plan {
    /// Forgets the stages that nobody needs, and of which stages a step waits for that is not executed.
    pub(super) fn keep_what_is_needed(&mut self, forecast: &Forecast) {
        self.stages.retain(|index, _| forecast[index].is_needed);
        for (index, stage) in &mut self.stages {
            let steps = stage.steps.iter().zip(&forecast[index].steps);
            let executed = steps.filter(|(_, forecast)| forecast.answer.is_none());
            let sources = executed.flat_map(|(step, _)| step.source_stages());
            stage.needs = stage.base.stage().into_iter().chain(sources).collect();
        }
    }
}

impl StageBase {
    /// Returns the number of the stage, if it is one.
    pub(super) fn stage(&self) -> Option<usize> {
        match self {
            Self::Stage(index) => Some(*index),
            Self::Scratch | Self::Image(_) => None,
        }
    }
}

/// An instruction to execute.
pub(super) struct PlannedStep {
    /// The instruction; variables are not expanded yet.
    pub(super) statement: Statement,
    /// Where messages say that it is: for a trigger, the FROM that runs it.
    pub(super) span: Span,
    /// Whether it comes from an ONBUILD of the base.
    pub(super) is_trigger: bool,
    /// What is shown of it, and what the history says, where it is no instruction of the Dockerfile.
    pub(super) shown: Option<String>,
    /// Where COPY takes files from.
    pub(super) source: FileSource,
    /// Where the mounts of a RUN take files from: one for each, the context for one without files.
    pub(super) mount_sources: Vec<FileSource>,
}

impl PlannedStep {
    /// Returns the numbers of the stages that it takes files from.
    pub(super) fn source_stages(&self) -> impl Iterator<Item = usize> {
        let sources = std::iter::once(&self.source).chain(&self.mount_sources);
        sources.filter_map(FileSource::stage)
    }
}

/// Where an instruction takes files from.
#[derive(Clone)]
pub(super) enum FileSource {
    /// The build context, or nowhere at all.
    Context,
    /// An earlier stage, by number.
    Stage(usize),
    /// An image.
    Image(Arc<BaseImage>),
    /// A directory of `--build-context`.
    Directory(Arc<NamedDir>),
}

impl FileSource {
    /// Returns the number of the stage, if it is one.
    pub(super) fn stage(&self) -> Option<usize> {
        match self {
            Self::Stage(index) => Some(*index),
            Self::Context | Self::Image(_) | Self::Directory(_) => None,
        }
    }
}
