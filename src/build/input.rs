//! What a build reads before anything is started: the Dockerfile, the ignore file and the directory of the context.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::context::BuildContext;
use crate::context::dockerignore::Ignore;
use crate::dockerfile::{self, Dockerfile};
use crate::fs::Root;

use super::options::DockerfileSource;
use super::remote_source::redacted;
use super::{BuildOptions, DockerfileText};

/// A Dockerfile with the files that it may copy: what can be checked before anything is started.
pub struct BuildInput {
    pub(super) text: DockerfileText,
    pub(super) dockerfile: Dockerfile,
    pub(super) context: BuildContext,
    /// Seconds since 1970-01-01. `None` for a directory of this machine, for what has no time, and where nobody wants it.
    pub(super) context_time: Option<i64>,
}

impl BuildInput {
    /// Reads and parses the Dockerfile and its ignore file.
    pub fn read(options: &BuildOptions) -> Result<Self> {
        let root = Root::open(&options.context).context("cannot open the build context")?;
        let (name, content, beside) = match &options.dockerfile {
            DockerfileSource::Path(name) => {
                let (path, content) = read_dockerfile(options, name, &root)?;
                (name.to_string_lossy(), content, Some(path))
            }
            DockerfileSource::Text { name, content } => (name.into(), content.clone(), None),
            DockerfileSource::Url(file) => {
                bail!("`{}` has not been fetched", redacted(file.url.as_str()))
            }
        };
        let text = DockerfileText::new(&name, &content);
        let dockerfile = dockerfile::parse(&content)
            .map_err(|error| text.error_at(error.span, error.to_string()))?;
        let own_ignore = match &beside {
            Some(path) if !options.context_is_fetched => read_own_ignore(path)?,
            Some(_) | None => None,
        };
        let (ignore_path, ignore) = match own_ignore {
            Some(own) => own,
            None if !options.context_is_fetched => read_ignore(&root)?,
            None => nothing_ignored()?,
        };
        let left_out = left_out(&options.context, options);
        let context = BuildContext::new(root, ignore_path, ignore).without(left_out);
        Ok(Self {
            text,
            dockerfile,
            context,
            context_time: None,
        })
    }
}

/// Opens a directory as a context, with its own ignore file. What the user named may lead anywhere; what is in it leads
/// nowhere outside.
pub(super) fn open_context(directory: &Path, options: &BuildOptions) -> Result<BuildContext> {
    let root = Root::open(directory)?;
    let (ignore_path, ignore) = read_ignore(&root)?;
    let left_out = left_out(directory, options);
    Ok(BuildContext::new(root, ignore_path, ignore).without(left_out))
}

/// Returns what lies in the directory of a context and is none of it, relative to that.
fn left_out(directory: &Path, options: &BuildOptions) -> Vec<PathBuf> {
    let Ok(context) = std::fs::canonicalize(directory) else {
        return Vec::new();
    };
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let paths = options.left_out.iter().map(real);
    let inside = paths.filter_map(|path| Some(path.strip_prefix(&context).ok()?.to_path_buf()));
    // The context itself cannot be left out of itself.
    inside.filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Dockerfiles and ignore files are read into memory: a larger one is neither.
pub const DOCKERFILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Finds the Dockerfile, first from the current directory, then in the context, as kaniko does. What
/// is below the context is not trusted: links in it lead nowhere outside.
fn read_dockerfile(
    options: &BuildOptions,
    name: &PathBuf,
    context: &Root,
) -> Result<(DockerfilePath, String)> {
    let here = options.current_dir.join(name);
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
    let is_default = name == Path::new("Dockerfile");
    let lower_case = is_default.then(|| PathBuf::from("dockerfile"));
    for path in std::iter::once(name).chain(&lower_case) {
        if let Some(text) = read_text(context, path)? {
            return Ok((DockerfilePath::in_context(options, path)?, text));
        }
    }
    bail!(
        "there is no Dockerfile `{}`, nor `{}`",
        here.display(),
        context.outside_path(name).display()
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

/// An ignore file, and its name for messages.
type NamedIgnore = (PathBuf, Ignore);

/// Reads `<Dockerfile>.dockerignore`, which replaces the context's.
fn read_own_ignore(dockerfile: &DockerfilePath) -> Result<Option<NamedIgnore>> {
    let mut beside = dockerfile.path.as_os_str().to_owned();
    beside.push(".dockerignore");
    ignore_file(&dockerfile.root, Path::new(&beside))
}

/// Reads the `.dockerignore` of a context; without one, nothing is left out.
fn read_ignore(context: &Root) -> Result<NamedIgnore> {
    let path = Path::new(".dockerignore");
    match ignore_file(context, path)? {
        Some(found) => Ok(found),
        None => nothing_ignored(),
    }
}

pub(super) fn nothing_ignored() -> Result<NamedIgnore> {
    Ok((PathBuf::from(".dockerignore"), Ignore::parse("")?))
}

fn ignore_file(root: &Root, path: &Path) -> Result<Option<NamedIgnore>> {
    let Some(text) = read_text(root, path)? else {
        return Ok(None);
    };
    let path = root.outside_path(path);
    let ignore =
        Ignore::parse(&text).with_context(|| format!("cannot use `{}`", path.display()))?;
    Ok(Some((path, ignore)))
}

/// Reads a regular file below `root`; `None` where there is none.
pub(super) fn read_text(root: &Root, path: &Path) -> Result<Option<String>> {
    if root.metadata(path)?.is_none() {
        return Ok(None);
    }
    let outside = root.outside_path(path);
    let mut bytes = Vec::new();
    let file = root.open_file(path)?;
    file.take(DOCKERFILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read `{}`", outside.display()))?;
    if bytes.len() as u64 > DOCKERFILE_BYTES_MAX {
        bail!("`{}` is larger than 16 MiB", outside.display());
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
