//! From words to meaning: the one conversion that checks everything a user typed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::build::{
    BaseRetries, BuildOptions, ContextSource, DOCKERFILE_BYTES_MAX, DockerfileSource,
};
use crate::image::{Annotations, ImageFormat, LayerCompression};
use crate::output::DeliveryOptions;
use crate::registry::RegistryOptions;
use crate::remote::{HttpSource, RemoteOptions};
use crate::sandbox::{EnterOptions, Isolation, StorageChoice, TOOL_DIR};
use crate::snapshot::Excluded;

use super::cache_options::CacheOptions;
use super::context_options::named_contexts;
use super::delivery_options::delivery_options;
use super::environment::{self, absolute};
use super::flags::{CompressionName, ExecutorFlags, FormatName, InputFlags};
use super::mount_options::{agents, secrets};
use super::output_options::Outputs;
use super::platform_options::{or_host, platforms};
use super::push_options::destinations;
use super::registry_options::{base_retries, registry_options};
use super::remote_context::{context_remote_options, context_text, fetched_context};
use super::step_cache_options::StepCacheOptions;

/// Everything that one run of the executor does.
pub(super) struct ExecutorOptions {
    pub(super) build: BuildOptions,
    /// Where the context is fetched from; `None` for a directory of this machine.
    pub(super) fetched_context: Option<ContextSource>,
    /// The directory in it that is meant.
    pub(super) context_sub_path: PathBuf,
    pub(super) delivery: DeliveryOptions,
    pub(super) registry: RegistryOptions,
    pub(super) remote: RemoteOptions,
    pub(super) cache: CacheOptions,
    /// `None` where no step is cached.
    pub(super) step_cache: Option<StepCacheOptions>,
    pub(super) sandbox: EnterOptions,
    /// How often base images are pulled again.
    pub(super) base_retries: BaseRetries,
    /// Whether only the plan is printed.
    pub(super) is_dry_run: bool,
    /// Whether the destinations are asked before the build if they may be pushed to.
    pub(super) checks_push_permission: bool,
    /// Whether standard output is an archive, and nothing else may be printed there.
    pub(super) stdout_is_taken: bool,
    /// Something that the user should know.
    pub(super) warning: Option<&'static str>,
}

impl ExecutorOptions {
    /// Checks the flags, with the environment that they refer to.
    pub(super) fn new(flags: &ExecutorFlags) -> Result<Self> {
        let current_dir = environment::current_dir()?;
        let mut build = build_options(flags, &current_dir)?;
        let destinations = destinations(&flags.output.destination)?;
        let outputs = Outputs::new(&flags.output, &destinations, &current_dir)?;
        let warning = outputs.apply(&flags.output, &mut build)?;
        let stdout_is_taken = outputs.takes_standard_output && !flags.output.dryrun;
        let cache = CacheOptions::new(&flags.cache, &current_dir);
        let registry = registry_options(&flags.registry, &current_dir)?;
        let fetched_context = fetched_context(&flags.input, &current_dir)?;
        let remote = context_remote_options(&registry, &build, fetched_context.as_ref())?;
        let delivery = delivery_options(flags, destinations, outputs, &remote, &current_dir)?;
        Ok(Self {
            step_cache: StepCacheOptions::new(
                &flags.cache,
                &delivery,
                &build.context,
                cache.oldest,
            )?,
            remote,
            fetched_context: fetched_context.map(|flags| flags.context),
            context_sub_path: PathBuf::from(&flags.input.context_sub_path),
            build,
            registry,
            cache,
            sandbox: sandbox_options(flags, &current_dir)?,
            base_retries: base_retries(&flags.registry),
            is_dry_run: flags.output.dryrun,
            checks_push_permission: delivery.push
                && !flags.output.dryrun
                && !flags.output.push.skip_push_permission_check,
            delivery,
            stdout_is_taken,
            warning,
        })
    }
}

pub(super) fn build_options(flags: &ExecutorFlags, current_dir: &Path) -> Result<BuildOptions> {
    let given_platforms = platforms(&flags.input.custom_platform)?;
    let context = match fetched_context(&flags.input, current_dir)? {
        Some(flags) => PathBuf::from(flags.context.shown()),
        None => absolute(&context_dir(&flags.input)?, current_dir),
    };
    Ok(BuildOptions {
        context,
        context_is_fetched: false,
        left_out: Vec::new(),
        dockerfile: dockerfile_source(&flags.input.dockerfile)?,
        named_contexts: named_contexts(&flags.input.build_context, current_dir)?,
        current_dir: current_dir.to_path_buf(),
        build_args: build_args(&flags.input.build_arg),
        check_is_error: flags.input.check_error,
        secrets: secrets(&flags.input.secret, current_dir)?,
        agents: agents(&flags.input.ssh, current_dir)?,
        labels: labels(&flags.input.label)?,
        annotations: Annotations::default(),
        targets: flags
            .input
            .target
            .iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect(),
        ignored_paths: excluded(&flags.place.ignore_path)?,
        platform_is_explicit: !given_platforms.is_empty(),
        platforms: or_host(given_platforms),
        is_reproducible: flags.output.reproducible,
        is_single_snapshot: flags.output.single_snapshot,
        compression: match flags.output.compression {
            Some(CompressionName::Zstd) => LayerCompression::Zstd,
            Some(CompressionName::Gzip) | None => LayerCompression::Gzip,
        },
        compression_level: u32::try_from(flags.output.compression_level)
            .ok()
            .filter(|level| *level > 0),
        format: match flags.output.image_format {
            Some(FormatName::Docker) => ImageFormat::Docker,
            Some(FormatName::Oci) | None => ImageFormat::Oci,
        },
    })
}

