//! What the instructions of the stages mean, all variables expanded: the files to change, step by step, and the image
//! but for its layers.
//!
//! Nothing here touches a file or depends on one, so all of it is known before the first step is executed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::context::select::clean;
use crate::dockerfile::{
    AddInstruction, ArgDeclaration, CopyInstruction, Expander, Instruction, NameValues,
    RunInstruction, Span, Statement,
};

use super::action::{Action, RunAction, Transfer, Work};
use super::control_args::RunControls;
use super::copy::read_chmod;
use super::draft::ImageDraft;
use super::evaluated::{EvaluatedStage, EvaluatedStep};
use super::metadata::{self, MetadataError};
use super::mount_action::{MountAction, MountPlaces};
use super::owner::has_names;
use super::plan::{Plan, PlannedStage, PlannedStep, StageBase};
use super::ports::exposed_ports;
use super::remote_source::{check_copied, remote_sources};
use super::scope::{GlobalScope, StageScope};
use super::support::refusal;
use super::workshop::Workshop;
use super::{LocatedError, StepName};

/// Evaluates all stages of a plan, by their numbers.
pub(super) fn evaluate(
    plan: &Plan,
    workshop: &Workshop,
) -> Result<BTreeMap<usize, EvaluatedStage>> {
    let mut evaluated = BTreeMap::new();
    // In the order of the file: a stage comes after the one that it is built on.
    for (index, stage) in &plan.stages {
        let mut evaluator = Evaluator::start(stage, &evaluated, &plan.global, workshop);
        let steps = stage.steps.iter().enumerate();
        let steps = steps.map(|(at, step)| evaluator.step(at, step));
        let steps = steps.collect::<Result<_>>()?;
        let done = EvaluatedStage {
            from: EvaluatedStep {
                name: step_name(stage, 1),
                text: from_text(stage),
                span: stage.span,
                work: None,
            },
            steps,
            draft: evaluator.draft,
            scope: evaluator.scope,
        };
        evaluated.insert(*index, done);
    }
    Ok(evaluated)
}

struct Evaluator<'a> {
    stage: &'a PlannedStage,
    global: &'a GlobalScope,
    workshop: &'a Workshop,
    draft: ImageDraft,
    scope: StageScope,
    controls: RunControls,
}

impl<'a> Evaluator<'a> {
    fn start(
        stage: &'a PlannedStage,
        evaluated: &BTreeMap<usize, EvaluatedStage>,
        global: &'a GlobalScope,
        workshop: &'a Workshop,
    ) -> Self {
        let (mut draft, parent) = match &stage.base {
            StageBase::Scratch => (ImageDraft::scratch(&stage.platform), None),
            StageBase::Image(image) => (image.draft(), None),
            StageBase::Stage(index) => {
                let parent = &evaluated[index];
                (ImageDraft::from_stage(&parent.draft), Some(&parent.scope))
            }
        };
        if !stage.is_replaced {
            // What the base asks for is done by this stage and not handed on.
            draft.take_triggers();
        }
        let scope = StageScope::new(parent, &draft.config.config.env);
        Self {
            stage,
            global,
            workshop,
            draft,
            scope,
            controls: RunControls::new(global),
        }
    }

    fn step(&mut self, at: usize, step: &PlannedStep) -> Result<EvaluatedStep> {
        let instruction = self.expand(&step.statement, step.span)?;
        if let Some(refusal) = refusal(&instruction) {
            return Err(self.error(step.span, refusal).into());
        }
        let text = first_line(&step.statement.source.text);
        Ok(EvaluatedStep {
            name: step_name(self.stage, at + 2),
            text: match (&step.shown, step.is_trigger) {
                (Some(shown), _) => shown.clone(),
                (None, true) => format!("ONBUILD {text}"),
                (None, false) => text,
            },
            span: step.span,
            work: self.work(instruction, step)?,
        })
    }

