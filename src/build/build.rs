//! A build from beginning to end: plan, execute the stages, put the image together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tokio::task::JoinSet;

use crate::dockerfile::Dockerfile;
use crate::image::{AssembledImage, AssembledIndex, Digest, Platform, Reference};

use super::ability::check_ability;
use super::action::Action;
use super::assemble::assemble;
use super::built::{BuiltStage, BuiltStages};
use super::control_args::{self, unknown_args};
use super::evaluate::evaluate;
use super::evaluated::EvaluatedStage;
use super::forecast::{Forecast, forecast};
use super::halt::Halted;
use super::joined::join;
use super::lint;
use super::mount_action::MountAction;
use super::plan::{Plan, PlannedStage, PlannedStep, StageBase};
use super::plans::plans;
use super::stage::{StageJob, build_stage};
use super::step_cache::StepCaching;
use super::workshop::{Tools, Workshop};
use super::{BuildInput, BuildOptions, Event};

/// What a build makes.
#[derive(Debug)]
pub enum Product {
    /// An image.
    Image(Box<AssembledImage>),
    /// An index of images: for several platforms, or because it was asked for.
    Index(Box<AssembledIndex>),
}

impl Product {
    /// Returns the digest of what a tag names.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Image(image) => image.digest(),
            Self::Index(index) => index.digest(),
        }
    }
}

/// Builds what `options` ask for. Layers of its own are among the blobs of `tools`.
pub async fn build(input: BuildInput, options: &BuildOptions, tools: Tools) -> Result<Product> {
    let makes_index = options.makes_index()?;
    let plans = begin(&input, options, &tools).await?;
    let workshop = Arc::new(Workshop::new(input, options, &plans, tools)?);
    let result = async {
        let evaluated = plans.into_iter().map(|plan| {
            let evaluated = evaluate(&plan, &workshop)?;
            Ok((plan, evaluated))
        });
        let joined = join(evaluated.collect::<Result<_>>()?);
        let jobs = jobs(joined.plan, joined.evaluated, &workshop).await?;
        let built = build_stages(jobs, &workshop).await?;
        let mut images = Vec::with_capacity(joined.images.len());
        for image in joined.images {
            images.push(assemble(image, &built, options, &workshop).await?);
        }
        product(images, makes_index, options)
    };
    let result = result.await;
    if let (Some(carrier), Ok(_)) = (&workshop.carrier, &result) {
        carrier.keep(&workshop.caches).await;
    }
    if let Some(caching) = &workshop.caching {
        match &result {
            Ok(_) => caching.finish().await,
            // What has been made until then is found by the next build.
            Err(error) if !error.chain().any(|cause| cause.is::<Halted>()) => {
                caching.finish_soon().await;
            }
            Err(_) => {}
        }
    }
    result
}

fn product(
    mut images: Vec<(Platform, AssembledImage)>,
    makes_index: bool,
    options: &BuildOptions,
) -> Result<Product> {
    match images.pop() {
        Some((_, image)) if images.is_empty() && !makes_index => {
            Ok(Product::Image(Box::new(image)))
        }
        last => {
            images.extend(last);
            let index = AssembledIndex::new(options.format, &options.annotations, images)?;
            Ok(Product::Index(Box::new(index)))
        }
    }
}

/// Says what the control arguments come to, plans the build for each platform, and warns of its Dockerfile.
pub(super) async fn begin(
    input: &BuildInput,
    options: &BuildOptions,
    tools: &Tools,
) -> Result<Vec<Plan>> {
    let dockerfile = &input.dockerfile;
    warn_of_syntax(dockerfile, options, tools);
    for note in control_args::notes(options, tools.sandbox.has_hostnames()) {
        (tools.progress)(Event::Note(&note));
    }
    let planned = plans(input, options, tools).await;
    if let Err(error) = &planned
        && !error.chain().any(|cause| cause.is::<Halted>())
    {
        lint::report_without_plan(input, options, &tools.progress);
    }
    let plans = planned?;
    for warning in unknown_args(dockerfile, &plans, options) {
        (tools.progress)(Event::Warning(&warning));
    }
    lint::report(input, &plans, options, &tools.progress)?;
    Ok(plans)
}

/// Finds out what has to be done for each stage that is needed.
async fn jobs(
    mut plan: Plan,
    evaluated: BTreeMap<usize, EvaluatedStage>,
    workshop: &Arc<Workshop>,
) -> Result<BTreeMap<usize, StageJob>> {
    let evaluated = Arc::new(evaluated);
    let mut forecast = forecast(&plan, &evaluated, workshop).await?;
    plan.keep_what_is_needed(&forecast);
    check_ability(&plan, &forecast, workshop).await?;
    expect_cache_mounts(&evaluated, &forecast, workshop);
    let evaluated = Arc::into_inner(evaluated).context("the plan is still being read")?;
    let keeps_layers = workshop.caching.as_ref().is_some_and(StepCaching::keeps);
    let mut jobs = BTreeMap::new();
    for (index, evaluated) in evaluated {
        let (Some(mut stage), Some(forecast)) =
            (plan.stages.remove(&index), forecast.remove(&index))
        else {
            continue;
        };
        stage.makes_layers |= keeps_layers;
        let job = StageJob {
            stage,
            evaluated,
            forecast,
            takes_over_base: false,
        };
        jobs.insert(index, job);
    }
    Ok(jobs)
}

