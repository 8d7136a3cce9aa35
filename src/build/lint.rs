//! What is told about a Dockerfile: the rules of lint that it breaks.
//!
//! During a build, with all that is known of the base images; for `executor lint`, without asking any
//! registry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

use crate::context::select::clean;
use crate::dockerfile::Stage;
use crate::dockerfile::lint::{self, BaseFacts, CheckConfig, Facts, Linted, Warning};
use crate::image::{Platform, Reference};

use super::base::BaseImage;
use super::control_args::unknown_args;
use super::plan::{Plan, PlannedStage, StageBase};
use super::scope::GlobalScope;
use super::{BuildInput, BuildOptions, DockerfileText, Event, LocatedError, Progress};

/// What lint says of a Dockerfile.
pub struct LintReport {
    /// The Dockerfile.
    pub text: DockerfileText,
    /// Rules that it breaks, in its order.
    pub warnings: Vec<Warning>,
    /// Values of `--build-arg` that nothing takes, one sentence each.
    pub unknown_args: Vec<String>,
    /// Why it is not built: something is wrong with it, or a broken rule is an error.
    pub error: Option<LocatedError>,
}

/// Looks at a Dockerfile without building it, at all stages or those that the targets need. Base images
/// are not looked at: what they define counts as undefined, and their platforms as right.
///
/// # Errors
/// If a target is no stage, or the check directive cannot be read.
pub fn lint(input: &BuildInput, options: &BuildOptions) -> Result<LintReport> {
    let file = &input.dockerfile;
    let targets = options.targets.iter().map(|name| file.target(Some(name)));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let look = Look { input, options };
    let mut facts = look.facts();
    let ignored = |path: &str| look.is_ignored(path);
    facts.is_ignored = &ignored;
    if !targets.is_empty() {
        // Variables that cannot be expanded are a mistake that lint finds as well.
        facts.stages = lint::needed_stages(file, &targets, &facts).ok();
    }
    let config = look.config()?;
    let Linted { warnings, mistake } = lint::lint(input.text.as_str(), file, &config, &facts);
    let mistake = mistake.map(|mistake| input.text.error_at(mistake.span, mistake.message));
    let violation = || look.violation(&config, &warnings);
    Ok(LintReport {
        error: mistake.or_else(violation),
        unknown_args: unknown_args(file, &[], options),
        text: input.text.clone(),
        warnings,
    })
}

/// Warns of what a build's Dockerfile could do better, and fails if that is asked for. Nothing has been
/// executed yet.
pub(super) fn report(
    input: &BuildInput,
    plans: &[Plan],
    options: &BuildOptions,
    progress: &Progress,
) -> Result<()> {
    let look = Look { input, options };
    let config = look.config()?;
    let mut warnings: Vec<Warning> = Vec::new();
    for plan in plans {
        // What is said of one platform is mostly what is said of the next.
        let new = look.at_plan(plan, &config).into_iter();
        let new = new.filter(|warning| !warnings.contains(warning));
        let new: Vec<Warning> = new.collect();
        warnings.extend(new);
    }
    for warning in &warnings {
        let text = format!("{}: {}", place(&input.text, warning), one_line(warning));
        progress(Event::Warning(&text));
    }
    match look.violation(&config, &warnings) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Warns of a Dockerfile that cannot be planned, for whatever reason, as far as it takes no base image to know.
pub(super) fn report_without_plan(input: &BuildInput, options: &BuildOptions, progress: &Progress) {
    let Ok(report) = lint(input, options) else {
        return;
    };
    let mut warnings = report.warnings;
    warnings.retain(|warning| !warning.rule.asks_base_images());
    for warning in &warnings {
        let text = format!("{}: {}", place(&input.text, warning), one_line(warning));
        progress(Event::Warning(&text));
    }
}

/// Returns `FILE:LINE`.
fn place(text: &DockerfileText, warning: &Warning) -> String {
    let line = warning.spans.first().map_or(1, |span| span.start);
    format!("{}:{line}", text.name())
}

fn one_line(warning: &Warning) -> String {
    format!("{}: {}", warning.rule.name(), warning.message)
}

/// What is looked at.
struct Look<'a> {
    input: &'a BuildInput,
    options: &'a BuildOptions,
}

