//! One stage, from its FROM to its last instruction: steps that the cache answers are taken from there, the others are
//! executed.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Result;

use crate::cache::inputs::StepInputs;
use crate::cache::{CacheKey, FoundLayer};
use crate::dockerfile::Span;
use crate::sandbox::{Rootfs, Step};

use super::action::{Action, Work};
use super::built::{Above, BuiltStage, BuiltStages, Parent, StageStack};
use super::evaluated::{EvaluatedStage, EvaluatedStep};
use super::explain::Outcome;
use super::files::{StageFiles, StageTree};
use super::forecast::{After, Answer, StageForecast, StepForecast};
use super::keys::StepKey;
use super::layers::{LayerContent, SharedError, StageLayer};
use super::plan::{PlannedStage, StageBase};
use super::state::FilesState;
use super::step_cache::{Kept, StepCaching};
use super::workshop::Workshop;
use super::{Event, LocatedError, StepName};

/// What is known of a stage when it is built.
pub(super) struct StageJob {
    pub(super) stage: PlannedStage,
    pub(super) evaluated: EvaluatedStage,
    pub(super) forecast: StageForecast,
    /// The base is a stage whose files nobody else needs.
    pub(super) takes_over_base: bool,
}

/// Builds one stage. Blocks: runs on a thread of its own.
pub(super) fn build_stage(
    workshop: &Workshop,
    job: StageJob,
    built: &BuiltStages,
) -> Result<BuiltStage> {
    let StageJob {
        stage,
        evaluated,
        forecast,
        takes_over_base,
    } = job;
    workshop.announce(&evaluated.from);
    let first = &evaluated.from.name;
    let mut builder = StageBuilder::start(workshop, &stage, built, takes_over_base, first);
    for (step, forecast) in evaluated.steps.iter().zip(forecast.steps) {
        builder.name = &step.name;
        builder.take(step, forecast)?;
    }
    Ok(BuiltStage {
        layers: builder.layers,
        stack: Mutex::new(builder.stack),
        state: builder.state,
        is_disturbed: builder.is_disturbed,
    })
}

/// A stage being built.
pub(super) struct StageBuilder<'a> {
    pub(super) workshop: &'a Workshop,
    pub(super) stage: &'a PlannedStage,
    pub(super) built: &'a BuiltStages,
    /// The layers so far, base first.
    layers: Vec<StageLayer>,
    pub(super) stack: StageStack,
    /// Which files there are.
    pub(super) state: FilesState,
    /// The step that is being executed.
    pub(super) name: &'a StepName,
    /// Whether that step may have made something else than it would make elsewhere, so that it is not kept.
    pub(super) is_doubtful: Cell<bool>,
    /// Whether files of a build context were copied that were others when the build began: what the caches answered then
    /// for later steps is not about these files.
    is_disturbed: bool,
}

impl<'a> StageBuilder<'a> {
    fn start(
        workshop: &'a Workshop,
        stage: &'a PlannedStage,
        built: &'a BuiltStages,
        takes_over_base: bool,
        name: &'a StepName,
    ) -> Self {
        let caching = workshop.caching.as_ref();
        let known = |key: Option<CacheKey>| key.map_or(FilesState::Unknown, FilesState::Known);
        let (layers, parent, state) = match &stage.base {
            StageBase::Scratch => {
                let key = caching.map(|caching| caching.key_of_nothing(&stage.platform));
                (Vec::new(), None, known(key))
            }
            StageBase::Image(image) => {
                let key = caching.map(|caching| caching.key_of_image(image));
                (image.layers.clone(), None, known(key))
            }
            StageBase::Stage(index) => {
                let parent = &built[index];
                (parent.layers.clone(), Some(parent), parent.state.clone())
            }
        };
        let is_disturbed = parent.is_some_and(|parent| parent.is_disturbed);
        let stack = match parent {
            None => StageStack::of_image(layers.clone()),
            Some(parent) => StageStack::on(Parent {
                stage: Arc::clone(parent),
                is_taken_over: takes_over_base,
            }),
        };
        Self {
            workshop,
            stage,
            built,
            layers,
            stack,
            state,
            name,
            is_doubtful: Cell::new(false),
            is_disturbed,
        }
    }

