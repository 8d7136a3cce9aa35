//! What a plan asks for, the cache does not answer, and the place cannot do: said before anything is pulled.

use anyhow::Result;

use crate::dockerfile::{Instruction, NetworkMode, RunInstruction, Span};
use crate::sandbox::Sandbox;

use super::DockerfileText;
use super::forecast::{Forecast, StepForecast};
use super::plan::{Plan, PlannedStep};

/// Fails with all places of the Dockerfile that cannot be executed in `sandbox`.
pub(super) fn check_ability(
    plan: &Plan,
    forecast: &Forecast,
    text: &DockerfileText,
    sandbox: &Sandbox,
) -> Result<()> {
    let mode = sandbox.mode();
    if !mode.can_run() {
        let message = format!(
            "RUN cannot be executed here: isolation `{}` runs no commands",
            mode.name()
        );
        return refuse(plan, forecast, text, sandbox, &message, |_| true);
    }
    if !mode.has_namespaces() {
        let message = format!(
            "RUN --network=none cannot be executed here: isolation `{}` has no network of its own",
            mode.name()
        );
        return refuse(plan, forecast, text, sandbox, &message, |run| {
            run.network == NetworkMode::None
        });
    }
    Ok(())
}

fn refuse(
    plan: &Plan,
    forecast: &Forecast,
    text: &DockerfileText,
    sandbox: &Sandbox,
    message: &str,
    is_refused: impl Fn(&RunInstruction) -> bool,
) -> Result<()> {
    let steps = plan
        .stages
        .iter()
        .flat_map(|(index, stage)| stage.steps.iter().zip(&forecast[index].steps));
    let refused = |(step, forecast): (&PlannedStep, &StepForecast)| {
        if forecast.answer.is_some() {
            return None;
        }
        let Instruction::Run(run) = &step.statement.instruction else {
            return None;
        };
        is_refused(run).then_some(step.span)
    };
    let mut spans: Vec<Span> = steps.filter_map(refused).collect();
    spans.dedup();
    let Some((first, others)) = spans.split_first() else {
        return Ok(());
    };
    let error = text.error_at(*first, message).also_at(others.to_vec());
    let hints = sandbox.hints();
    if hints.is_empty() {
        // Nothing stronger was tried: it was not wanted.
        let hint = "without --isolation, the strongest that works here is taken";
        return Err(error.hint(hint).into());
    }
    Err(error.hint(hints.join("\nhint: ")).into())
}
