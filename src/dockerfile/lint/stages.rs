//! Stages as a whole: their names, what they start from and for which platform.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::globals::{Expanded, Globals};
use super::{Facts, Mistake, Rule};
use crate::dockerfile::{Dockerfile, Stage};

/// Names that mean something in FROM or `--from` whether or not a stage has them.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// Checks all FROMs. `globals` have the values of this build, `defaults` those of one without
/// `--build-arg`.
pub(super) fn check(
    file: &Dockerfile,
    facts: &Facts<'_>,
    globals: &Globals,
    defaults: Option<&Globals>,
    findings: &mut Findings<'_>,
) -> Result<(), Mistake> {
    check_names(file, findings);
    let mut mistake = None;
    for (index, stage) in file.stages.iter().enumerate() {
        let expand = |word: &str| {
            let expanded = globals.expand(word);
            expanded.map_err(|error| Mistake::new(stage.source.span, &error))
        };
        let base = expand(&stage.from.base)?;
        check_declared(stage, &base, globals, findings);
        if base.text.is_empty() {
            mistake.get_or_insert_with(|| Mistake {
                span: stage.source.span,
                message: format!("base name ({}) should not be blank", stage.from.base),
            });
        }
        if let Some(word) = &stage.from.platform {
            let platform = expand(word)?;
            check_declared(stage, &platform, globals, findings);
            check_target_platform(stage, word, &platform, globals, findings);
            check_fixed_platform(stage, word, findings);
        }
        check_default(stage, defaults, facts, findings);
        if facts.is_built(index) {
            check_base_platform(stage, index, &base.text, facts, findings);
        }
    }
    mistake.map_or(Ok(()), Err)
}

fn check_names(file: &Dockerfile, findings: &mut Findings<'_>) {
    let mut names = BTreeSet::new();
    for stage in &file.stages {
        let Some(name) = stage.name() else {
            continue;
        };
        if RESERVED.contains(&name) {
            let message = format!("`{name}` is reserved and should not be the name of a stage");
            findings.add(Rule::ReservedStageName, &stage.source, message);
        }
        if !names.insert(name) {
            let message = format!("a stage above is called `{name}` as well");
            findings.add(Rule::DuplicateStageName, &stage.source, message);
        }
    }
}

fn check_declared(stage: &Stage, word: &Expanded, globals: &Globals, findings: &mut Findings<'_>) {
    for name in &word.undeclared {
        let suggestion = findings.suggestion(name, globals.names());
        let message = format!("no ARG above the first FROM declares `{name}`{suggestion}");
        findings.add(Rule::UndefinedArgInFrom, &stage.source, message);
    }
}

/// The variable alone, and nothing around it.
fn check_target_platform(
    stage: &Stage,
    word: &str,
    platform: &Expanded,
    globals: &Globals,
    findings: &mut Findings<'_>,
) {
    let target = "TARGETPLATFORM";
    let is_alone = platform.used.iter().eq([target]) && platform.undeclared.is_empty();
    if is_alone && globals.get(target) == Some(&platform.text) {
        let message = format!("`--platform={word}` is what FROM does without it");
        findings.add(Rule::RedundantTargetPlatform, &stage.source, message);
    }
}

/// A stage whose name tells the system or the architecture is meant for it.
fn check_fixed_platform(stage: &Stage, word: &str, findings: &mut Findings<'_>) {
    if word.contains('$') {
        return;
    }
    let name = stage.name().unwrap_or_default();
    let parts = system_and_architecture(word);
    if !parts.iter().any(|part| name.contains(part.as_str())) {
        let message = format!("`--platform={word}` is a fixed platform");
        findings.add(
            Rule::FromPlatformFlagConstDisallowed,
            &stage.source,
            message,
        );
    }
}

/// Returns the first two parts of a platform, by their usual names. An architecture alone is one of
/// Linux.
fn system_and_architecture(platform: &str) -> Vec<String> {
    let lower = platform.to_lowercase();
    let linux = (!lower.contains('/')).then_some("linux");
    let parts = lower.split('/').take(2).filter(|part| !part.is_empty());
    let parts = parts.chain(linux);
    let usual = parts.map(|part| match part {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armel" => "arm",
        "i386" => "386",
        "macos" => "darwin",
        other => other,
    });
    usual.map(str::to_owned).collect()
}

/// Only a word with variables has defaults that matter.
fn check_default(
    stage: &Stage,
    defaults: Option<&Globals>,
    facts: &Facts<'_>,
    findings: &mut Findings<'_>,
) {
    let word = &stage.from.base;
    let Some(base) = defaults.and_then(|defaults| defaults.expand(word).ok()) else {
        return;
    };
    if word.contains('$') && !(facts.is_reference)(&base.text) {
        let message = format!("without --build-arg, `{word}` is `{}`: no image", base.text);
        findings.add(Rule::InvalidDefaultArgInFrom, &stage.source, message);
    }
}

fn check_base_platform(
    stage: &Stage,
    index: usize,
    base: &str,
    facts: &Facts<'_>,
    findings: &mut Findings<'_>,
) {
    let known = facts.bases.get(&index);
    if let Some((wanted, found)) = known.and_then(|known| known.other_platform.as_ref()) {
        let message = format!("`{base}` is for {found}, not for {wanted}");
        findings.add(Rule::InvalidBaseImagePlatform, &stage.source, message);
    }
}