    /// Returns what an instruction does to files, and changes the draft of the image.
    fn work(&mut self, instruction: Instruction, step: &PlannedStep) -> Result<Option<Work>> {
        let (created_by, action) = match instruction {
            Instruction::Run(run) => self.run(&run, step)?,
            Instruction::Copy(copy) => self.copy(copy, step)?,
            Instruction::Add(add) => self.add(add, step)?,
            Instruction::Workdir(path) => match self.workdir(&path) {
                Some(work) => work,
                None => return Ok(None),
            },
            Instruction::Arg(args) => {
                self.arg(&args, step.span)?;
                return Ok(None);
            }
            Instruction::Env(list) => {
                self.env(&list);
                return Ok(None);
            }
            other @ (Instruction::Label(_)
            | Instruction::Maintainer(_)
            | Instruction::Expose(_)
            | Instruction::Cmd(_)
            | Instruction::Entrypoint(_)
            | Instruction::Healthcheck(_)
            | Instruction::Onbuild(_)
            | Instruction::Shell(_)
            | Instruction::Stopsignal(_)
            | Instruction::User(_)
            | Instruction::Volume(_)) => {
                self.change_config(&other)
                    .map_err(|error| self.error(step.span, error.to_string()))?;
                return Ok(None);
            }
        };
        let created_by = step.shown.clone().unwrap_or(created_by);
        self.draft.add_layer(created_by.clone());
        Ok(Some(Work {
            created_by,
            user: self.draft.config.config.user.clone(),
            working_dir: self.draft.working_dir().to_owned(),
            action,
        }))
    }

    fn run(&self, run: &RunInstruction, step: &PlannedStep) -> Result<(String, Action)> {
        let mounts = self.mounts(run, step)?;
        let environment = self.scope.environment();
        let run = RunAction {
            hostname: self.controls.hostname.clone(),
            ..RunAction::new(run, &self.draft.shell(), environment, mounts)
        };
        let mut words = vec!["RUN".to_owned()];
        words.extend(self.scope.history_args());
        words.extend(run.argv.iter().cloned());
        words.push("# buildkit".to_owned());
        Ok((words.join(" "), Action::Run(run)))
    }

    /// Returns what a RUN asks to see, in its order.
    fn mounts(&self, run: &RunInstruction, step: &PlannedStep) -> Result<Vec<MountAction>> {
        let mut mounts = Vec::new();
        for (request, from) in run.mounts.iter().zip(&step.mount_sources) {
            let cannot = || self.error(step.span, "cannot read --mount");
            let mount = self.with_expander(|expander| request.resolve(expander));
            let mount = mount.map_err(|error| cannot().because(error))?;
            let is_agent = |mount: &&MountAction| matches!(mount, MountAction::Ssh(_));
            let places = MountPlaces {
                working_dir: self.draft.working_dir(),
                agents: mounts.iter().filter(is_agent).count(),
                cache_namespace: self.controls.cache_namespace.as_deref(),
            };
            let mount = MountAction::new(mount, from, &places);
            mounts.push(mount.map_err(|error| cannot().because(error))?);
        }
        Ok(mounts)
    }

    fn copy(
        &self,
        copy: CopyInstruction,
        step: &PlannedStep,
    ) -> Result<(String, Action), LocatedError> {
        check_copied(&copy.sources.paths).map_err(|error| {
            let located = self.error(step.span, error.to_string());
            located.hint("ADD fetches files from servers and git repositories")
        })?;
        let transfer = Transfer {
            keyword: "COPY",
            destination: self.destination(&copy.sources.destination),
            sources: copy.sources,
            from: step.source.clone(),
            is_linked: is_linked(copy.link, copy.chmod.as_deref()),
            chown: copy.chown.filter(|value| is_given(value)),
            chmod: copy.chmod.filter(|value| is_given(value)),
            exclude: copy.exclude,
            keeps_parents: copy.parents,
            unpacks: false,
            unpacks_remotes: false,
            remotes: BTreeMap::new(),
        };
        self.transfer(transfer, step.span)
    }

    fn add(
        &self,
        add: AddInstruction,
        step: &PlannedStep,
    ) -> Result<(String, Action), LocatedError> {
        let remotes = remote_sources(&add).map_err(|error| {
            let located = self.error(step.span, "cannot use the sources of ADD");
            located.because(error)
        })?;
        let transfer = Transfer {
            keyword: "ADD",
            destination: self.destination(&add.sources.destination),
            sources: add.sources,
            from: step.source.clone(),
            is_linked: is_linked(add.link, add.chmod.as_deref()),
            chown: add.chown.filter(|value| is_given(value)),
            chmod: add.chmod.filter(|value| is_given(value)),
            exclude: add.exclude,
            keeps_parents: false,
            unpacks: add.unpack.unwrap_or(true),
            unpacks_remotes: add.unpack.unwrap_or(false),
            remotes,
        };
        self.transfer(transfer, step.span)
    }

