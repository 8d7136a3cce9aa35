//! A build from beginning to end: read, plan, execute the stages, put the image together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use tokio::task::JoinSet;

use crate::context::BuildContext;
use crate::context::dockerignore::Ignore;
use crate::dockerfile::{self, Dockerfile};
use crate::fs::Root;
use crate::image::{AssembledImage, Reference};

use super::ability::check_ability;
use super::action::Action;
use super::assemble::assemble;
use super::built::{BuiltStage, BuiltStages};
use super::evaluate::{EvaluatedStage, evaluate};
use super::forecast::{Forecast, forecast};
use super::halt::Halted;
use super::lint;
use super::mount_action::MountAction;
use super::plan::{Plan, PlannedStage, PlannedStep, StageBase, plan};
use super::stage::{StageJob, build_stage};
use super::step_cache::StepCaching;
use super::workshop::{Tools, Workshop};
use super::{BuildOptions, DockerfileText, Event};

/// A Dockerfile with the files that it may copy: what can be checked before anything is started.
pub struct BuildInput {
    pub(super) text: DockerfileText,
    pub(super) dockerfile: Dockerfile,
    pub(super) context: BuildContext,
}

impl BuildInput {
    /// Reads and parses the Dockerfile and its ignore file.
    pub fn read(options: &BuildOptions) -> Result<Self> {
        let root = Root::open(&options.context).context("cannot open the build context")?;
        let (path, content) = read_dockerfile(options, &root)?;
        let text = DockerfileText::new(&options.dockerfile.to_string_lossy(), &content);
        let dockerfile = dockerfile::parse(&content)
            .map_err(|error| text.error_at(error.span, error.to_string()))?;
        let (ignore_path, ignore) = read_ignore(&path, &root)?;
        let left_out = left_out(options);
        let context = BuildContext::new(root, ignore_path, ignore).without(left_out);
        Ok(Self {
            text,
            dockerfile,
            context,
        })
    }
}

