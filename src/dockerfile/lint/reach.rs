//! Which stages a target needs.

use std::collections::BTreeSet;

use super::globals::Globals;
use super::{Facts, Mistake};
use crate::dockerfile::{Dockerfile, Instruction};

/// Returns the numbers of the stages that `targets` need, themselves among them. What a base image
/// asks for is not looked at.
///
/// # Errors
/// If a variable above the first FROM cannot be expanded.
pub fn needed_stages(
    file: &Dockerfile,
    targets: &[usize],
    facts: &Facts<'_>,
) -> Result<BTreeSet<usize>, Mistake> {
    let globals = Globals::new(file, facts, facts.build_args)?;
    let mut needed = BTreeSet::new();
    let mut wanted: BTreeSet<usize> = targets.iter().copied().collect();
    // From the back: a stage needs only stages above it.
    while let Some(index) = wanted.pop_last() {
        wanted.extend(needs(file, index, &globals));
        needed.insert(index);
    }
    Ok(needed)
}

fn needs(file: &Dockerfile, index: usize, globals: &Globals) -> BTreeSet<usize> {
    let stage = &file.stages[index];
    let base = globals.expand(&stage.from.base).ok();
    let base = base.and_then(|base| file.stage_named(&base.text, index));
    let sources = stage.statements.iter().flat_map(|statement| {
        let found: Vec<usize> = match &statement.instruction {
            Instruction::Copy(copy) => {
                let from = copy.from.as_deref();
                let stage = from.and_then(|from| file.copy_source(from, index).ok()?);
                stage.into_iter().collect()
            }
            Instruction::Run(run) => {
                let from = run.mounts.iter().filter_map(|mount| mount.from());
                let stages = from.filter_map(|from| file.stage_named(from, index));
                stages.collect()
            }
            Instruction::Add(_)
            | Instruction::Arg(_)
            | Instruction::Cmd(_)
            | Instruction::Entrypoint(_)
            | Instruction::Env(_)
            | Instruction::Expose(_)
            | Instruction::Healthcheck(_)
            | Instruction::Label(_)
            | Instruction::Maintainer(_)
            | Instruction::Onbuild(_)
            | Instruction::Shell(_)
            | Instruction::Stopsignal(_)
            | Instruction::User(_)
            | Instruction::Volume(_)
            | Instruction::Workdir(_) => Vec::new(),
        };
        found
    });
    base.into_iter().chain(sources).collect()
}