    fn transfer(&self, transfer: Transfer, span: Span) -> Result<(String, Action), LocatedError> {
        if let Some(chmod) = &transfer.chmod {
            read_chmod(chmod).map_err(|error| self.error(span, error))?;
        }
        if let Some(chown) = &transfer.chown
            && transfer.is_linked
            && has_names(chown)
        {
            let message = format!(
                "cannot look up the names in --chown={chown}: {} --link does not look at the stage's files",
                transfer.keyword
            );
            let hint = "give the numbers of user and group, or leave out --link";
            return Err(self.error(span, message).hint(hint));
        }
        Ok((transfer.history(), Action::Transfer(transfer)))
    }

    /// Returns where files go: absolute, and with a slash at its end if it is a directory.
    fn destination(&self, written: &str) -> String {
        let is_directory = written.is_empty()
            || written == "."
            || written.ends_with('/')
            || written.ends_with("/.");
        let joined = Path::new(self.draft.working_dir()).join(written);
        let mut path = joined.to_string_lossy().into_owned();
        if is_directory && !path.ends_with('/') {
            path.push('/');
        }
        path
    }

    /// WORKDIR. `/` is always there.
    fn workdir(&mut self, path: &str) -> Option<(String, Action)> {
        let path = Path::new("/").join(clean(&Path::new(self.draft.working_dir()).join(path)));
        let text = path.to_string_lossy().into_owned();
        self.draft.config.config.working_dir.clone_from(&text);
        let created_by = format!("WORKDIR {text}");
        if text == "/" {
            self.draft.add_history(created_by);
            return None;
        }
        Some((created_by, Action::Workdir))
    }

    /// Executes an instruction that only sets a field of the config.
    fn change_config(&mut self, instruction: &Instruction) -> Result<(), MetadataError> {
        let draft = &mut self.draft;
        match instruction {
            Instruction::Label(list) => draft.set_labels(&list.pairs),
            Instruction::Maintainer(author) => draft.set_author(author.clone()),
            Instruction::Expose(words) => draft.expose(exposed_ports(words)?),
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
            Instruction::Volume(volumes) => {
                metadata::check_volumes(volumes)?;
                draft.add_volumes(volumes.clone());
            }
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
            // A default that does not count is not even read (BuildKit frontend).
            let is_given = self.global.build_arg(&arg.name).is_some();
            let default = arg.default.as_deref().filter(|_| !is_given);
            let default = default
                .map(|word| self.with_expander(|expander| expander.word(word)))
                .transpose()
                .map_err(|error| self.error(span, "cannot expand the default").because(error))?;
            let value = self
                .scope
                .declare(&arg.name, default.as_deref(), self.global);
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

    fn with_expander<T, E>(
        &self,
        expand: impl FnOnce(&mut Expander<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let lookup = |name: &str| self.scope.get(name).map(str::to_owned);
        expand(&mut Expander::new(self.workshop.escape, &lookup))
    }

    fn error(&self, span: Span, message: impl Into<String>) -> LocatedError {
        self.workshop.text.error_at(span, message)
    }
}

/// Says whether `--link` makes a layer of its own: not with `--chmod`, which makes BuildKit's frontend (`convert_copy.go`)
/// copy as without it.
fn is_linked(link: bool, chmod: Option<&str>) -> bool {
    link && chmod.is_none_or(str::is_empty)
}

/// A variable that expands to nothing takes a flag back.
fn is_given(value: &str) -> bool {
    !value.is_empty()
}

fn step_name(stage: &PlannedStage, number: usize) -> StepName {
    StepName {
        stage: stage.name.clone(),
        number,
        total: stage.steps.len() + 1,
    }
}

/// Returns how a FROM is announced.
fn from_text(stage: &PlannedStage) -> String {
    let text = first_line(&stage.text);
    match stage.is_replaced {
        true => format!("{text} (replaced by --build-context {})", stage.name),
        false => text,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
