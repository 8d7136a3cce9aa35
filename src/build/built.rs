//! A stage that is built, and its files for the stages that need them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use crate::sandbox::LayerDir;

use super::files::{StageFiles, StageView};
use super::layers::StageLayer;
use super::state::FilesState;
use super::workshop::Workshop;

/// A stage that is built.
pub(super) struct BuiltStage {
    /// Base first.
    pub(super) layers: Vec<StageLayer>,
    pub(super) stack: Mutex<StageStack>,
    /// Which files it has.
    pub(super) state: FilesState,
    /// Whether it has files of a build context that were others when the build began.
    pub(super) is_disturbed: bool,
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
    /// What goes on top of the parent's files, or of `files` where these are there.
    waiting: Vec<Above>,
}

/// Something that waits to be put on top of files.
pub(super) enum Above {
    /// A layer of an image or a cache, or one that is being written.
    Layer(StageLayer),
    /// A directory, in a stack of layers.
    Dir(LayerDir),
}

impl StageStack {
    /// Starts from an image; from nothing if there are no layers.
    pub(super) fn of_image(layers: Vec<StageLayer>) -> Self {
        Self {
            waiting: layers.into_iter().map(Above::Layer).collect(),
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

    /// Puts something on top. It is not fetched before somebody needs the files.
    pub(super) fn push(&mut self, above: Above) {
        self.waiting.push(above);
    }

    /// Makes the files available.
    pub(super) fn open(&mut self, workshop: &Workshop) -> Result<&mut StageFiles> {
        let mut files = match (self.files.take(), &self.parent) {
            (Some(files), _) => Some(files),
            (None, Some(parent)) => Some(parent.start(workshop)?),
            (None, None) => None,
        };
        let mut layers = Vec::new();
        for above in std::mem::take(&mut self.waiting) {
            match above {
                Above::Layer(layer) => layers.push(layer),
                Above::Dir(dir) => {
                    let below = put_on(files, &std::mem::take(&mut layers), workshop)?;
                    files = Some(below.with_dir(dir)?);
                }
            }
        }
        Ok(self.files.insert(put_on(files, &layers, workshop)?))
    }

    /// Returns the stage whose files these are, if it is not this one.
    fn borrowed_from(&self) -> Option<&BuiltStage> {
        let parent = self.parent.as_ref()?;
        let has_none = self.files.is_none() && self.waiting.is_empty();
        has_none.then(|| parent.stage.as_ref())
    }
}

/// Puts layers on top of files, if there are any yet.
fn put_on(
    files: Option<StageFiles>,
    layers: &[StageLayer],
    workshop: &Workshop,
) -> Result<StageFiles> {
    match files {
        None => workshop.open_layers(layers),
        Some(files) if layers.is_empty() => Ok(files),
        Some(files) => workshop.apply_layers(files, layers),
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
