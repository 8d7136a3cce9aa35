//! The keys of all steps by definition: from the Dockerfile, its arguments, the base images' layers and the context's files.
//!
//! Runs nothing and asks nobody.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cache::CacheKey;
use crate::cache::inputs::{LinkInputs, SourceInputs, StepInputs};

use super::action::Transfer;
use super::built::BuiltStages;
use super::evaluated::{EvaluatedStage, EvaluatedStep};
use super::mount_action::BindMount;
use super::plan::{FileSource, Plan, PlannedStage, StageBase};
use super::step_cache::StepCaching;
use super::step_inputs::Sources;
use super::workshop::Workshop;

/// A key by definition, and what it was taken over.
pub(super) struct StepKey {
    pub(super) key: CacheKey,
    pub(super) inputs: StepInputs,
}

/// What the keys of a stage begin with.
pub(super) struct Beginning {
    /// Of the files that it starts from.
    base: BaseKey,
    /// Of no files: steps begin with it that do not look at the stage's.
    nothing: CacheKey,
}

/// What the keys of a stage go back to.
enum BaseKey {
    /// Of the files of an image, or of none.
    Files(CacheKey),
    /// Of an earlier stage.
    Stage(usize),
}

/// Returns the beginnings of all stages.
pub(super) fn beginnings(plan: &Plan, caching: &StepCaching) -> BTreeMap<usize, Beginning> {
    let beginning = |stage: &PlannedStage| {
        let nothing = caching.key_of_nothing(&stage.platform);
        let base = match &stage.base {
            StageBase::Scratch => BaseKey::Files(nothing.clone()),
            StageBase::Image(image) => BaseKey::Files(caching.key_of_image(image)),
            StageBase::Stage(index) => BaseKey::Stage(*index),
        };
        Beginning { base, nothing }
    };
    let stages = plan.stages.iter();
    stages
        .map(|(index, stage)| (*index, beginning(stage)))
        .collect()
}

/// Works out the keys of all steps.
pub(super) fn keys(
    beginnings: &BTreeMap<usize, Beginning>,
    evaluated: &BTreeMap<usize, EvaluatedStage>,
    workshop: &Workshop,
) -> Result<BTreeMap<usize, StageKeys>> {
    let mut all: BTreeMap<usize, StageKeys> = BTreeMap::new();
    for (index, stage) in evaluated {
        let Beginning { base, nothing } = &beginnings[index];
        let base = match base {
            BaseKey::Files(key) => key.clone(),
            BaseKey::Stage(parent) => all[parent].last.clone(),
        };
        let mut last = base;
        let mut steps = Vec::with_capacity(stage.steps.len());
        for step in &stage.steps {
            steps.push(match &step.work {
                None => None,
                Some(work) => {
                    let sources = ByDefinition {
                        step,
                        stages: &all,
                        workshop,
                    };
                    let before = match work.is_linked() {
                        true => nothing,
                        false => &last,
                    };
                    let inputs = work.inputs(before.clone(), &sources)?;
                    let key = inputs.fingerprint().key();
                    last = match work.is_linked() {
                        true => after_link(last, &key),
                        false => key.clone(),
                    };
                    Some(StepKey { key, inputs })
                }
            });
        }
        all.insert(*index, StageKeys { steps, last });
    }
    Ok(all)
}

/// Returns the key of files under the layer of a linked step.
pub(super) fn after_link(before: CacheKey, linked: &CacheKey) -> CacheKey {
    let linked = linked.clone();
    LinkInputs { before, linked }.fingerprint().key()
}

/// Keys by definition of a stage's steps.
pub(super) struct StageKeys {
    /// `None` for a step that changes no file.
    pub(super) steps: Vec<Option<StepKey>>,
    /// What the next step's goes back to: the last step's, or the base's if there is none.
    pub(super) last: CacheKey,
}

/// Files by how they come to be; those of the context, which are here, by what they are.
struct ByDefinition<'a> {
    step: &'a EvaluatedStep,
    /// Those before the step's own.
    stages: &'a BTreeMap<usize, StageKeys>,
    workshop: &'a Workshop,
}

impl Sources for ByDefinition<'_> {
    fn of_transfer(&self, transfer: &Transfer) -> Result<Vec<SourceInputs>> {
        let Some(origin) = self.origin(&transfer.from) else {
            let nothing_built = BuiltStages::new();
            let from = &transfer.from;
            return self.workshop.with_origin(&nothing_built, from, |origin| {
                let remotes = &self.workshop.remotes;
                let remote = |source: &_| self.workshop.wait(remotes.by_definition(source));
                self.workshop
                    .content_of(origin, transfer, self.step.span, &remote)
            });
        };
        let paths = transfer.sources.paths.iter();
        let source = |path: &String| SourceInputs::Definition {
            origin: origin.clone(),
            path: path.clone(),
            exclude: transfer.exclude.clone(),
        };
        Ok(paths.map(source).collect())
    }

    fn of_bind(&self, bind: &BindMount) -> Result<SourceInputs> {
        let Some(origin) = self.origin(&bind.from) else {
            let nothing_built = BuiltStages::new();
            return self.workshop.content_of_bind(&nothing_built, bind);
        };
        Ok(SourceInputs::Definition {
            origin,
            path: bind.source.clone(),
            exclude: Vec::new(),
        })
    }
}

impl ByDefinition<'_> {
    /// Returns the key of a stage or of an image; `None` for a context, whose files are here.
    fn origin(&self, from: &FileSource) -> Option<CacheKey> {
        match from {
            FileSource::Context | FileSource::Directory(_) => None,
            FileSource::Stage(index) => Some(self.stages[index].last.clone()),
            FileSource::Image(image) => {
                let caching = self.workshop.caching.as_ref()?;
                Some(caching.key_of_image(image))
            }
        }
    }
}
