//! A stage that is built, and its files for the stages that need them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::draft::ImageDraft;
use super::files::{StageFiles, StageView};
use super::layers::StageLayer;
use super::state::FilesState;
use super::workshop::Workshop;

/// A stage that is built.
pub(super) struct BuiltStage {
    /// What it made, but for its layers.
    pub(super) draft: ImageDraft,
    /// Base first.
    pub(super) layers: Vec<StageLayer>,
    pub(super) stack: Mutex<StageStack>,
    /// Which files it has.
    pub(super) state: FilesState,
}

/// The stage that another one starts from.
#[derive(Clone)]
pub(super) struct Parent {
    pub(super) stage: Arc<BuiltStage>,
    /// Nobody else needs its files: they need not stay as they are.
    pub(super) is_taken_over: bool,
}

/// The files of a stage, as far as somebody has needed them.
#[derive(Default)]
pub(super) struct StageStack {
    /// The stage that it was built on, whose files are its own as long as it has none.
    parent: Option<Parent>,
    /// `None` as long as nobody has asked for them.
    files: Option<StageFiles>,
    /// Layers of an image, of a cache, or made apart from the files, that go on top of the parent's files, or of `files` where these are there.
    waiting: Vec<StageLayer>,
}

impl StageStack {
    /// Starts from an image; from nothing if there are no layers.
    pub(super) fn of_image(layers: Vec<StageLayer>) -> Self {
        Self {
            waiting: layers,
            ..Self::default()
        }
    }

    /// Starts from an earlier stage.
    pub(super) fn on(parent: Parent) -> Self {
        Self {
            parent: Some(parent),
            ..Self::default()
        }
    }

    /// Puts a layer on top, of a cache or one that is being written. It is not fetched before somebody needs the files.
    pub(super) fn push(&mut self, layer: StageLayer) {
        self.waiting.push(layer);
    }

    /// Makes the files available.
    pub(super) fn open(&mut self, workshop: &Workshop) -> Result<&mut StageFiles> {
        let files = match (self.files.take(), &self.parent) {
            (Some(files), _) => files,
            (None, Some(parent)) => parent.start(workshop)?,
            (None, None) => {
                let layers = std::mem::take(&mut self.waiting);
                workshop.open_layers(&layers)?
            }
        };
        let files = match std::mem::take(&mut self.waiting) {
            waiting if waiting.is_empty() => files,
            waiting => workshop.apply_layers(files, &waiting)?,
        };
        Ok(self.files.insert(files))
    }

    /// Returns the stage whose files these are, if it is not this one.
    fn borrowed_from(&self) -> Option<&BuiltStage> {
        let parent = self.parent.as_ref()?;
        let has_none = self.files.is_none() && self.waiting.is_empty();
        has_none.then(|| parent.stage.as_ref())
    }
}

impl Parent {
    /// Returns the files to start with.
    fn start(&self, workshop: &Workshop) -> Result<StageFiles> {
        self.stage.start(workshop, self.is_taken_over)
    }
}

impl BuiltStage {
    /// Returns the stage's files for another stage to start with; `is_taken_over` says that nobody
    /// needs them after that. They are fetched now if no step has needed them.
    fn start(&self, workshop: &Workshop, is_taken_over: bool) -> Result<StageFiles> {
        let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
        match stack.open(workshop)? {
            StageFiles::Layers(rootfs) => Ok(StageFiles::Layers(rootfs.clone())),
            StageFiles::Tree(_) if is_taken_over => match stack.files.take() {
                Some(files) => Ok(files),
                None => unreachable!("it was just opened"),
            },
            StageFiles::Tree(tree) => {
                Ok(StageFiles::Tree(Box::new(tree.copy(workshop.sandbox())?)))
            }
        }
    }

    /// Returns the stage's files to read.
    pub(super) fn view(&self, workshop: &Workshop) -> Result<StageView> {
        let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parent) = stack.borrowed_from() {
            return parent.view(workshop);
        }
        match stack.open(workshop)? {
            StageFiles::Layers(rootfs) => Ok(StageView::Layers(rootfs.view()?)),
            StageFiles::Tree(tree) => tree.view(),
        }
    }
}

/// The stages that are built so far, by number.
pub(super) type BuiltStages = BTreeMap<usize, Arc<BuiltStage>>;