    /// Comes by what a step makes.
    fn take(&mut self, step: &EvaluatedStep, forecast: StepForecast) -> Result<()> {
        self.workshop.check_going()?;
        let Some(work) = &step.work else {
            self.workshop.announce(step);
            return Ok(());
        };
        if let Some(answer) = forecast.answer {
            if self.is_disturbed && !work.is_linked() {
                return Err(self.files_have_changed(step.span).into());
            }
            self.workshop.report(Event::Cached {
                step: &step.name,
                text: &step.text,
            });
            if let Some(key) = &forecast.key {
                self.explain(key, &Outcome::Found("by what it is made of"));
            }
            self.accept(answer);
            return Ok(());
        }
        let result = self.find_or_execute(step, work, forecast);
        result.map_err(|error| match error.downcast_ref::<LocatedError>() {
            Some(_) => error,
            None => self
                .error(step.span, "the step failed")
                .because(error)
                .into(),
        })
    }

    /// The step was found in a cache, on files that are no longer those of the build context.
    fn files_have_changed(&self, span: Span) -> LocatedError {
        let message = "files of the build context have changed since this step was found in the cache, on the old ones";
        self.error(span, message).hint("build again")
    }

    fn accept(&mut self, answer: Answer) {
        self.layers.push(answer.layer.clone());
        self.stack.push(Above::Layer(answer.layer));
        self.state = match answer.after {
            After::Known(after) => FilesState::Known(after),
            After::Linked(linked) => self.state.after_link(linked),
        };
    }

    fn find_or_execute(
        &mut self,
        step: &EvaluatedStep,
        work: &Work,
        forecast: StepForecast,
    ) -> Result<()> {
        let (Some(caching), Some(key)) = (&self.workshop.caching, forecast.key) else {
            self.workshop.announce(step);
            self.execute(step, work)?;
            return Ok(());
        };
        let by_definition = key.inputs.clone();
        let inputs = self.content_inputs(&by_definition, work, step.span)?;
        let key = self.key_now(key, &inputs, work)?;
        if let Some(found) = self.find_by_content(caching, &key, &inputs, work)
            && by_definition.finds_its_contents_in(&inputs)
        {
            return self.accept_found(caching, step, work, key, inputs, found);
        }
        self.workshop.announce(step);
        self.explain(
            &key,
            &match caching.wanted(work, &key.key) {
                Some(_) => Outcome::Executed(&forecast.said),
                None => Outcome::NotCached,
            },
        );
        let before = self.state.clone();
        let made_of = self.made_of(work);
        let made = self.execute(step, work)?;
        let LayerContent::New(layer) = &made.content else {
            self.state = FilesState::Unknown;
            return Ok(());
        };
        let is_as_found = self.context_is_as_found(&by_definition, &inputs, work, step.span);
        self.state = match &work.action {
            // What is in no layer may differ with what the step was.
            Action::Run(_) if self.is_doubtful.get() => {
                before.after_run(layer).after_link(key.key.clone())
            }
            Action::Run(_) => before.after_run(layer),
            Action::Transfer(_) | Action::Workdir if is_as_found => before.after(&inputs, work),
            Action::Transfer(_) | Action::Workdir => {
                self.is_disturbed = true;
                FilesState::Unknown
            }
        };
        if self.workshop.epoch().is_some() {
            // With times that do not change, a RUN may well have made what it made the last time.
            self.workshop.wait(self.state.wait());
        }
        if self.is_doubtful.get() || !is_as_found {
            return Ok(());
        }
        let kept = Kept {
            work,
            platform: &self.stage.platform,
            definition: key.key,
            inputs,
            made_of,
        };
        let keeping = caching.keep(kept, layer, made.created);
        if let Some(last) = self.layers.last_mut() {
            last.keeping = keeping;
        }
        Ok(())
    }

    /// Takes a layer that was found by its content, and keeps it under its key by definition too.
    fn accept_found(
        &mut self,
        caching: &StepCaching,
        step: &EvaluatedStep,
        work: &Work,
        key: StepKey,
        inputs: StepInputs,
        found: FoundLayer,
    ) -> Result<()> {
        self.workshop.report(Event::Cached {
            step: &step.name,
            text: &step.text,
        });
        self.explain(
            &key,
            &Outcome::Found("by the content of what it copies, or of the files it is built on"),
        );
        let layer = caching.layer_of(&found);
        let made_of = self.made_of(work);
        self.state = match &work.action {
            Action::Run(_) => self.state.after_layer(&found.entry.diff_id),
            Action::Transfer(_) | Action::Workdir => self.state.after(&inputs, work),
        };
        self.layers.push(layer.clone());
        self.stack.push(Above::Layer(layer));
        let kept = Kept {
            work,
            platform: &self.stage.platform,
            definition: key.key,
            inputs,
            made_of,
        };
        caching.keep_found(kept, found);
        Ok(())
    }

