//! What instructions mean one after the other: variables, shells, directories, what only the last
//! one of its kind decides.

use std::collections::BTreeMap;

use super::findings::Findings;
use super::globals::Globals;
use super::variables::Variables;
use super::{BaseFacts, Facts, Mistake, Rule, secrets};
use crate::dockerfile::{
    ArgDeclaration, CommandLine, Dockerfile, Instruction, Keyword, NameValues, RunInstruction,
    Source, Sources, Statement, parse_trigger,
};

/// Follows all stages that are built.
pub(super) fn check(
    file: &Dockerfile,
    facts: &Facts<'_>,
    globals: &Globals,
    findings: &mut Findings<'_>,
) -> Result<(), Mistake> {
    for meta_arg in &file.meta_args {
        for arg in &meta_arg.args {
            secrets::check("ARG", &arg.name, &meta_arg.source, findings);
        }
    }
    let mut ends: BTreeMap<usize, State> = BTreeMap::new();
    // Of the stages above, in lower case: the last of a name counts.
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, stage) in file.stages.iter().enumerate() {
        let name = globals.expand(&stage.from.base).map(|name| name.text);
        let base = name.as_ref().ok();
        let base = base.and_then(|name| names.get(name.to_lowercase().as_str()).copied());
        names.extend(stage.name().map(|name| (name, index)));
        let image = facts.bases.get(&index);
        if !facts.is_built(index) {
            // What stands in for the stage is all that others find of it.
            let stand_in = image.map(|image| State::start(None, "", Some(image)));
            ends.extend(stand_in.map(|state| (index, state)));
            continue;
        }
        let parent = base.and_then(|base| ends.get(&base));
        let mut walk = Walk {
            file,
            facts,
            globals,
            findings: &mut *findings,
            stage: index,
            state: State::start(parent, &name.unwrap_or_default(), image),
            once: BTreeMap::new(),
        };
        let triggers = triggers(file, base, facts, image);
        walk.muted_steps(&triggers)?;
        for statement in &stage.statements {
            walk.step(statement)?;
        }
        let end = walk.state;
        ends.insert(index, end);
    }
    Ok(())
}

/// What holds at one point of a stage.
#[derive(Debug, Clone)]
struct State {
    variables: Variables,
    /// SHELL was given.
    has_shell: bool,
    /// WORKDIR was given, in this file.
    has_working_dir: bool,
}

impl State {
    fn start(parent: Option<&Self>, base: &str, facts: Option<&BaseFacts>) -> Self {
        if let Some(parent) = parent {
            return parent.clone();
        }
        let nothing = BaseFacts::default();
        let image = facts.or((base == "scratch").then_some(&nothing));
        Self {
            variables: Variables::of_image(image),
            has_shell: image.is_some_and(|image| image.has_shell),
            has_working_dir: false,
        }
    }
}

/// Returns what the base asks a stage to begin with. A trigger that cannot be read fails where it is
/// run.
fn triggers(
    file: &Dockerfile,
    base: Option<usize>,
    facts: &Facts<'_>,
    image: Option<&BaseFacts>,
) -> Vec<Statement> {
    if let Some(image) = image {
        return image.triggers.clone();
    }
    let statements = base
        .filter(|base| facts.is_built(*base))
        .map(|base| file.stages[base].statements.as_slice());
    let texts = statements.unwrap_or_default().iter();
    let texts = texts.filter_map(|statement| {
        let Instruction::Onbuild(onbuild) = &statement.instruction else {
            return None;
        };
        Some(&onbuild.trigger)
    });
    texts.filter_map(|text| parse_trigger(text).ok()).collect()
}

/// The way through one stage.
struct Walk<'w, 'c> {
    file: &'w Dockerfile,
    facts: &'w Facts<'w>,
    globals: &'w Globals,
    findings: &'w mut Findings<'c>,
    /// Its number.
    stage: usize,
    state: State,
    /// The last instruction of each kind of which only the last counts.
    once: BTreeMap<Keyword, Source>,
}

impl Walk<'_, '_> {
    /// Steps that are not written in this stage.
    fn muted_steps(&mut self, statements: &[Statement]) -> Result<(), Mistake> {
        let was_muted = self.findings.set_muted(true);
        for statement in statements {
            self.step(statement)?;
        }
        self.findings.set_muted(was_muted);
        self.once.clear();
        Ok(())
    }

    fn step(&mut self, statement: &Statement) -> Result<(), Mistake> {
        if let Instruction::Arg(args) = &statement.instruction {
            return self.arg(args, statement);
        }
        if let Instruction::Run(run) = &statement.instruction {
            return self.run(run, statement);
        }
        let written = &statement.instruction;
        let escape = self.file.directives.escape;
        let variables = &self.state.variables;
        let (expanded, undefined) = variables.expand(escape, |expander| written.expand(expander));
        let expanded = expanded.map_err(|error| Mistake::new(statement.source.span, &error))?;
        self.warn_of_undefined(&undefined, statement);
        // What an image nobody looked at defines may make any path of these words.
        let is_certain = undefined.is_empty() || self.state.variables.are_complete;
        match &expanded {
            Instruction::Add(add) if is_certain => self.sources("ADD", &add.sources, statement),
            Instruction::Copy(copy) => match &copy.from {
                // Whether a name is a stage's or an image's is for the build to find out.
                Some(from) if from.parse::<i64>().is_ok() => {
                    let source = self.file.copy_source(from, self.stage);
                    source.map_err(|error| Mistake::new(statement.source.span, &error))?;
                }
                None if is_certain => self.sources("COPY", &copy.sources, statement),
                Some(_) | None => {}
            },
            Instruction::Cmd(command) | Instruction::Entrypoint(command) => {
                self.command(command, statement);
                self.once(statement);
            }
            Instruction::Healthcheck(_) => self.once(statement),
            Instruction::Env(list) => {
                self.pairs("ENV", list, statement);
                for (name, value) in &list.pairs {
                    secrets::check("ENV", name, &statement.source, self.findings);
                    self.state.variables.set(name, value);
                }
            }
            Instruction::Label(list) => self.pairs("LABEL", list, statement),
            Instruction::Expose(words) => self.expose(words, statement),
            Instruction::Shell(_) => self.state.has_shell = true,
            Instruction::Workdir(path) => self.working_dir(path, is_certain, statement),
            Instruction::Add(_)
            | Instruction::Arg(_)
            | Instruction::Maintainer(_)
            | Instruction::Onbuild(_)
            | Instruction::Run(_)
            | Instruction::Stopsignal(_)
            | Instruction::User(_)
            | Instruction::Volume(_) => {}
        }
        Ok(())
    }

