//! Letter case: of instructions, of `AS`, of the names of stages.

use super::findings::Findings;
use super::{Rule, sources_in_stages};
use crate::dockerfile::{Dockerfile, Stage};

pub(super) fn check(file: &Dockerfile, findings: &mut Findings<'_>) {
    check_instructions(file, findings);
    for stage in &file.stages {
        check_as(stage, findings);
        check_name(stage, findings);
    }
}

/// The case of most instructions is the right one; upper case, if there are as many of both. One
/// that mixes cases counts for neither, and ARGs above the first FROM are not looked at (BuildKit
/// frontend, "ConsistentInstructionCasing").
fn check_instructions(file: &Dockerfile, findings: &mut Findings<'_>) {
    let count = |is_case: fn(&str) -> bool| {
        let written = sources_in_stages(file).filter(|source| is_case(&source.keyword));
        written.count()
    };
    let is_lower = count(is_lower_case) > count(is_upper_case);
    let (is_right, case) = match is_lower {
        true => (is_lower_case as fn(&str) -> bool, "lower"),
        false => (is_upper_case as fn(&str) -> bool, "upper"),
    };
    for source in sources_in_stages(file).filter(|source| !is_right(&source.keyword)) {
        let message = format!(
            "`{}` should be in {case} case, as most instructions of this file are",
            source.keyword
        );
        findings.add(Rule::ConsistentInstructionCasing, source, message);
    }
}

/// A FROM that mixes cases has its own warning, and nothing to compare with.
fn check_as(stage: &Stage, findings: &mut Findings<'_>) {
    let Some(name) = &stage.from.name else {
        return;
    };
    let (from, as_word) = (&stage.source.keyword, &name.as_word);
    let fits = (!is_lower_case(from) || is_lower_case(as_word))
        && (!is_upper_case(from) || is_upper_case(as_word));
    if !fits {
        let message = format!("`{as_word}` is not in the letter case of `{from}`");
        findings.add(Rule::FromAsCasing, &stage.source, message);
    }
}

fn check_name(stage: &Stage, findings: &mut Findings<'_>) {
    if let Some(name) = &stage.from.name
        && name.written != name.name
    {
        let message = format!("the stage name `{}` should be in lower case", name.written);
        findings.add(Rule::StageNameCasing, &stage.source, message);
    }
}

fn is_lower_case(word: &str) -> bool {
    word == word.to_lowercase()
}

fn is_upper_case(word: &str) -> bool {
    word == word.to_uppercase()
}
