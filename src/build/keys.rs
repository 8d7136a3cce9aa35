//! The keys of all steps by definition: from the Dockerfile, its arguments, the base images' layers and the context's files.
//!
//! Runs nothing and asks nobody.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cache::CacheKey;
use crate::cache::inputs::{SourceInputs, StepInputs};

use super::action::Transfer;
use super::built::BuiltStages;
use super::evaluate::{EvaluatedStage, EvaluatedStep};
use super::plan::{FileSource, Plan, PlannedStage, StageBase};
use super::step_cache::StepCaching;
use super::step_inputs::by_definition;
use super::workshop::Workshop;

/// A key by definition, and what it was taken over.
pub(super) struct StepKey {
    pub(super) key: CacheKey,
    pub(super) inputs: StepInputs,
}

/// What the keys of a stage begin with.
pub(super) enum BaseKey {
    /// Of the files of an image, or of none.
    Files(CacheKey),
    /// Of an earlier stage.
    Stage(usize),
}

/// Returns the beginnings of all stages.
pub(super) fn bases(plan: &Plan, caching: &StepCaching) -> BTreeMap<usize, BaseKey> {
    let key = |stage: &PlannedStage| match &stage.base {
        StageBase::Scratch => BaseKey::Files(caching.key_of_nothing(&stage.platform)),
        StageBase::Image(image) => BaseKey::Files(caching.key_of_image(image)),
        StageBase::Stage(index) => BaseKey::Stage(*index),
    };
    let stages = plan.stages.iter();
    stages.map(|(index, stage)| (*index, key(stage))).collect()
}

/// Works out the keys of all steps.
pub(super) fn keys(
    bases: &BTreeMap<usize, BaseKey>,
    evaluated: &BTreeMap<usize, EvaluatedStage>,
    workshop: &Workshop,
) -> Result<BTreeMap<usize, StageKeys>> {
    let mut all: BTreeMap<usize, StageKeys> = BTreeMap::new();
    for (index, stage) in evaluated {
        let base = match &bases[index] {
            BaseKey::Files(key) => key.clone(),
            BaseKey::Stage(parent) => all[parent].last.clone(),
        };
        let mut last = base;
        let mut steps = Vec::with_capacity(stage.steps.len());
        for step in &stage.steps {
            steps.push(match &step.work {
                None => None,
                Some(work) => {
                    let inputs = work.inputs(last.clone(), |transfer| {
                        sources(transfer, step, &all, workshop)
                    })?;
                    last = inputs.fingerprint().key();
                    Some(StepKey {
                        key: last.clone(),
                        inputs,
                    })
                }
            });
        }
        all.insert(*index, StageKeys { steps, last });
    }
    Ok(all)
}

/// Keys by definition of a stage's steps.
pub(super) struct StageKeys {
    /// `None` for a step that changes no file.
    pub(super) steps: Vec<Option<StepKey>>,
    /// That of the last step, or of the base if there is none.
    pub(super) last: CacheKey,
}

/// Returns what a COPY or ADD takes its files from, as far as that is known before anything is executed.
fn sources(
    transfer: &Transfer,
    step: &EvaluatedStep,
    stages: &BTreeMap<usize, StageKeys>,
    workshop: &Workshop,
) -> Result<Vec<SourceInputs>> {
    match &transfer.from {
        FileSource::Context => {
            let nothing_built = BuiltStages::new();
            workshop.with_origin(&nothing_built, &transfer.from, |origin| {
                workshop.content_of(origin, transfer, step.span)
            })
        }
        FileSource::Stage(index) => Ok(by_definition(transfer, &stages[index].last)),
        FileSource::Image(image) => {
            let Some(caching) = &workshop.caching else {
                return Ok(Vec::new());
            };
            Ok(by_definition(transfer, &caching.key_of_image(image)))
        }
    }
}
