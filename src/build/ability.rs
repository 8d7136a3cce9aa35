//! What a plan asks for, the cache does not answer, and the place cannot do: said before anything is pulled.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::dockerfile::{Instruction, NetworkMode, RunInstruction, Span};
use crate::image::Platform;

use super::LocatedError;
use super::emulation::executes;
use super::forecast::Forecast;
use super::plan::{Plan, PlannedStage, StageBase};
use super::workshop::Workshop;

/// Fails with all places of the Dockerfile that cannot be executed here.
pub(super) async fn check_ability(
    plan: &Plan,
    forecast: &Forecast,
    workshop: &Arc<Workshop>,
) -> Result<()> {
    let asked = Asked {
        plan,
        forecast,
        workshop,
    };
    let mode = workshop.sandbox().mode();
    if !mode.can_run() {
        let message = format!(
            "RUN cannot be executed here: isolation `{}` runs no commands",
            mode.name()
        );
        return asked.refuse_mode(&message, |_| true);
    }
    if !mode.has_namespaces() {
        let message = format!(
            "RUN --network=none cannot be executed here: isolation `{}` has no network of its own",
            mode.name()
        );
        asked.refuse_mode(&message, |run| run.network == NetworkMode::None)?;
    }
    asked.check_platforms().await
}

/// What has to be executed.
struct Asked<'a> {
    plan: &'a Plan,
    forecast: &'a Forecast,
    workshop: &'a Arc<Workshop>,
}

impl Asked<'_> {
    /// Fails if a RUN has to be executed that the mode of isolation cannot do.
    fn refuse_mode(
        &self,
        message: &str,
        is_refused: impl Fn(&RunInstruction) -> bool,
    ) -> Result<()> {
        let Some(error) = self.error_at_runs(message, |_, run| is_refused(run)) else {
            return Ok(());
        };
        let hints = self.workshop.sandbox().hints();
        if hints.is_empty() {
            // Nothing stronger was tried: it was not wanted.
            let hint = "without --isolation, the strongest that works here is taken";
            return Err(error.hint(hint).into());
        }
        Err(error.hint(hints.join("\nhint: ")).into())
    }

    /// Fails if a RUN has to be executed whose programs this machine does not execute.
    async fn check_platforms(&self) -> Result<()> {
        let mut foreign = BTreeSet::new();
        let platforms = self.plan.stages.iter();
        let platforms = platforms.filter(|(index, _)| !self.runs_of(**index).is_empty());
        let platforms: BTreeSet<[Platform; 2]> = platforms
            .map(|(_, stage)| self.platforms_of(stage))
            .collect();
        for platforms in platforms {
            let shop = Arc::clone(self.workshop);
            let asked = platforms.clone();
            let task = tokio::task::spawn_blocking(move || executes(&asked, &shop));
            let is_native = task.await.context("trying a program stopped")?;
            if !is_native.context("cannot find out which programs can be executed here")? {
                foreign.insert(platforms);
            }
        }
        let is_foreign = |stage: &PlannedStage| foreign.contains(&self.platforms_of(stage));
        let wanted = foreign.iter().map(|[wanted, _]| wanted);
        let wanted: BTreeSet<&Platform> = wanted.collect();
        let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let message = format!(
            "RUN cannot be executed here: this machine does not execute programs for {}",
            names.join(", ")
        );
        match self.error_at_runs(&message, |stage, _| is_foreign(stage)) {
            None => Ok(()),
            Some(error) => Err(error.hint(remedies(&wanted)).into()),
        }
    }

    /// Returns what a stage is to be for, and what its base says that it is for. Either may be wrong: images exist that
    /// say nothing true of themselves.
    fn platforms_of(&self, stage: &PlannedStage) -> [Platform; 2] {
        let mut base = &stage.base;
        let found = loop {
            match base {
                StageBase::Scratch => break stage.platform.clone(),
                StageBase::Image(image) => break image.config.platform(),
                StageBase::Stage(index) => match self.plan.stages.get(index) {
                    Some(parent) => base = &parent.base,
                    None => break stage.platform.clone(),
                },
            }
        };
        [stage.platform.clone(), found]
    }

    /// Returns the RUNs of a stage that have to be executed, with their lines.
    fn runs_of(&self, index: usize) -> Vec<(Span, &RunInstruction)> {
        let steps = &self.plan.stages[&index].steps;
        let steps = steps.iter().zip(&self.forecast[&index].steps);
        let executed = steps.filter(|(_, forecast)| forecast.answer.is_none());
        let runs = executed.filter_map(|(step, _)| {
            let Instruction::Run(run) = &step.statement.instruction else {
                return None;
            };
            Some((step.span, run))
        });
        runs.collect()
    }

    /// Makes an error of all RUNs that have to be executed and are refused, if there are any.
    fn error_at_runs(
        &self,
        message: &str,
        is_refused: impl Fn(&PlannedStage, &RunInstruction) -> bool,
    ) -> Option<LocatedError> {
        let mut spans: Vec<Span> = Vec::new();
        for (index, stage) in &self.plan.stages {
            let runs = self.runs_of(*index).into_iter();
            let refused = runs.filter(|(_, run)| is_refused(stage, run));
            spans.extend(refused.map(|(span, _)| span));
        }
        // Stages of several platforms have the same lines.
        spans.sort_by_key(|span| (span.start, span.end));
        spans.dedup();
        let (first, others) = spans.split_first()?;
        let error = self.workshop.text.error_at(*first, message);
        Some(error.also_at(others.to_vec()))
    }
}

fn remedies(platforms: &BTreeSet<&Platform>) -> String {
    let architectures = platforms.iter().map(|platform| &platform.architecture);
    let architectures: BTreeSet<&str> = architectures.map(String::as_str).collect();
    let architectures = Vec::from_iter(architectures).join(",");
    let remedies = [
        "compile on the builder's own platform: `FROM --platform=$BUILDPLATFORM`, with `ARG TARGETARCH`".to_owned(),
        format!(
            "or have the node's kernel emulate it: `docker run --privileged --rm tonistiigi/binfmt --install {architectures}`"
        ),
        "or build each platform on a machine of its own, and join the images with `executor index`".to_owned(),
    ];
    remedies.join("\nhint: ")
}
