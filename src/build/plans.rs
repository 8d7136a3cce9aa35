//! One plan for each platform: looks at the stages that the target needs, from the last to the first.
//!
//! A stage that nothing needs is neither looked at nor are its images resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::dockerfile::Dockerfile;
use crate::image::Platform;

use super::meta_args::global_scope;
use super::plan::{Plan, PlannedStage, StageBase};
use super::planner::{OpenedDirectories, Planner};
use super::remotes::Remotes;
use super::workshop::Tools;
use super::{BuildInput, BuildOptions};

/// Plans the build of what `options` ask for, for each platform. Images, directories and sources in the network that
/// several use are looked for once.
pub(super) async fn plans(
    input: &BuildInput,
    options: &BuildOptions,
    tools: &Tools,
) -> Result<Vec<Plan>> {
    let (dockerfile, text) = (&input.dockerfile, &input.text);
    let directories = OpenedDirectories::default();
    let (remote, sandbox) = (tools.remote.clone(), tools.sandbox.clone());
    let remotes = Arc::new(Remotes::new(remote, options, sandbox, &tools.halt));
    let mut plans = Vec::with_capacity(options.platforms.len());
    let targets = targets(dockerfile, options)?;
    for platform in &options.platforms {
        let planner = Planner {
            dockerfile,
            text,
            options,
            platform,
            tools,
            images: &tools.images,
            directories: &directories,
            remotes: Arc::clone(&remotes),
            global: global_scope(dockerfile, text, options, platform, targets[0])?,
        };
        plans.push(plan(planner, input.context_time, targets.clone()).await?);
    }
    Ok(plans)
}

async fn plan(
    mut planner: Planner<'_>,
    context_time: Option<i64>,
    targets: Vec<usize>,
) -> Result<Plan> {
    let mut global = planner.global.clone();
    let epoch = planner.epoch(&mut global, context_time).await?;
    planner.global = global;
    planner.check_stages()?;
    let mut stages = BTreeMap::new();
    let mut wanted: BTreeSet<usize> = targets.iter().copied().collect();
    // From the back: a stage needs only stages above it.
    while let Some(index) = wanted.pop_last() {
        let stage = planner.stage(index).await?;
        wanted.extend(stage.needs.iter().copied());
        stages.insert(index, stage);
    }
    mark_layer_makers(&mut stages, targets[0]);
    inherit_platforms(&mut stages, planner.platform);
    Ok(Plan {
        // `--reproducible` is 0, whatever else is asked for.
        epoch: planner.options.is_reproducible.then_some(0).or(epoch),
        stages,
        targets,
        platform: planner.platform.clone(),
        remotes: planner.remotes,
        global: planner.global,
    })
}

/// Returns the numbers of the stages to build, the image first.
fn targets(dockerfile: &Dockerfile, options: &BuildOptions) -> Result<Vec<usize>> {
    if options.targets.is_empty() {
        return Ok(vec![dockerfile.target(None)?]);
    }
    let find = |name: &String| {
        let found = dockerfile.target(Some(name));
        found.with_context(|| format!("cannot build the target stage `{name}`"))
    };
    options.targets.iter().map(find).collect()
}

/// Marks the stages whose layers end up in the image: the target and what it is built on.
fn mark_layer_makers(stages: &mut BTreeMap<usize, PlannedStage>, target: usize) {
    let mut next = Some(target);
    while let Some(stage) = next.and_then(|index| stages.get_mut(&index)) {
        stage.makes_layers = true;
        next = stage.base.stage();
    }
}

/// Gives a stage the platform of the stage that it starts from, and one from nothing that of the target: `--platform`
/// chooses among images (BuildKit frontend, `convert.go`).
fn inherit_platforms(stages: &mut BTreeMap<usize, PlannedStage>, target: &Platform) {
    let mut platforms: BTreeMap<usize, Platform> = BTreeMap::new();
    for (index, stage) in stages {
        let inherited = match &stage.base {
            StageBase::Stage(parent) => platforms.get(parent),
            StageBase::Scratch if stage.starts_from_nothing() => Some(target),
            StageBase::Scratch | StageBase::Image(_) => None,
        };
        if let Some(platform) = inherited {
            stage.platform = platform.clone();
        }
        platforms.insert(*index, stage.platform.clone());
    }
}
