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
    /// By number: each comes after those that it needs. For one platform it is their number in the file.
    pub(super) stages: BTreeMap<usize, PlannedStage>,
    /// Numbers of the stages to build for their own sake; the first is the image.
    pub(super) targets: Vec<usize>,
    /// The platform that it is for.
    pub(super) platform: Platform,
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

/// Returns the numbers of the stages that a stage with this base and these steps needs.
pub(super) fn needs(base: &StageBase, steps: &[PlannedStep]) -> BTreeSet<usize> {
    let sources = steps.iter().flat_map(PlannedStep::source_stages);
    base.stage().into_iter().chain(sources).collect()
}

impl PlannedStage {
    /// Says whether it is `FROM scratch`, and nothing stands in for that.
    pub(super) fn starts_from_nothing(&self) -> bool {
        let is_loaded = self.steps.iter().any(|step| step.shown.is_some());
        matches!(self.base, StageBase::Scratch) && !self.is_replaced && !is_loaded
    }
}

impl StageBase {
    /// Says whether two stages start from the same: the same stage, or an image that was found once.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scratch, Self::Scratch) => true,
            (Self::Stage(one), Self::Stage(other)) => one == other,
            (Self::Image(one), Self::Image(other)) => Arc::ptr_eq(one, other),
            (Self::Scratch | Self::Stage(_) | Self::Image(_), _) => false,
        }
    }

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
///
/// Images and directories are the same if they were found as one: each is looked for once.
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

impl PartialEq for FileSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Context, Self::Context) => true,
            (Self::Stage(one), Self::Stage(other)) => one == other,
            (Self::Image(one), Self::Image(other)) => Arc::ptr_eq(one, other),
            (Self::Directory(one), Self::Directory(other)) => Arc::ptr_eq(one, other),
            (Self::Context | Self::Stage(_) | Self::Image(_) | Self::Directory(_), _) => false,
        }
    }
}

impl FileSource {
    /// Gives a stage another number.
    pub(super) fn renumber(&mut self, numbers: &BTreeMap<usize, usize>) {
        if let Self::Stage(index) = self {
            *index = numbers[index];
        }
    }

    /// Returns the number of the stage, if it is one.
    pub(super) fn stage(&self) -> Option<usize> {
        match self {
            Self::Stage(index) => Some(*index),
            Self::Context | Self::Image(_) | Self::Directory(_) => None,
        }
    }
}