impl Look<'_> {
    /// Returns what is known without looking at any image or file.
    fn facts(&self) -> Facts<'_> {
        let (file, options) = (&self.input.dockerfile, self.options);
        let last = file
            .stages
            .last()
            .and_then(Stage::name)
            .unwrap_or("default");
        let asked = options.targets.first().map(|name| name.to_lowercase());
        let target_stage = asked.as_deref().unwrap_or(last);
        let none = BTreeMap::new();
        let host = Platform::host();
        let automatic = GlobalScope::new(&none, &host, &options.platforms[0], target_stage);
        Facts {
            build_args: &options.build_args,
            automatic_args: automatic.all().to_vec(),
            stages: None,
            bases: BTreeMap::new(),
            is_reference: &|text| Reference::parse(text).is_ok(),
            is_ignored: &|_| false,
        }
    }

    /// Returns what is to be said with all that a plan knows of base images.
    fn at_plan(&self, plan: &Plan, config: &CheckConfig) -> Vec<Warning> {
        let mut facts = self.facts();
        let ignored = |path: &str| self.is_ignored(path);
        facts.is_ignored = &ignored;
        let written = plan.stages.iter().filter(|(_, stage)| !stage.is_replaced);
        facts.stages = Some(written.map(|(index, _)| *index).collect());
        let bases = plan.stages.iter();
        let bases = bases.filter_map(|(index, stage)| Some((*index, base_facts(stage)?)));
        facts.bases = bases.collect();
        let (text, file) = (self.input.text.as_str(), &self.input.dockerfile);
        // The build itself tells mistakes, and all that come with them.
        lint::lint(text, file, config, &facts).warnings
    }

    fn is_ignored(&self, path: &str) -> bool {
        let path = clean(Path::new(path));
        self.input.context.is_surely_ignored(&path)
    }

    /// Returns which rules apply: `--build-arg BUILDKIT_DOCKERFILE_CHECK` replaces the directive.
    fn config(&self) -> Result<CheckConfig> {
        let given = self.options.build_args.get("BUILDKIT_DOCKERFILE_CHECK");
        let mut config = match (given, &self.input.dockerfile.directives.check) {
            (Some(text), _) if !text.is_empty() => CheckConfig::parse(text)
                .with_context(|| format!("--build-arg BUILDKIT_DOCKERFILE_CHECK is `{text}`"))?,
            (_, Some(directive)) => CheckConfig::parse(&directive.value).map_err(|error| {
                let text = &self.input.text;
                text.error_at(directive.span, error.to_string())
            })?,
            (_, None) => CheckConfig::default(),
        };
        config.is_error |= self.options.check_is_error;
        Ok(config)
    }

    /// Returns the error that warnings are where that is asked for.
    fn violation(&self, config: &CheckConfig, warnings: &[Warning]) -> Option<LocatedError> {
        let spans = warnings.iter().filter_map(|warning| warning.spans.first());
        let mut spans = spans.copied();
        let first = spans.next().filter(|_| config.is_error)?;
        let rules: BTreeSet<&str> = warnings.iter().map(|warning| warning.rule.name()).collect();
        let rules: Vec<&str> = rules.into_iter().collect();
        let message = format!("lint violation found for rules: {}", rules.join(", "));
        let hint = "`error=true` in `# check=`, or --check-error, makes an error of each warning";
        Some(self.input.text.error_at(first, message).hint(hint))
    }
}

/// Returns what a stage starts with; `None` for one from a stage.
fn base_facts(stage: &PlannedStage) -> Option<BaseFacts> {
    let image: &BaseImage = match &stage.base {
        StageBase::Stage(_) => return None,
        StageBase::Scratch => return Some(BaseFacts::default()),
        StageBase::Image(image) => image,
    };
    let container = &image.config.config;
    let env = container.env.iter().map(|line| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (name.to_owned(), value.to_owned())
    });
    let triggers = stage.steps.iter().filter(|step| step.is_trigger);
    Some(BaseFacts {
        env: env.collect(),
        has_shell: !container.shell.is_empty(),
        triggers: triggers.map(|step| step.statement.clone()).collect(),
        other_platform: other_platform(&stage.platform, &image.config.platform()),
    })
}

/// A name that stands for one image gives that image, whatever it was made for.
fn other_platform(wanted: &Platform, found: &Platform) -> Option<(String, String)> {
    let (wanted, found) = (wanted.normalised(), found.normalised());
    let is_same = wanted.os == found.os && wanted.architecture == found.architecture;
    (!is_same).then(|| (wanted.to_string(), found.to_string()))
}
