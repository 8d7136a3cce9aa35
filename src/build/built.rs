//! A stage that is built, and its files for the stages that need them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::draft::ImageDraft;
use super::files::{StageFiles, StageView};
use super::scope::StageScope;
use super::workshop::Workshop;

/// A stage that is built.
pub(super) struct BuiltStage {
    pub(super) draft: ImageDraft,
    pub(super) scope: StageScope,
    /// Its files; `None` as long as nobody has asked for them.
    pub(super) files: Mutex<Option<StageFiles>>,
    /// The stage that it was built on, whose files are its own as long as it has none.
    pub(super) parent: Option<Parent>,
}

/// The stage that another one starts from.
#[derive(Clone)]
pub(super) struct Parent {
    pub(super) stage: Arc<BuiltStage>,
    /// Nobody else needs its files: they need not stay as they are.
    pub(super) is_taken_over: bool,
}

impl Parent {
    /// Returns the files to start with.
    pub(super) fn start(&self, workshop: &Workshop) -> Result<StageFiles> {
        self.stage.start(workshop, self.is_taken_over)
    }
}

impl BuiltStage {
    /// Returns the stage's files for another stage to start with; `is_taken_over` says that nobody
    /// needs them after that. They are fetched now if no step has needed them.
    fn start(&self, workshop: &Workshop, is_taken_over: bool) -> Result<StageFiles> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.is_none() && is_taken_over {
            return self.open(workshop);
        }
        match self.opened(&mut files, workshop)? {
            StageFiles::Layers(rootfs) => Ok(StageFiles::Layers(rootfs.clone())),
            StageFiles::Tree(_) if is_taken_over => match files.take() {
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
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.is_none()
            && let Some(parent) = &self.parent
        {
            return parent.stage.view(workshop);
        }
        match self.opened(&mut files, workshop)? {
            StageFiles::Layers(rootfs) => Ok(StageView::Layers(rootfs.view()?)),
            StageFiles::Tree(tree) => tree.view(),
        }
    }

    fn opened<'f>(
        &self,
        files: &'f mut Option<StageFiles>,
        workshop: &Workshop,
    ) -> Result<&'f mut StageFiles> {
        if files.is_none() {
            *files = Some(self.open(workshop)?);
        }
        match files {
            Some(files) => Ok(files),
            None => unreachable!("it was just opened"),
        }
    }

    fn open(&self, workshop: &Workshop) -> Result<StageFiles> {
        match &self.parent {
            Some(parent) => parent.start(workshop),
            None => workshop.open_layers(&self.draft.layers),
        }
    }
}

/// The stages that are built so far, by number.
pub(super) type BuiltStages = BTreeMap<usize, Arc<BuiltStage>>;
