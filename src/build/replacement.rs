//! What stands in for an image or a stage, found (BuildKit frontend, "named contexts").
//!
//! Only what the target needs is looked for: a context that nobody uses may lead nowhere.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result};

use crate::dockerfile::{Span, Stage, parse_trigger};
use crate::image::Platform;

use super::base::BaseImage;
use super::named_contexts::{NamedContext, RemoteUrl};
use super::named_dir::NamedDir;
use super::plan::{FileSource, PlannedStage, PlannedStep, StageBase};
use super::planner::Planner;
use super::remote_context::fetcher;
use super::{Event, RemoteContext};

/// What stands in for an image or a stage.
pub(super) enum Replacement {
    /// No files.
    Scratch,
    Image(Arc<BaseImage>),
    Directory {
        /// As the Dockerfile names it.
        name: String,
        dir: Arc<NamedDir>,
    },
}

/// All files of a directory. What they are copied to is empty.
const LOAD: &str = "COPY / /";

impl Planner<'_> {
    /// Finds what stands in for `name`, if anything does.
    pub(super) async fn replacement(
        &self,
        name: &str,
        platform: &Platform,
        span: Span,
    ) -> Result<Option<Replacement>> {
        let Some(context) = self.options.named_contexts.find(name, platform) else {
            return Ok(None);
        };
        let found = self.find(name, context, platform).await;
        found.map(Some).map_err(|error| {
            let message = format!("cannot use the build context `{name}`");
            self.text.error_at(span, message).because(error).into()
        })
    }

    async fn find(
        &self,
        name: &str,
        context: &NamedContext,
        platform: &Platform,
    ) -> Result<Replacement> {
        Ok(match context {
            NamedContext::Scratch => Replacement::Scratch,
            NamedContext::Image(reference) => {
                Replacement::Image(self.images.resolve(reference, platform).await?)
            }
            NamedContext::Layout(image) => {
                Replacement::Image(self.images.resolve_layout(image, platform).await?)
            }
            NamedContext::Directory(path) => Replacement::Directory {
                name: name.to_owned(),
                dir: self.named_dir(path)?,
            },
            NamedContext::Remote(url) => Replacement::Directory {
                name: name.to_owned(),
                dir: self.fetched_dir(url).await?,
            },
        })
    }

    /// Opens a directory, once.
    fn named_dir(&self, path: &PathBuf) -> Result<Arc<NamedDir>> {
        let mut opened = self
            .directories
            .named
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = opened.get(path) {
            return Ok(Arc::clone(dir));
        }
        let dir = Arc::new(NamedDir::open(path, self.options)?);
        opened.insert(path.clone(), Arc::clone(&dir));
        Ok(dir)
    }

    /// Fetches a directory, once.
    pub(super) async fn fetched_dir(&self, url: &RemoteUrl) -> Result<Arc<NamedDir>> {
        let fetch = || async {
            let context = RemoteContext::parse(url.reveal())?;
            let context =
                context.context("it is neither a git repository nor a file on a server")?;
            let tools = self.tools;
            (tools.progress)(Event::Note(&format!("fetching {}", context.shown())));
            let fetcher = fetcher(self.options, tools.remote.clone(), &tools.halt);
            let (options, sandbox) = (self.options.clone(), tools.sandbox.clone());
            let task = move || NamedDir::fetch(&context, &fetcher, &options, &sandbox);
            let fetched = tokio::task::spawn_blocking(task).await;
            Ok(Arc::new(fetched.context("fetching stopped")??))
        };
        let fetched = &self.directories.fetched;
        fetched.get(url.reveal().to_owned(), fetch).await
    }

    /// Finds what stands in for a stage of the Dockerfile, if anything does.
    pub(super) async fn stand_in(&self, index: usize) -> Result<Option<Replacement>> {
        let stage = &self.dockerfile.stages[index];
        let Some(name) = stage.name() else {
            return Ok(None);
        };
        let platform = self.platform_of(stage)?;
        self.replacement(name, &platform, stage.source.span).await
    }

    /// Plans a stage that something else stands in for: what the Dockerfile says of it does not count.
    pub(super) fn replaced_stage(
        &self,
        stage: &Stage,
        index: usize,
        replacement: Replacement,
    ) -> Result<PlannedStage> {
        let (base, load) = self.base_of(replacement, stage.source.span)?;
        let steps = Vec::from_iter(load);
        Ok(PlannedStage {
            is_replaced: true,
            ..self.planned(stage, index, base, steps)?
        })
    }

    /// Returns what a stage starts from, and its first step, if it starts from a directory.
    pub(super) fn base_of(
        &self,
        replacement: Replacement,
        span: Span,
    ) -> Result<(StageBase, Option<PlannedStep>)> {
        Ok(match replacement {
            Replacement::Scratch => (StageBase::Scratch, None),
            Replacement::Image(image) => (StageBase::Image(image), None),
            Replacement::Directory { name, dir } => {
                (StageBase::Scratch, Some(load_step(&name, dir, span)?))
            }
        })
    }

    /// Returns what files are taken from.
    pub(super) fn source_of(&self, replacement: Replacement) -> FileSource {
        match replacement {
            Replacement::Scratch => FileSource::Image(Arc::new(self.nothing())),
            Replacement::Image(image) => FileSource::Image(image),
            Replacement::Directory { name: _, dir } => FileSource::Directory(dir),
        }
    }
}

/// Makes the step that puts the files of a directory into a stage.
fn load_step(name: &str, dir: Arc<NamedDir>, span: Span) -> Result<PlannedStep> {
    Ok(PlannedStep {
        statement: parse_trigger(LOAD)?,
        span,
        is_trigger: false,
        shown: Some(format!("[context {name}] load from directory")),
        source: FileSource::Directory(dir),
        mount_sources: Vec::new(),
    })
}
