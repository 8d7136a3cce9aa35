//! What a build is asked to do: checked once by `cli`, and only read from then on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::image::{Annotations, ImageFormat, LayerCompression, Platform};
use crate::remote::HttpSource;
use crate::sandbox::{Agent, Secret};
use crate::snapshot::Excluded;

use super::control_args::wants_index;
use super::named_contexts::NamedContexts;

/// Everything that decides what is built. Paths are absolute.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Directory of the build context. For one that is yet to be fetched, a name that stays the same.
    pub context: PathBuf,
    /// Whether the context was fetched: ignore files do not count in it.
    pub context_is_fetched: bool,
    /// Directories of the builder's own that are no part of the context, should they lie in it.
    pub left_out: Vec<PathBuf>,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// What stands in for images and stages.
    pub named_contexts: NamedContexts,
    /// Directory that relative paths of the command line start from.
    pub current_dir: PathBuf,
    /// Values of `--build-arg` by name.
    pub build_args: BTreeMap<String, String>,
    /// Whether a Dockerfile that breaks a rule of lint is not built.
    pub check_is_error: bool,
    /// Secrets that a RUN may ask for, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// SSH agents that a RUN may ask for, by id.
    pub agents: BTreeMap<String, Arc<Agent>>,
    /// Labels of `--label`, in the order given; later ones win.
    pub labels: Vec<(String, String)>,
    /// What annotations say. Those of one platform are for one of `platforms`, and of an index only where one is made.
    pub annotations: Annotations,
    /// Names of the stages to build; the first is the image. Empty for the last stage.
    pub targets: Vec<String>,
    /// What is part of no layer.
    pub ignored_paths: Excluded,
    /// Platforms to build for: one image each, in this order. Never empty, each once, normalised.
    pub platforms: Vec<Platform>,
    /// Whether the platforms were asked for, and so are written into the images' configs.
    pub platform_is_explicit: bool,
    /// Whether all times of new files, layers and history are 0.
    pub is_reproducible: bool,
    /// Whether each stage adds one layer, of all that its steps change together.
    pub is_single_snapshot: bool,
    /// Compression of new layers.
    pub compression: LayerCompression,
    /// Compression level; `None` for the default of the compression.
    pub compression_level: Option<u32>,
    /// Family of the media types.
    pub format: ImageFormat,
}

impl BuildOptions {
    /// Says whether the build makes an index of images: of several, or of one because it was asked for.
    pub fn makes_index(&self) -> Result<bool> {
        wants_index(self)
    }
}

/// Where a Dockerfile comes from.
#[derive(Debug, Clone)]
pub enum DockerfileSource {
    /// A file as the user named it: looked up from the current directory, then from the context.
    Path(PathBuf),
    /// The text itself, which was read or fetched before. It has no ignore file of its own.
    Text {
        /// How messages call it.
        name: String,
        /// All of it.
        content: String,
    },
    /// A file on an HTTP server, which [`super::BuildInput::fetch_dockerfile`] makes a text of.
    Url(HttpSource),
}
