//! What a build would do, found out without doing any of it: no step is executed, no layer pulled, nothing pushed.
//!
//! It goes as far as the real build does before its first step: manifests and configs of images are fetched, files of the
//! context read, the caches asked.

mod pulls;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;

use crate::cache::CacheKey;
use crate::dockerfile::{Dockerfile, Span};
use crate::image::{Digest, Platform};

use super::ability::check_ability;
use super::build::begin;
use super::evaluate::evaluate;
use super::evaluated::{EvaluatedStage, EvaluatedStep};
use super::forecast::{Forecast, StepForecast, forecast};
use super::plan::{Plan, PlannedStage, StageBase};
use super::workshop::{Tools, Workshop};
use super::{BuildInput, BuildOptions};

pub use pulls::Pull;

/// What a build would do for one platform.
#[derive(Debug)]
pub struct Preview {
    /// What it would build for.
    pub platform: Platform,
    /// All stages of the Dockerfile, in its order.
    pub stages: Vec<StagePreview>,
    /// What would be pulled for the steps that would be executed, by where it comes from.
    pub pulls: Vec<Pull>,
    /// Why the build would fail here at once. `None` where nothing is known against it.
    pub refusal: Option<anyhow::Error>,
}

/// What a build would do with a stage.
#[derive(Debug)]
pub struct StagePreview {
    /// Its name, or `stage-N`.
    pub name: String,
    /// Its FROM, on one line.
    pub from: String,
    /// The lines of that.
    pub span: Span,
    /// What becomes of it.
    pub need: Need,
    /// What it starts from. `None` for a stage that was not looked at.
    pub base: Option<Base>,
    /// Its steps in order. Empty for a stage that is not needed.
    pub steps: Vec<StepPreview>,
}

/// Why a stage is built, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is the image, or was asked for besides.
    Target,
    /// Another stage needs it.
    Needed,
    /// The caches have all that is taken from it.
    Cached,
    /// Nobody needs it: neither was it looked at, nor its image asked for.
    Unreachable,
}

/// What a stage starts from.
#[derive(Debug, Clone)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// The stage of this name.
    Stage(String),
    /// An image for a platform.
    Image {
        /// Digest of its manifest.
        digest: Option<Digest>,
        /// What its config says it is for.
        platform: Platform,
    },
}

/// What a build would do with a step.
#[derive(Debug)]
pub struct StepPreview {
    /// Which one it is, as in `3/7`.
    pub place: (usize, usize),
    /// Its instruction, on one line.
    pub text: String,
    /// Its lines; of a trigger, those of the FROM.
    pub span: Span,
    /// What becomes of it.
    pub outcome: StepOutcome,
}

/// What becomes of a step.
#[derive(Debug)]
pub enum StepOutcome {
    /// It only changes the image's config.
    Config,
    /// It is executed: nothing is cached.
    Executed,
    /// It is executed: its kind is not cached.
    NotCached(CacheKey),
    /// The cache has it.
    Hit(CacheKey),
    /// It is executed: the cache said this.
    Miss(CacheKey, String),
}

/// Finds out what a build would do, for each platform by itself: what several have in common is done once all the same.
pub async fn preview(
    input: BuildInput,
    options: &BuildOptions,
    tools: Tools,
) -> Result<Vec<Preview>> {
    options.makes_index()?;
    let plans = begin(&input, options, &tools).await?;
    let dockerfile = input.dockerfile.clone();
    let workshop = Arc::new(Workshop::new(input, options, &plans, tools)?);
    let mut previews = Vec::with_capacity(plans.len());
    for plan in plans {
        previews.push(preview_plan(plan, &dockerfile, &workshop).await?);
    }
    Ok(previews)
}

async fn preview_plan(
    plan: Plan,
    dockerfile: &Dockerfile,
    workshop: &Arc<Workshop>,
) -> Result<Preview> {
    let evaluated = Arc::new(evaluate(&plan, workshop)?);
    let forecast = forecast(&plan, &evaluated, workshop).await?;
    let needed = Needed {
        plan: &plan,
        evaluated: &evaluated,
        forecast: &forecast,
    };
    let refusal = check_ability(&plan, &forecast, workshop).await.err();
    Ok(Preview {
        stages: (0..dockerfile.stages.len())
            .map(|index| needed.stage(index, dockerfile))
            .collect(),
        pulls: needed.pulls(&workshop.images.blobs()),
        platform: plan.platform,
        refusal,
    })
}

/// What was found out about the stages that are needed.
struct Needed<'a> {
    plan: &'a Plan,
    evaluated: &'a BTreeMap<usize, EvaluatedStage>,
    forecast: &'a Forecast,
}

impl Needed<'_> {
    fn stage(&self, index: usize, dockerfile: &Dockerfile) -> StagePreview {
        let Some(stage) = self.plan.stages.get(&index) else {
            return unreachable_stage(index, dockerfile);
        };
        let (evaluated, forecast) = (&self.evaluated[&index], &self.forecast[&index]);
        let need = match (
            self.plan.targets.contains(&index),
            self.forecast[&index].is_needed,
        ) {
            (true, _) => Need::Target,
            (false, true) => Need::Needed,
            (false, false) => Need::Cached,
        };
        let steps = evaluated.steps.iter().zip(&forecast.steps);
        let steps = steps.map(|(step, forecast)| step_preview(step, forecast));
        StagePreview {
            name: stage.name.clone(),
            from: evaluated.from.text.clone(),
            span: stage.span,
            need,
            base: Some(self.base(stage)),
            steps: match need {
                Need::Cached | Need::Unreachable => Vec::new(),
                Need::Target | Need::Needed => steps.collect(),
            },
        }
    }

    fn base(&self, stage: &PlannedStage) -> Base {
        match &stage.base {
            StageBase::Scratch => Base::Scratch,
            StageBase::Stage(parent) => Base::Stage(self.plan.stages[parent].name.clone()),
            StageBase::Image(image) => Base::Image {
                digest: image.digest.clone(),
                platform: image.config.platform().normalised(),
            },
        }
    }
}

fn unreachable_stage(index: usize, dockerfile: &Dockerfile) -> StagePreview {
    let stage = &dockerfile.stages[index];
    let name = stage.name().map(str::to_owned);
    let text = &stage.source.text;
    StagePreview {
        name: name.unwrap_or_else(|| format!("stage-{index}")),
        from: text.lines().next().unwrap_or_default().to_owned(),
        span: stage.source.span,
        need: Need::Unreachable,
        base: None,
        steps: Vec::new(),
    }
}

fn step_preview(step: &EvaluatedStep, forecast: &StepForecast) -> StepPreview {
    let key = forecast.key.as_ref().map(|key| key.key.clone());
    let outcome = match (key, &step.work) {
        (_, None) => StepOutcome::Config,
        (None, Some(_)) => StepOutcome::Executed,
        (Some(key), Some(_)) if forecast.answer.is_some() => StepOutcome::Hit(key),
        (Some(key), Some(_)) if forecast.said.is_empty() => StepOutcome::NotCached(key),
        (Some(key), Some(_)) => StepOutcome::Miss(key, forecast.said.clone()),
    };
    StepPreview {
        place: (step.name.number, step.name.total),
        text: step.text.clone(),
        span: step.span,
        outcome,
    }
}
