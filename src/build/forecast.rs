//! Which steps are answered by the cache, found out before anything is pulled or executed.
//!
//! All keys by definition follow from what is here already, so they are asked for at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cache::{CacheKey, FoundLayer, Lookup, Miss, Wanted};

use super::evaluated::EvaluatedStage;
use super::keys::{StageKeys, StepKey, beginnings, keys};
use super::layers::StageLayer;
use super::outlook::{Outlook, StepOutlook, outlooks};
use super::plan::Plan;
use super::step_cache::StepCaching;
use super::workshop::Workshop;

/// What is known of a stage before it is built.
pub(super) struct StageForecast {
    /// Whether the targets need anything of it.
    pub(super) is_needed: bool,
    /// One for each of its steps.
    pub(super) steps: Vec<StepForecast>,
}

/// What is known of a step before it is executed.
#[derive(Default)]
pub(super) struct StepForecast {
    /// Its key. `None` where nothing is cached, and for a step that changes no file.
    pub(super) key: Option<StepKey>,
    /// Its layer, if it need not be executed.
    pub(super) answer: Option<Answer>,
    /// What the cache said, in words. Empty if it was not asked.
    pub(super) said: String,
}

/// What makes a step unnecessary.
pub(super) struct Answer {
    /// Its layer.
    pub(super) layer: StageLayer,
    /// The stage's files after it.
    pub(super) after: After,
}

/// The files of a stage after a step that the cache answers.
pub(super) enum After {
    /// What they are is known.
    Known(CacheKey),
    /// Those that the stage has before it, whichever they will be, under the layer of the linked step that has this key.
    Linked(CacheKey),
}

/// What is known of all stages, by their numbers.
pub(super) type Forecast = BTreeMap<usize, StageForecast>;

/// What the caches said, by stage and step.
pub(super) type Lookups = BTreeMap<(usize, usize), Lookup<FoundLayer>>;

/// Asks the caches for all steps of a plan.
pub(super) async fn forecast(
    plan: &Plan,
    evaluated: &Arc<BTreeMap<usize, EvaluatedStage>>,
    workshop: &Arc<Workshop>,
) -> Result<Forecast> {
    let Some(caching) = &workshop.caching else {
        return Ok(without_cache(evaluated));
    };
    workshop.remotes.find_all(evaluated, &workshop.text).await?;
    let beginnings = beginnings(plan, caching);
    let (stages, shop) = (Arc::clone(evaluated), Arc::clone(workshop));
    // Reads the files of the context.
    let task = tokio::task::spawn_blocking(move || keys(&beginnings, &stages, &shop));
    let keys = task.await.context("reading the build context stopped")??;
    let lookups = look_up(evaluated, &keys, caching).await;
    let outlooks = outlooks(plan, evaluated, &keys, &lookups, caching);
    conclude(keys, &lookups, &outlooks, caching)
}

fn without_cache(evaluated: &BTreeMap<usize, EvaluatedStage>) -> Forecast {
    let forecast = |stage: &EvaluatedStage| StageForecast {
        is_needed: true,
        steps: stage
            .steps
            .iter()
            .map(|_| StepForecast::default())
            .collect(),
    };
    let stages = evaluated.iter();
    stages
        .map(|(index, stage)| (*index, forecast(stage)))
        .collect()
}

/// Asks for all steps that are cached, at once.
async fn look_up(
    evaluated: &BTreeMap<usize, EvaluatedStage>,
    keys: &BTreeMap<usize, StageKeys>,
    caching: &StepCaching,
) -> Lookups {
    let mut places = Vec::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for (index, stage) in evaluated {
        for (at, step) in stage.steps.iter().enumerate() {
            let (Some(work), Some(key)) = (&step.work, &keys[index].steps[at]) else {
                continue;
            };
            if let Some(want) = caching.wanted(work, &key.key) {
                places.push((*index, at));
                wanted.push(want);
            }
        }
    }
    let found = caching.look_up(&wanted).await;
    places.into_iter().zip(found).collect()
}

/// Puts together what was found out.
fn conclude(
    keys: BTreeMap<usize, StageKeys>,
    lookups: &Lookups,
    outlooks: &BTreeMap<usize, Outlook>,
    caching: &StepCaching,
) -> Result<Forecast> {
    let mut forecast = Forecast::new();
    for (index, stage) in keys {
        let outlook = &outlooks[&index];
        let mut steps = Vec::with_capacity(stage.steps.len());
        for (at, key) in stage.steps.into_iter().enumerate() {
            let lookup = lookups.get(&(index, at));
            let step = &outlook.steps[at];
            let answer = match lookup {
                Some(Lookup::Hit(found)) if step.is_answered => answer(found, step, caching),
                Some(Lookup::Hit(_) | Lookup::Miss(_)) | None => None,
            };
            steps.push(StepForecast {
                key,
                answer,
                said: lookup.map(said).unwrap_or_default(),
            });
        }
        let is_needed = outlook.is_needed;
        forecast.insert(index, StageForecast { is_needed, steps });
    }
    Ok(forecast)
}

/// Of an answered step, only a linked one stands on files that are not known.
fn answer(found: &FoundLayer, step: &StepOutlook, caching: &StepCaching) -> Option<Answer> {
    let after = match &step.after {
        Some(after) => After::Known(after.clone()),
        None => After::Linked(found.entry.content_key()?.clone()),
    };
    Some(Answer {
        layer: caching.layer_of(found),
        after,
    })
}

/// Says what came of a lookup.
fn said(lookup: &Lookup<FoundLayer>) -> String {
    match lookup {
        Lookup::Hit(_) => "found, but made on other files than this build has".to_owned(),
        Lookup::Miss(Miss::Absent) => "not found".to_owned(),
        Lookup::Miss(Miss::Expired { created }) => format!("expired: it was made at {created}"),
        Lookup::Miss(Miss::Unusable { reason }) => format!("cannot be used: {reason}"),
        Lookup::Miss(Miss::Unreachable { reason }) => format!("not asked: {reason}"),
    }
}
