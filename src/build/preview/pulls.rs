//! Which layers the steps of a build would have fetched: those under what is executed, and those of what it takes files from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::build::action::Work;
use crate::build::evaluated::EvaluatedStep;
use crate::build::forecast::StepForecast;
use crate::build::layers::{LayerContent, LayerOrigin, StageLayer, StoredLayer};
use crate::build::plan::{FileSource, StageBase};
use crate::image::Digest;
use crate::image::blob_store::BlobStore;

use super::Needed;

/// Layers that would be pulled from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Registry and repository.
    pub from: String,
    /// How many layers.
    pub layers: usize,
    /// How many bytes these are, compressed.
    pub bytes: u64,
}

/// Layers by digest, each once.
type Layers = BTreeMap<Digest, Arc<StoredLayer>>;

impl Needed<'_> {
    /// Returns what would be pulled and is not here.
    pub(super) fn pulls(&self, here: &BlobStore) -> Vec<Pull> {
        let mut layers = Layers::new();
        let needed = self.forecast.iter().filter(|(_, stage)| stage.is_needed);
        for (index, _) in needed {
            self.add_files_for_steps(*index, &mut layers);
        }
        let mut pulls: BTreeMap<String, Pull> = BTreeMap::new();
        for layer in layers.values() {
            let is_remote = match &layer.origin {
                LayerOrigin::Registry(_) => !here.contains(&layer.descriptor.digest),
                LayerOrigin::Cache | LayerOrigin::Build | LayerOrigin::Layout(_) => false,
            };
            if is_remote {
                let pull = pulls.entry(layer.place()).or_insert_with(|| Pull {
                    from: layer.place(),
                    layers: 0,
                    bytes: 0,
                });
                pull.layers += 1;
                pull.bytes += layer.descriptor.size;
            }
        }
        pulls.into_values().collect()
    }

    /// Adds what the steps of a stage have to see: nothing, where none is executed.
    fn add_files_for_steps(&self, index: usize, layers: &mut Layers) {
        let last_on_files = self.steps(index).rposition(|(step, forecast)| {
            is_executed(step, forecast) && !step.work.as_ref().is_some_and(Work::is_linked)
        });
        if let Some(last_on_files) = last_on_files {
            self.add_base(index, layers);
            for (_, forecast) in self.steps(index).take(last_on_files) {
                add_answer(forecast, layers);
            }
        }
        let executed = self
            .steps(index)
            .filter(|(step, forecast)| is_executed(step, forecast));
        for work in executed.filter_map(|(step, _)| step.work.as_ref()) {
            for source in work.elsewhere() {
                match source {
                    FileSource::Context | FileSource::Directory(_) => {}
                    FileSource::Stage(source) => self.add_all_of(*source, layers),
                    FileSource::Image(image) => add(&image.layers, layers),
                }
            }
        }
    }

    fn add_base(&self, index: usize, layers: &mut Layers) {
        match &self.plan.stages[&index].base {
            StageBase::Scratch => {}
            StageBase::Image(image) => add(&image.layers, layers),
            StageBase::Stage(parent) => self.add_all_of(*parent, layers),
        }
    }

    /// Adds all that a stage has at its end but for what is made by this build.
    fn add_all_of(&self, index: usize, layers: &mut Layers) {
        self.add_base(index, layers);
        for (_, forecast) in self.steps(index) {
            add_answer(forecast, layers);
        }
    }

    fn steps(
        &self,
        index: usize,
    ) -> impl DoubleEndedIterator<Item = (&EvaluatedStep, &StepForecast)> + ExactSizeIterator {
        let steps = self.evaluated[&index].steps.iter();
        steps.zip(&self.forecast[&index].steps)
    }
}

fn is_executed(step: &EvaluatedStep, forecast: &StepForecast) -> bool {
    step.work.is_some() && forecast.answer.is_none()
}

fn add_answer(forecast: &StepForecast, layers: &mut Layers) {
    if let Some(answer) = &forecast.answer {
        add(std::slice::from_ref(&answer.layer), layers);
    }
}

fn add(more: &[StageLayer], layers: &mut Layers) {
    for layer in more {
        match &layer.content {
            LayerContent::Stored(stored) => {
                let digest = stored.descriptor.digest.clone();
                layers.insert(digest, Arc::clone(stored));
            }
            LayerContent::New(_) | LayerContent::Unwritten => {}
        }
    }
}