    fn explain(&self, key: &StepKey, outcome: &Outcome<'_>) {
        if let Some(caching) = &self.workshop.caching {
            let progress = self.workshop.progress();
            caching.explain(progress, self.name, key, outcome);
        }
    }

    /// Executes a step, and returns the layer that it makes.
    fn execute(&mut self, step: &EvaluatedStep, work: &Work) -> Result<StageLayer> {
        let start = Instant::now();
        self.is_doubtful.set(false);
        let layer = match &work.action {
            Action::Run(run) => self.run(run, work, step.span)?,
            Action::Transfer(transfer) if transfer.is_linked => self.link(transfer, step.span)?,
            Action::Transfer(transfer) => self.transfer(transfer, step.span)?,
            Action::Workdir => self.workdir(work, step.span)?,
        };
        self.layers.push(layer.clone());
        self.workshop.report(Event::Done {
            step: &step.name,
            duration: start.elapsed(),
        });
        Ok(layer)
    }

    /// Runs `work` in a step of the stage's files, and makes a layer of what it changed.
    pub(super) fn in_step(
        &mut self,
        span: Span,
        work: impl FnOnce(&Self, &mut Step<'_>) -> Result<()>,
    ) -> Result<StageLayer> {
        let mut stack = std::mem::take(&mut self.stack);
        let result = match stack.open(self.workshop) {
            Ok(StageFiles::Layers(rootfs)) => self.in_overlay(rootfs, span, work),
            Ok(StageFiles::Tree(tree)) => self.in_tree(tree, span, work),
            Err(error) => Err(self
                .error(span, "cannot get the files that the step works on")
                .because(SharedError::from(error))
                .into()),
        };
        self.stack = stack;
        result
    }

    /// Runs `work` in an overlay, whose changes are made a layer while later steps run.
    fn in_overlay(
        &self,
        rootfs: &mut Rootfs,
        span: Span,
        work: impl FnOnce(&Self, &mut Step<'_>) -> Result<()>,
    ) -> Result<StageLayer> {
        let step = rootfs.begin_step().map_err(|error| {
            self.error(span, "cannot prepare the files of the step")
                .because(error)
        })?;
        let mut step = Step::Overlay(step);
        work(self, &mut step)?;
        let frozen = step.freeze().map_err(|error| {
            self.error(span, "cannot read what the step changed")
                .because(error)
        })?;
        if let Some(frozen) = &frozen {
            self.note_hidden(self.workshop.excluded().has_any_in(&frozen.upper)?);
        }
        let frozen = frozen.filter(|_| self.stage.makes_layers);
        Ok(self.workshop.write_layer(frozen, self.name, span))
    }

    /// Runs `work` in a plain directory, and makes a layer of what it changed before the next step
    /// can change it again.
    fn in_tree(
        &self,
        tree: &mut StageTree,
        span: Span,
        work: impl FnOnce(&Self, &mut Step<'_>) -> Result<()>,
    ) -> Result<StageLayer> {
        let work = |step: &mut Step<'_>| work(self, step);
        if !self.stage.makes_layers {
            tree.in_unwatched_step(work)?;
            return Ok(self.workshop.no_layer());
        }
        tree.in_step(self.workshop.excluded(), work, |diff| {
            self.note_hidden(diff.hides_changes());
            self.workshop.write_layer_now(diff, self.name, span)
        })
    }

    /// Notes that a step did something to paths that are part of no layer. Later steps see it, and would not if the layer
    /// came from a cache.
    pub(super) fn note_hidden(&self, has_hidden: bool) {
        if !has_hidden || self.workshop.caching.is_none() {
            return;
        }
        self.is_doubtful.set(true);
        let text = format!(
            "cache: {} is not cached: it changes what --ignore-path leaves out of its layer",
            self.name
        );
        self.workshop.report(Event::Note(&text));
    }

    /// Makes an error at a place of the Dockerfile.
    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> LocatedError {
        self.workshop.text.error_at(span, message)
    }

    /// Warns of something at a place of the Dockerfile.
    pub(super) fn warn(&self, span: Span, warnings: &[String]) {
        for warning in warnings {
            let text = self.error(span, warning.as_str()).to_string();
            self.workshop.report(Event::Warning(&text));
        }
    }
}
