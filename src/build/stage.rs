//! One stage, from its FROM to its last instruction.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Result;

use crate::dockerfile::{
    ArgDeclaration, ExpandError, Expander, Instruction, NameValues, Span, Statement,
};
use crate::sandbox::{Rootfs, Step};

use super::built::{BuiltStage, BuiltStages, Parent};
use super::draft::ImageDraft;
use super::files::{StageFiles, StageTree};
use super::layers::StageLayer;
use super::metadata::{self, MetadataError};
use super::plan::{PlannedStage, PlannedStep, StageBase};
use super::scope::StageScope;
use super::support::refusal;
use super::workshop::Workshop;
use super::{Event, LocatedError, StepName};

/// Builds one stage. Blocks: runs on a thread of its own.
///
/// `takes_over_base` says that the base is a stage whose files nobody else needs.
pub(super) fn build_stage(
    workshop: &Workshop,
    stage: &PlannedStage,
    built: &BuiltStages,
    takes_over_base: bool,
) -> Result<BuiltStage> {
    let mut builder = StageBuilder::start(workshop, stage, built, takes_over_base);
    for step in &stage.steps {
        builder.execute(step)?;
    }
    Ok(BuiltStage {
        draft: builder.draft,
        scope: builder.scope,
        files: Mutex::new(builder.files),
        parent: builder.parent,
    })
}

/// A stage being built.
pub(super) struct StageBuilder<'a> {
    pub(super) workshop: &'a Workshop,
    pub(super) stage: &'a PlannedStage,
    pub(super) built: &'a BuiltStages,
    pub(super) draft: ImageDraft,
    pub(super) scope: StageScope,
    files: Option<StageFiles>,
    parent: Option<Parent>,
    /// The step that is being executed.
    pub(super) name: StepName,
}

impl<'a> StageBuilder<'a> {
    fn start(
        workshop: &'a Workshop,
        stage: &'a PlannedStage,
        built: &'a BuiltStages,
        takes_over_base: bool,
    ) -> Self {
        let (draft, parent) = match &stage.base {
            StageBase::Scratch => (ImageDraft::scratch(&stage.platform), None),
            StageBase::Image(image) => (image.draft(), None),
            StageBase::Stage(index) => {
                let parent = &built[index];
                (ImageDraft::from_stage(&parent.draft), Some(parent))
            }
        };
        let scope = StageScope::new(parent.map(|parent| &parent.scope), &draft.config.config.env);
        let mut builder = Self {
            workshop,
            stage,
            built,
            draft,
            scope,
            files: None,
            parent: parent.map(|parent| Parent {
                stage: Arc::clone(parent),
                is_taken_over: takes_over_base,
            }),
            name: StepName {
                stage: stage.name.clone(),
                number: 1,
                total: stage.steps.len() + 1,
            },
        };
        // What the base asks for is done by this stage and not handed on.
        builder.draft.take_triggers();
        builder.announce(&stage.text);
        builder
    }

    fn execute(&mut self, step: &PlannedStep) -> Result<()> {
        self.workshop.check_going()?;
        let result = self.execute_unlocated(step);
        result.map_err(|error| match error.downcast_ref::<LocatedError>() {
            Some(_) => error,
            None => self
                .error(step.span, "the step failed")
                .because(error)
                .into(),
        })
    }

    fn execute_unlocated(&mut self, step: &PlannedStep) -> Result<()> {
        self.name.number += 1;
        let text = &step.statement.source.text;
        if step.is_trigger {
            self.announce(&format!("ONBUILD {text}"));
        } else {
            self.announce(text);
        }
        let start = Instant::now();
        let instruction = self.expand(&step.statement, step.span)?;
        if let Some(refusal) = refusal(&instruction) {
            return Err(self.error(step.span, refusal).into());
        }
        if self.change_files(&instruction, step)? {
            self.workshop.report(Event::Done {
                step: &self.name,
                duration: start.elapsed(),
            });
        }
        Ok(())
    }

