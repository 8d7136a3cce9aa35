//! Names of `--build-arg` that steer the builder itself, and names that nothing steers (BuildKit, "BuildKit built-in build
//! args"; Dockerfile reference, "Predefined ARGs").
//!
//! Each either works, or is refused or mentioned by name.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::dockerfile::{Dockerfile, Instruction, Statement, nearest_name};

use super::BuildOptions;
use super::plan::Plan;
use super::scope::{GlobalScope, is_predefined};

/// What the namespace of cache mounts is called.
const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";
/// What the host name of a RUN is called.
const HOSTNAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";
/// What replaces `# syntax=`.
const SYNTAX: &str = "BUILDKIT_SYNTAX";
/// What asks for an index around one image.
const MULTI_PLATFORM: &str = "BUILDKIT_MULTI_PLATFORM";
/// What keeps `.git` in a context that is a git repository.
pub(super) const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";
/// What says the latest time in an image.
pub(super) const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Those that change nothing here, and why.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    (
        "BUILDKIT_BUILD_NAME",
        "nothing is shown or kept under a build's name",
    ),
    (
        "BUILDKIT_INLINE_CACHE",
        "layers are cached by --cache and --cache-dir, not by what an image says of itself",
    ),
    ("BUILDKIT_SBOM_SCAN_CONTEXT", "there are no attestations"),
    ("BUILDKIT_SBOM_SCAN_STAGE", "there are no attestations"),
];

/// Those with an effect that needs no ARG.
const WITH_EFFECT: [&str; 7] = [
    KEEP_GIT_DIR,
    CACHE_NAMESPACE,
    HOSTNAME,
    SYNTAX,
    MULTI_PLATFORM,
    EPOCH,
    "BUILDKIT_DOCKERFILE_CHECK",
];

/// What control arguments ask of each RUN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunControls {
    /// Parts the cache mounts of one user of a cache from those of another.
    pub(super) cache_namespace: Option<String>,
    /// The host name that a command sees.
    pub(super) hostname: Option<String>,
}

impl RunControls {
    pub(super) fn new(global: &GlobalScope) -> Self {
        Self {
            cache_namespace: given(global, CACHE_NAMESPACE),
            hostname: given(global, HOSTNAME),
        }
    }
}

/// Returns the value of a control argument. An empty one is as good as none.
fn given(global: &GlobalScope, name: &str) -> Option<String> {
    let value = global.build_arg(name).filter(|value| !value.is_empty());
    value.map(str::to_owned)
}

/// Returns which program is to read the Dockerfile: the argument comes before the directive.
pub(super) fn syntax<'a>(
    dockerfile: &'a Dockerfile,
    options: &'a BuildOptions,
) -> Option<(&'static str, &'a str)> {
    let argument = options.build_args.get(SYNTAX);
    if let Some(argument) = argument.filter(|argument| !argument.is_empty()) {
        return Some(("--build-arg BUILDKIT_SYNTAX=", argument));
    }
    let directive = dockerfile.directives.syntax.as_ref()?;
    Some(("# syntax=", &directive.value))
}

/// Says whether images are listed in an index: several always, one if that is asked for.
pub(super) fn wants_index(options: &BuildOptions) -> Result<bool> {
    let is_list = options.platforms.len() > 1;
    let value = options.build_args.get(MULTI_PLATFORM);
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(is_list);
    };
    match value.as_str() {
        // The spellings of Go's `strconv.ParseBool`.
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" if is_list => {
            bail!("{MULTI_PLATFORM} is `{value}`, and images for several platforms need an index")
        }
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => bail!("{MULTI_PLATFORM} is `{value}`, expected true or false"),
    }
}

/// Returns what is to be said of arguments that change nothing here.
pub(super) fn notes(options: &BuildOptions, has_hostnames: bool) -> Vec<String> {
    let given = |name: &str| {
        let value = options.build_args.get(name);
        value.filter(|value| !value.is_empty())
    };
    let without_effect = WITHOUT_EFFECT.iter();
    let without_effect = without_effect.filter(|(name, _)| given(name).is_some());
    let mut notes: Vec<String> = without_effect
        .map(|(name, why)| format!("--build-arg {name} has no effect: {why}"))
        .collect();
    if given(KEEP_GIT_DIR).is_some() && !options.context_is_fetched {
        let why = "the build context is a directory, all of which is kept";
        notes.push(format!("--build-arg {KEEP_GIT_DIR} has no effect: {why}"));
    }
    if given(HOSTNAME).is_some() && !has_hostnames {
        let why = "here RUN sees the machine's own name";
        notes.push(format!("--build-arg {HOSTNAME} has no effect: {why}"));
    }
    notes
}

/// Returns a warning for each `--build-arg` that no ARG declares and that means nothing by itself. Without plans, what
/// base images ask for is not known.
pub(super) fn unknown_args(
    dockerfile: &Dockerfile,
    plans: &[Plan],
    options: &BuildOptions,
) -> Vec<String> {
    let of_stages = dockerfile.stages.iter();
    let of_stages = of_stages.flat_map(|stage| &stage.statements);
    let triggers = plans.iter().flat_map(|plan| plan.stages.values());
    let triggers = triggers.flat_map(|stage| &stage.steps);
    let triggers = triggers.map(|step| &step.statement);
    let in_stages = of_stages.chain(triggers).flat_map(arg_names);
    let global = dockerfile.meta_args.iter().flat_map(|list| &list.args);
    let declared: BTreeSet<&str> = in_stages
        .chain(global.map(|arg| arg.name.as_str()))
        .collect();
    let means_something = |name: &str| {
        let is_control = WITH_EFFECT.contains(&name);
        let has_none = WITHOUT_EFFECT.iter().any(|(known, _)| *known == name);
        declared.contains(name) || is_predefined(name) || is_control || has_none
    };
    let unknown = options.build_args.keys();
    let unknown = unknown.filter(|name| !means_something(name));
    let known: Vec<&str> = declared.iter().copied().chain(WITH_EFFECT).collect();
    let warning = |name: &String| {
        let suggestion = nearest_name(name, &known).map(|near| format!(", did you mean `{near}`?"));
        let suggestion = suggestion.unwrap_or_default();
        format!("--build-arg {name}: no ARG of the Dockerfile declares it{suggestion}")
    };
    unknown.map(warning).collect()
}

fn arg_names(statement: &Statement) -> Vec<&str> {
    match &statement.instruction {
        Instruction::Arg(args) => args.iter().map(|arg| arg.name.as_str()).collect(),
        Instruction::Add(_)
        | Instruction::Cmd(_)
        | Instruction::Copy(_)
        | Instruction::Entrypoint(_)
        | Instruction::Env(_)
        | Instruction::Expose(_)
        | Instruction::Healthcheck(_)
        | Instruction::Label(_)
        | Instruction::Maintainer(_)
        | Instruction::Onbuild(_)
        | Instruction::Run(_)
        | Instruction::Shell(_)
        | Instruction::Stopsignal(_)
        | Instruction::User(_)
        | Instruction::Volume(_)
        | Instruction::Workdir(_) => Vec::new(),
    }
}