/// Returns what lies in the context and is none of it, relative to the context.
fn left_out(options: &BuildOptions) -> Vec<PathBuf> {
    let Ok(context) = std::fs::canonicalize(&options.context) else {
        return Vec::new();
    };
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let paths = options.left_out.iter().map(real);
    let inside = paths.filter_map(|path| Some(path.strip_prefix(&context).ok()?.to_path_buf()));
    // The context itself cannot be left out of itself.
    inside.filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Builds what `options` ask for and returns the image. Its own layers are among the blobs of
/// `tools`.
pub async fn build(
    input: BuildInput,
    options: &BuildOptions,
    tools: Tools,
) -> Result<AssembledImage> {
    warn_of_syntax(&input.dockerfile, &tools);
    let plan = plan(&input.dockerfile, &input.text, options, &tools.images).await?;
    lint::report(&input, &plan, options, &tools.progress)?;
    let workshop = Workshop::new(input, options, plan.global.clone(), plan.epoch, tools)?;
    let workshop = Arc::new(workshop);
    let target = plan.targets[0];
    let result = async {
        let jobs = jobs(plan, &workshop).await?;
        let built = build_stages(jobs, &workshop).await?;
        assemble(&built[&target], options, &workshop).await
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

/// Finds out what has to be done for each stage that is needed.
async fn jobs(mut plan: Plan, workshop: &Arc<Workshop>) -> Result<BTreeMap<usize, StageJob>> {
    let evaluated = evaluate(&plan, workshop)?;
    let evaluated = Arc::new(evaluated);
    let mut forecast = forecast(&plan, &evaluated, workshop).await?;
    plan.keep_what_is_needed(&forecast);
    check_ability(&plan, &forecast, &workshop.text, workshop.sandbox())?;
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

/// `# syntax=` chooses the program that reads the file elsewhere; here there is one, and it reads the
/// language of docker/dockerfile.
fn warn_of_syntax(dockerfile: &Dockerfile, tools: &Tools) {
    let Some(syntax) = &dockerfile.directives.syntax else {
        return;
    };
    let frontend = syntax.value.split_whitespace().next().unwrap_or_default();
    let name = Reference::parse(frontend).map(|reference| reference.repository().to_owned());
    if !name.is_ok_and(|name| name.starts_with("docker/dockerfile")) {
        let text = format!("`# syntax={frontend}` is not docker/dockerfile and has no effect");
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

/// Dockerfiles and ignore files are read into memory: a larger one is neither.
pub(super) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Finds the Dockerfile, first from the current directory, then in the context, as kaniko does. What
/// is below the context is not trusted: links in it lead nowhere outside.
fn read_dockerfile(options: &BuildOptions, context: &Root) -> Result<(DockerfilePath, String)> {
    let here = options.current_dir.join(&options.dockerfile);
    if let Ok(path) = here.strip_prefix(&options.context) {
        if let Some(text) = read_text(context, path)? {
            return Ok((DockerfilePath::in_context(options, path)?, text));
        }
    } else if here.exists() {
        let found = DockerfilePath::of_the_user(&here)?;
        let text = read_text(&found.root, &found.path)?;
        return Ok((found, text.unwrap_or_default()));
    }
    // BuildKit finds a lower-case `dockerfile` where the default name is not there.
    let is_default = options.dockerfile == Path::new("Dockerfile");
    let lower_case = is_default.then(|| PathBuf::from("dockerfile"));
    for path in std::iter::once(&options.dockerfile).chain(&lower_case) {
        if let Some(text) = read_text(context, path)? {
            return Ok((DockerfilePath::in_context(options, path)?, text));
        }
    }
    bail!(
        "there is no Dockerfile `{}`, nor `{}`",
        here.display(),
        context.outside_path(&options.dockerfile).display()
    )
}

/// Where the Dockerfile was found: its own ignore file is beside it.
struct DockerfilePath {
    root: Root,
    /// Relative to `root`.
    path: PathBuf,
}

impl DockerfilePath {
    fn in_context(options: &BuildOptions, path: &Path) -> Result<Self> {
        Ok(Self {
            root: Root::open(&options.context)?,
            path: path.to_path_buf(),
        })
    }

    /// A path that the user typed may lead anywhere, through any links.
    fn of_the_user(path: &Path) -> Result<Self> {
        let failed = || format!("cannot open the Dockerfile `{}`", path.display());
        let path = path.canonicalize().with_context(failed)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().with_context(failed)?;
        Ok(Self {
            root: Root::open(parent)?,
            path: PathBuf::from(name),
        })
    }
}

/// Reads `<Dockerfile>.dockerignore`, else the context's `.dockerignore`. The name returned is the one
/// for messages.
fn read_ignore(dockerfile: &DockerfilePath, context: &Root) -> Result<(PathBuf, Ignore)> {
    let mut beside = dockerfile.path.as_os_str().to_owned();
    beside.push(".dockerignore");
    let places = [
        (&dockerfile.root, PathBuf::from(beside)),
        (context, PathBuf::from(".dockerignore")),
    ];
    for (root, path) in places {
        if let Some(text) = read_text(root, &path)? {
            let path = root.outside_path(&path);
            let ignore =
                Ignore::parse(&text).with_context(|| format!("cannot use `{}`", path.display()))?;
            return Ok((path, ignore));
        }
    }
    Ok((PathBuf::from(".dockerignore"), Ignore::parse("")?))
}

/// Reads a regular file below `root`; `None` where there is none.
fn read_text(root: &Root, path: &Path) -> Result<Option<String>> {
    if root.metadata(path)?.is_none() {
        return Ok(None);
    }
    let outside = root.outside_path(path);
    let mut bytes = Vec::new();
    let file = root.open_file(path)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read `{}`", outside.display()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("`{}` is larger than 16 MiB", outside.display());
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