/// Has the contents of the cache mounts fetched that steps will use, while base images are.
fn expect_cache_mounts(
    evaluated: &BTreeMap<usize, EvaluatedStage>,
    forecast: &Forecast,
    workshop: &Workshop,
) {
    let Some(carrier) = &workshop.carrier else {
        return;
    };
    for (index, stage) in evaluated {
        let forecast = &forecast[index];
        let steps = stage.steps.iter().zip(&forecast.steps);
        let executed = steps.filter(|(_, step)| forecast.is_needed && step.answer.is_none());
        for work in executed.filter_map(|(step, _)| step.work.as_ref()) {
            if let Action::Run(run) = &work.action {
                let caches = run.mounts.iter().filter_map(MountAction::cache);
                caches.for_each(|cache| carrier.expect(&cache.name()));
            }
        }
    }
}

/// The value of BUILDKIT_SYNTAX that asks for the program itself (BuildKit frontend).
const BUILT_IN: &str = "dockerfile.v0";

/// `# syntax=` chooses the program that reads the file elsewhere; here there is one, and it reads the
/// language of docker/dockerfile.
fn warn_of_syntax(dockerfile: &Dockerfile, options: &BuildOptions, tools: &Tools) {
    let Some((place, value)) = control_args::syntax(dockerfile, options) else {
        return;
    };
    let frontend = value.split_whitespace().next().unwrap_or_default();
    if frontend == BUILT_IN {
        return;
    }
    let name = Reference::parse(frontend).map(|reference| reference.repository().to_owned());
    if !name.is_ok_and(|name| name.starts_with("docker/dockerfile")) {
        let text = format!("`{place}{frontend}` is not docker/dockerfile and has no effect");
        (tools.progress)(Event::Warning(&text));
    }
}

/// Stages that are built at the same time. Their commands share the processors, and each has its own
/// files in memory or on disk.
const STAGES_AT_ONCE: usize = 8;

/// Builds the stages, each as soon as those that it needs are built.
async fn build_stages(
    mut waiting: BTreeMap<usize, StageJob>,
    workshop: &Arc<Workshop>,
) -> Result<BuiltStages> {
    let mut built = BuiltStages::new();
    let mut running: JoinSet<(usize, Result<BuiltStage>)> = JoinSet::new();
    let mut failure = None;
    let consumers = consumers(&waiting);
    let at_once = match workshop.sandbox().mode().runs_in_parallel() {
        true => STAGES_AT_ONCE,
        false => 1,
    };
    loop {
        let ready: Vec<usize> = waiting
            .iter()
            .filter(|(_, job)| {
                job.stage
                    .needs
                    .iter()
                    .all(|needed| built.contains_key(needed))
            })
            .map(|(index, _)| *index)
            .collect();
        for index in ready {
            if running.len() >= at_once {
                break;
            }
            let Some(mut job) = waiting.remove(&index) else {
                continue;
            };
            job.takes_over_base = takes_over_base(&job.stage, index, &consumers, &built);
            let (workshop, built) = (Arc::clone(workshop), built.clone());
            running.spawn_blocking(move || (index, build_stage(&workshop, job, &built)));
        }
        match running.join_next().await {
            None => break,
            Some(Ok((index, Ok(stage)))) => {
                built.insert(index, Arc::new(stage));
            }
            Some(Ok((_, Err(error)))) => {
                // The others are asked to stop; what they say of it is not the cause.
                if failure.is_none() && !running.is_empty() {
                    let text = format!("{error}: stopping the other stages");
                    workshop.report(Event::Warning(&text));
                }
                failure.get_or_insert(error);
                waiting.clear();
                workshop.halt.request();
            }
            Some(Err(error)) => {
                failure.get_or_insert(anyhow!(error).context("a stage ended unexpectedly"));
                waiting.clear();
                workshop.halt.request();
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(built),
    }
}

/// Who needs the files of a stage.
#[derive(Default)]
struct Consumers {
    /// Numbers of the stages that need it in any way.
    all: BTreeSet<usize>,
    /// How many of them are built on it.
    children: usize,
}

/// Returns, for each stage that others need, who they are.
fn consumers(jobs: &BTreeMap<usize, StageJob>) -> BTreeMap<usize, Consumers> {
    let mut consumers: BTreeMap<usize, Consumers> = BTreeMap::new();
    for (index, StageJob { stage, .. }) in jobs {
        for needed in &stage.needs {
            consumers.entry(*needed).or_default().all.insert(*index);
        }
        if let StageBase::Stage(base) = stage.base {
            consumers.entry(base).or_default().children += 1;
        }
    }
    consumers
}

/// Says whether the stage `index` may change the files of the stage that it is built on, because
/// nobody needs them any more.
///
/// Another child may be built and still need them: one without files of its own shows its parent's.
fn takes_over_base(
    stage: &PlannedStage,
    index: usize,
    consumers: &BTreeMap<usize, Consumers>,
    built: &BuiltStages,
) -> bool {
    let StageBase::Stage(base) = stage.base else {
        return false;
    };
    let mut sources = stage.steps.iter().flat_map(PlannedStep::source_stages);
    let copies_from_base = sources.any(|source| source == base);
    let of_base = &consumers[&base];
    let mut others = of_base.all.iter().filter(|consumer| **consumer != index);
    let others_are_done = others.all(|consumer| built.contains_key(consumer));
    !copies_from_base && of_base.children == 1 && others_are_done
}
