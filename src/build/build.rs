//! A build from beginning to end: read, plan, execute the stages, put the image together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use tokio::task::JoinSet;

use crate::context::BuildContext;
use crate::context::dockerignore::Ignore;
use crate::dockerfile::{self, Dockerfile};
use crate::image::{AssembledImage, Reference};

use super::assemble::assemble;
use super::plan::{PlannedStage, plan};
use super::stage::{BuiltStage, BuiltStages, build_stage};
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
        let (path, content) = read_dockerfile(options)?;
        let text = DockerfileText::new(&options.dockerfile.to_string_lossy(), &content);
        let dockerfile = dockerfile::parse(&content)
            .map_err(|error| text.error_at(error.span, error.to_string()))?;
        let (ignore_path, ignore) = read_ignore(options, &path)?;
        let context = BuildContext::open(&options.context, ignore_path, ignore)
            .context("cannot open the build context")?;
        Ok(Self {
            text,
            dockerfile,
            context,
        })
    }
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
    let workshop = Arc::new(Workshop::new(input, options, plan.global, tools)?);
    let target = plan.targets[0];
    let built = build_stages(plan.stages, &workshop).await?;
    assemble(built[&target].draft.clone(), options, &workshop).await
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

/// Builds the stages, each as soon as those that it needs are built.
async fn build_stages(
    mut waiting: BTreeMap<usize, PlannedStage>,
    workshop: &Arc<Workshop>,
) -> Result<BuiltStages> {
    let mut built = BuiltStages::new();
    let mut running: JoinSet<(usize, Result<BuiltStage>)> = JoinSet::new();
    let mut failure = None;
    loop {
        let ready: Vec<usize> = waiting
            .iter()
            .filter(|(_, stage)| stage.needs.iter().all(|needed| built.contains_key(needed)))
            .map(|(index, _)| *index)
            .collect();
        for index in ready {
            let Some(stage) = waiting.remove(&index) else {
                continue;
            };
            let (workshop, built) = (Arc::clone(workshop), built.clone());
            running.spawn_blocking(move || (index, build_stage(&workshop, &stage, &built)));
        }
        match running.join_next().await {
            None => break,
            Some(Ok((index, Ok(stage)))) => {
                built.insert(index, Arc::new(stage));
            }
            Some(Ok((_, Err(error)))) => {
                // The others are asked to stop; what they say of it is not the cause.
                failure.get_or_insert(error);
                waiting.clear();
                workshop.stop.request();
            }
            Some(Err(error)) => {
                failure.get_or_insert(anyhow!(error).context("a stage ended unexpectedly"));
                waiting.clear();
                workshop.stop.request();
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(built),
    }
}

/// Finds the Dockerfile, first from the current directory, then in the context, as kaniko does.
fn read_dockerfile(options: &BuildOptions) -> Result<(PathBuf, String)> {
    let tried = [
        options.current_dir.join(&options.dockerfile),
        options.context.join(&options.dockerfile),
    ];
    // BuildKit finds a lower-case `dockerfile` where the default name is not there.
    let is_default = options.dockerfile == Path::new("Dockerfile");
    let lower_case = is_default.then(|| options.context.join("dockerfile"));
    for path in tried.iter().chain(&lower_case) {
        match fs::read(path) {
            Ok(bytes) => {
                return Ok((path.clone(), String::from_utf8_lossy(&bytes).into_owned()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the Dockerfile `{}`", path.display()));
            }
        }
    }
    let [here, in_context] = tried;
    bail!(
        "there is no Dockerfile `{}`, nor `{}`",
        here.display(),
        in_context.display()
    )
}

/// Reads `<Dockerfile>.dockerignore`, else the context's `.dockerignore`. The name returned is the one
/// for messages.
fn read_ignore(options: &BuildOptions, dockerfile: &Path) -> Result<(PathBuf, Ignore)> {
    let mut beside = dockerfile.as_os_str().to_owned();
    beside.push(".dockerignore");
    for path in [PathBuf::from(beside), options.context.join(".dockerignore")] {
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        let ignore =
            Ignore::parse(&text).with_context(|| format!("cannot use `{}`", path.display()))?;
        return Ok((path, ignore));
    }
    Ok((PathBuf::from(".dockerignore"), Ignore::parse("")?))
}