    /// Each declaration sees those before it.
    fn arg(&mut self, args: &[ArgDeclaration], statement: &Statement) -> Result<(), Mistake> {
        let escape = self.file.directives.escape;
        for arg in args {
            secrets::check("ARG", &arg.name, &statement.source, self.findings);
            let default = arg.default.as_deref().unwrap_or_default();
            let variables = &self.state.variables;
            let (value, undefined) = variables.expand(escape, |expander| expander.word(default));
            let value = value.map_err(|error| Mistake::new(statement.source.span, &error))?;
            self.warn_of_undefined(&undefined, statement);
            let value = arg.default.is_some().then_some(value.as_str());
            let variables = &mut self.state.variables;
            variables.declare(&arg.name, value, self.globals, self.facts);
        }
        Ok(())
    }

    /// Of a RUN, only the mounts have variables that are expanded here.
    fn run(&mut self, run: &RunInstruction, statement: &Statement) -> Result<(), Mistake> {
        let escape = self.file.directives.escape;
        for mount in &run.mounts {
            let variables = &self.state.variables;
            let (mount, undefined) = variables.expand(escape, |expander| mount.resolve(expander));
            // Without all variables, what is wrong with a mount may be right.
            if let Err(error) = mount
                && undefined.is_empty()
            {
                return Err(Mistake::new(statement.source.span, &error));
            }
            self.warn_of_undefined(&undefined, statement);
        }
        Ok(())
    }

    fn warn_of_undefined(&mut self, names: &[String], statement: &Statement) {
        for name in names {
            let known = self.globals.names().chain(self.state.variables.names());
            let suggestion = match self.globals.declares(name) {
                true => format!(": `ARG {name}` makes it known in this stage"),
                false => self.findings.suggestion(name, known),
            };
            let place = match self.state.variables.are_complete {
                true => "",
                false => " in this file",
            };
            let message = format!("the variable `${name}` is not defined{place}{suggestion}");
            self.findings
                .add(Rule::UndefinedVar, &statement.source, message);
        }
    }

    /// A SHELL says that the shell is wanted.
    fn command(&mut self, command: &CommandLine, statement: &Statement) {
        if matches!(command, CommandLine::Shell(_)) && !self.state.has_shell {
            let keyword = statement.instruction.keyword();
            let message =
                format!("{keyword} should be a JSON array, or a SHELL say that one is wanted");
            self.findings
                .add(Rule::JSONArgsRecommended, &statement.source, message);
        }
    }

    /// The warning is at the one that does not count.
    fn once(&mut self, statement: &Statement) {
        let keyword = statement.instruction.keyword();
        let source = statement.source.clone();
        if let Some(earlier) = self.once.insert(keyword, source) {
            let message = format!("this {keyword} has no effect: another one follows in its stage");
            let rule = Rule::MultipleInstructionsDisallowed;
            self.findings.add(rule, &earlier, message);
        }
    }

    fn pairs(&mut self, keyword: &str, list: &NameValues, statement: &Statement) {
        if list.legacy {
            let message = format!("{keyword} should be written `name=value`, not `name value`");
            self.findings
                .add(Rule::LegacyKeyValueFormat, &statement.source, message);
        }
    }

    fn expose(&mut self, words: &[String], statement: &Statement) {
        for word in words {
            let (ports, protocol) = word.split_once('/').unwrap_or((word, ""));
            if ports.contains(':') {
                let message =
                    format!("`{word}` names an address or a port of the host, which has no effect");
                self.findings
                    .add(Rule::ExposeInvalidFormat, &statement.source, message);
            }
            if protocol != protocol.to_lowercase() {
                let message = format!("the protocol in `{word}` should be in lower case");
                self.findings
                    .add(Rule::ExposeProtoCasing, &statement.source, message);
            }
        }
    }

    /// Those after the first start from it.
    fn working_dir(&mut self, path: &str, is_certain: bool, statement: &Statement) {
        if !self.state.has_working_dir && is_certain && !path.starts_with('/') {
            let message = format!("`{path}` depends on the working directory of the base image");
            self.findings
                .add(Rule::WorkdirRelativePath, &statement.source, message);
        }
        self.state.has_working_dir = true;
    }

    fn sources(&mut self, keyword: &str, sources: &Sources, statement: &Statement) {
        for path in &sources.paths {
            if !is_remote(path) && (self.facts.is_ignored)(path) {
                let message = format!("{keyword} of `{path}`, which the ignore file excludes");
                self.findings
                    .add(Rule::CopyIgnoredFile, &statement.source, message);
            }
        }
    }
}

/// Says whether ADD fetches this from elsewhere.
fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@")
}