/// Finds out where the Dockerfile comes from; `-` is read now.
pub(super) fn dockerfile_source(text: &str) -> Result<DockerfileSource> {
    if text == "-" {
        let content = environment::standard_input(DOCKERFILE_BYTES_MAX)
            .context("cannot read the Dockerfile from standard input")?;
        return Ok(DockerfileSource::Text {
            name: "<stdin>".to_owned(),
            content,
        });
    }
    match text.split_once("://") {
        Some(("http" | "https", _)) => {
            // What cannot be read may hold a password.
            let url = url::Url::parse(text).context("cannot read the URL of the Dockerfile")?;
            return Ok(DockerfileSource::Url(HttpSource {
                url,
                checksum: None,
            }));
        }
        Some((scheme, _)) => bail!("not supported: a Dockerfile from {scheme}://"),
        None => {}
    }
    Ok(DockerfileSource::Path(PathBuf::from(text)))
}

/// Returns the directory of the context. Other sources of contexts are refused by name.
fn context_dir(flags: &InputFlags) -> Result<PathBuf> {
    let context = context_text(flags)?;
    let directory = match context.split_once("://") {
        None => context.as_ref(),
        Some(("dir", directory)) => directory,
        // What stands behind it may hold a password.
        Some((scheme, _)) => bail!(
            "not supported: a build context from {scheme}://; expected a directory, dir://, tar://, git://, s3://, gs://, https:// or http://"
        ),
    };
    Ok(PathBuf::from(directory).join(flags.context_sub_path.trim_start_matches('/')))
}

/// Reads `NAME=VALUE`; a bare `NAME` takes its value from the environment, empty where it is unset,
/// as kaniko does.
pub(super) fn build_args(arguments: &[String]) -> BTreeMap<String, String> {
    let mut build_args = BTreeMap::new();
    // As buildx does (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
    if let Some(epoch) = environment::variable("SOURCE_DATE_EPOCH") {
        build_args.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
    }
    for argument in arguments {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (
                argument.as_str(),
                environment::variable(argument).unwrap_or_default(),
            ),
        };
        build_args.insert(name.to_owned(), value);
    }
    build_args
}

fn labels(arguments: &[String]) -> Result<Vec<(String, String)>> {
    let split = |argument: &String| {
        let pair = argument.split_once('=');
        let (name, value) =
            pair.with_context(|| format!("--label is `{argument}`, expected NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    arguments.iter().map(split).collect()
}

/// Checks what says where steps run. Reads no file.
pub(super) fn sandbox_options(flags: &ExecutorFlags, current_dir: &Path) -> Result<EnterOptions> {
    let place = &flags.place;
    // An empty value is an unset one: scripts write `--state-dir=$DIR`.
    let given = |path: &Option<PathBuf>| {
        let path = path.as_deref().filter(|path| !path.as_os_str().is_empty());
        path.map(|path| absolute(path, current_dir))
    };
    let context = match fetched_context(&flags.input, current_dir)? {
        Some(_) => None,
        None => Some(absolute(&context_dir(&flags.input)?, current_dir)),
    };
    let named = named_contexts(&flags.input.build_context, current_dir)?;
    Ok(EnterOptions {
        isolation: place.isolation.parse::<Isolation>()?,
        storage: place.storage.parse::<StorageChoice>()?,
        state_dir: given(&place.state_dir),
        state_dir_candidates: environment::state_dir_candidates(current_dir),
        avoided: context
            .into_iter()
            .chain(named.directories().cloned())
            .collect(),
        tool_dir: given(&place.kaniko_dir).unwrap_or_else(|| PathBuf::from(TOOL_DIR)),
        ignored: ignored_paths(&place.ignore_path)?,
        kept: Vec::new(),
        current_dir: current_dir.to_path_buf(),
        allows_in_place: place.in_place,
    })
}

/// Returns what is part of no layer.
fn excluded(arguments: &[PathBuf]) -> Result<Excluded> {
    Excluded::of_patterns(&ignored_paths(arguments)?).context("cannot use --ignore-path")
}

/// Returns the paths relative to the root directory. Their components may be patterns.
fn ignored_paths(arguments: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let relative = |path: &PathBuf| {
        let shown = path.display();
        let mut names = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    bail!("--ignore-path is `{shown}`, expected a path without `..`")
                }
            }
        }
        if names.as_os_str().is_empty() {
            bail!("--ignore-path is `{shown}`, expected a path below the root directory");
        }
        Ok(names)
    };
    arguments.iter().map(relative).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_paths_are_taken_from_the_root_directory_on() {
        let paths = |texts: &[&str]| {
            let paths: Vec<PathBuf> = texts.iter().map(PathBuf::from).collect();
            ignored_paths(&paths)
        };
        let expected = ["srv/*", "srv/data", "var/cache"].map(PathBuf::from);
        let found = paths(&["/var/cache/", "./srv//data", "/srv/data", "/srv/*"]).unwrap();
        assert_eq!(found, BTreeSet::from(expected));
        for wrong in ["/", "../etc"] {
            let error = paths(&[wrong]).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
        let error = excluded(&[PathBuf::from("/var/[x")]).unwrap_err();
        assert!(format!("{error:#}").contains("--ignore-path: syntax error in pattern `[x`"));
    }
}