    /// Executes an instruction; says whether it was one that works on files.
    fn change_files(&mut self, instruction: &Instruction, step: &PlannedStep) -> Result<bool> {
        match instruction {
            Instruction::Run(run) => self.run(run, step.span)?,
            Instruction::Copy(copy) => self.copy(copy, step)?,
            Instruction::Add(add) => self.add(add, step)?,
            Instruction::Workdir(path) => return self.workdir(path, step.span),
            Instruction::Arg(args) => {
                self.arg(args, step.span)?;
                return Ok(false);
            }
            Instruction::Env(list) => {
                self.env(list);
                return Ok(false);
            }
            Instruction::Label(_)
            | Instruction::Maintainer(_)
            | Instruction::Expose(_)
            | Instruction::Cmd(_)
            | Instruction::Entrypoint(_)
            | Instruction::Healthcheck(_)
            | Instruction::Onbuild(_)
            | Instruction::Shell(_)
            | Instruction::Stopsignal(_)
            | Instruction::User(_)
            | Instruction::Volume(_) => {
                self.change_config(instruction)
                    .map_err(|error| self.error(step.span, error.to_string()))?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Executes an instruction that only sets a field of the config.
    fn change_config(&mut self, instruction: &Instruction) -> Result<(), MetadataError> {
        let draft = &mut self.draft;
        match instruction {
            Instruction::Label(list) => draft.set_labels(&list.pairs),
            Instruction::Maintainer(author) => draft.set_author(author.clone()),
            Instruction::Expose(words) => draft.expose(metadata::exposed_ports(words)?),
            Instruction::Cmd(command) => {
                draft.set_cmd(metadata::command_words(command, draft));
            }
            Instruction::Entrypoint(command) => {
                draft.set_entrypoint(metadata::command_words(command, draft));
            }
            Instruction::Healthcheck(check) => draft.set_healthcheck(metadata::healthcheck(check)),
            Instruction::Onbuild(onbuild) => draft.add_trigger(onbuild.trigger.clone()),
            Instruction::Shell(words) => draft.set_shell(words.clone()),
            Instruction::Stopsignal(signal) => {
                metadata::check_signal(signal)?;
                draft.set_stop_signal(signal.clone());
            }
            Instruction::User(user) => draft.set_user(user.clone()),
            Instruction::Volume(volumes) => draft.add_volumes(volumes.clone()),
            Instruction::Add(_)
            | Instruction::Arg(_)
            | Instruction::Copy(_)
            | Instruction::Env(_)
            | Instruction::Run(_)
            | Instruction::Workdir(_) => {}
        }
        Ok(())
    }

    /// ARG: each declaration sees those before it.
    fn arg(&mut self, args: &[ArgDeclaration], span: Span) -> Result<()> {
        let mut shown = Vec::new();
        for arg in args {
            let default = arg.default.as_deref();
            let default = default
                .map(|word| self.with_expander(|expander| expander.word(word)))
                .transpose()
                .map_err(|error| self.error(span, "cannot expand the default").because(error))?;
            let value = self
                .scope
                .declare(&arg.name, default.as_deref(), &self.workshop.global);
            shown.push(match value {
                Some(value) => format!("{}={value}", arg.name),
                None => arg.name.clone(),
            });
        }
        self.draft.add_history(format!("ARG {}", shown.join(" ")));
        Ok(())
    }

    fn env(&mut self, list: &NameValues) {
        for (name, value) in &list.pairs {
            self.scope.set_env(name, value);
        }
        self.draft.set_env(&list.pairs);
    }

    /// Returns the instruction with its variables expanded, all with the values from before it.
    fn expand(&self, statement: &Statement, span: Span) -> Result<Instruction> {
        self.with_expander(|expander| statement.instruction.expand(expander))
            .map_err(|error| {
                self.error(span, "cannot expand a variable")
                    .because(error)
                    .into()
            })
    }

    fn with_expander<T>(
        &self,
        expand: impl FnOnce(&mut Expander<'_>) -> Result<T, ExpandError>,
    ) -> Result<T, ExpandError> {
        let lookup = |name: &str| self.scope.get(name).map(str::to_owned);
        expand(&mut Expander::new(self.workshop.escape, &lookup))
    }

    /// Runs `work` in a step of the stage's files, and makes a layer of what it changed, with
    /// `created_by` in the history.
    pub(super) fn in_step(
        &mut self,
        span: Span,
        created_by: String,
        work: impl FnOnce(&Self, &mut Step<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut files = match self.files.take() {
            Some(files) => files,
            None => self.open(span)?,
        };
        let layer = match &mut files {
            StageFiles::Layers(rootfs) => self.in_overlay(rootfs, span, work)?,
            StageFiles::Tree(tree) => self.in_tree(tree, span, work)?,
        };
        self.files = Some(files);
        self.draft.add_layer(created_by, layer);
        Ok(())
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
        let frozen = frozen.filter(|_| self.stage.makes_layers);
        Ok(self.workshop.write_layer(frozen, &self.name, span))
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
            self.workshop.write_layer_now(diff, &self.name, span)
        })
    }

    /// Makes the files of the stage's base available.
    fn open(&self, span: Span) -> Result<StageFiles> {
        if let Some(parent) = &self.parent {
            return parent.start(self.workshop);
        }
        self.workshop
            .open_layers(&self.draft.layers)
            .map_err(|error| {
                self.error(span, "cannot get the files of the base image")
                    .because(error)
                    .into()
            })
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

    fn announce(&self, text: &str) {
        let first = text.lines().next().unwrap_or_default();
        self.workshop.report(Event::Started {
            step: &self.name,
            text: first,
        });
    }
}

/// Returns what the history says of a RUN.
pub(super) fn run_history(scope: &StageScope, argv: &[String]) -> String {
    let mut words = vec!["RUN".to_owned()];
    words.extend(scope.history_args());
    words.extend(argv.iter().cloned());
    words.push("# buildkit".to_owned());
    words.join(" ")
}
