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
    let instructions = stage.statements.iter().map(|it| &it.instruction);
    let names = instructions.flat_map(Instruction::from_names);
    // A number of no stage is an error of the build, and no stage.
    let sources = names.filter_map(|from| file.source_stage(from, index).ok()?);
    base.into_iter().chain(sources).collect()
}
