//! `--dryrun`: what a build would do, as text for people. The same build gives the same text.

use crate::build::{Base, Need, Preview, Pull, StagePreview, StepOutcome, StepPreview};
use crate::dockerfile::Span;

use super::progress::show_bytes;

/// Returns the plan of a build, line by line, for each platform; `isolation` says where its steps would run, and
/// `is_single_snapshot` whether the image has one layer for each stage.
pub(super) fn lines(
    previews: &[Preview],
    isolation: &str,
    is_single_snapshot: bool,
) -> Vec<String> {
    let mut lines = vec![format!("isolation: {isolation}")];
    if is_single_snapshot {
        lines.push(
            "the layers of each stage of the image become one (--single-snapshot)".to_owned(),
        );
    }
    for preview in previews {
        if previews.len() > 1 {
            lines.push(String::new());
            lines.push(format!("platform {}", preview.platform));
        }
        for stage in &preview.stages {
            lines.push(String::new());
            lines.extend(stage_lines(stage));
        }
        lines.push(String::new());
        lines.extend(pull_lines(&preview.pulls));
    }
    let may_be_found = |stage: &StagePreview| {
        let mut steps = stage.steps.iter();
        steps.any(|step| matches!(step.outcome, StepOutcome::Miss(..)))
    };
    let mut stages = previews.iter().flat_map(|preview| &preview.stages);
    if stages.any(may_be_found) {
        lines.push(
            "a miss may still be found, once the files that it is made of are known".to_owned(),
        );
    }
    lines
}

fn stage_lines(stage: &StagePreview) -> Vec<String> {
    let need = match stage.need {
        Need::Target => "target",
        Need::Needed => "needed",
        Need::Cached => "not needed: what is taken from it is in the cache",
        Need::Unreachable => "not needed",
    };
    let mut lines = vec![format!(
        "stage {} ({}): {need}",
        stage.name,
        show_span(stage.span)
    )];
    let base = match &stage.base {
        None => String::new(),
        Some(Base::Scratch) => ": no files".to_owned(),
        Some(Base::Stage(name)) => format!(": stage {name}"),
        Some(Base::Image { digest, platform }) => {
            let digest = digest.iter().map(|digest| format!("{digest} "));
            format!(": {}for {platform}", digest.collect::<String>())
        }
    };
    lines.push(format!("  {}{base}", stage.from));
    lines.extend(stage.steps.iter().map(step_line));
    lines
}

fn step_line(step: &StepPreview) -> String {
    let (number, total) = step.place;
    let outcome = match &step.outcome {
        StepOutcome::Config => "config only".to_owned(),
        StepOutcome::Executed => "executed".to_owned(),
        StepOutcome::NotCached(key) => {
            format!("executed: layers of its kind are not cached; key {key}")
        }
        StepOutcome::Hit(key) => format!("hit {key}"),
        StepOutcome::Miss(key, said) => format!("miss {key}: {said}"),
    };
    let lines = show_span(step.span);
    format!("  {number}/{total} {} ({lines}): {outcome}", step.text)
}

fn pull_lines(pulls: &[Pull]) -> Vec<String> {
    if pulls.is_empty() {
        return vec!["the steps need nothing pulled".to_owned()];
    }
    let line = |pull: &Pull| {
        let Pull {
            from,
            layers,
            bytes,
        } = pull;
        let plural = if *layers == 1 { "" } else { "s" };
        format!(
            "pull {layers} layer{plural} ({}) of {from}",
            show_bytes(*bytes)
        )
    };
    pulls.iter().map(line).collect()
}

fn show_span(span: Span) -> String {
    match span.start == span.end {
        true => format!("line {}", span.start),
        false => format!("lines {}-{}", span.start, span.end),
    }
}
