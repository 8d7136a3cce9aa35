//! What is allowed in a Dockerfile and yet better avoided: the rules of BuildKit's linter, by its
//! names (BuildKit frontend, "Build checks").
//!
//! Rules on how things are written look at the text alone; rules on what they mean follow each stage
//! that is built, with as much as `Facts` tells of what is around the file. This module must not know
//! files, registries or how a warning is shown.

mod casing;
mod config;
mod facts;
mod findings;
mod form;
mod globals;
mod meaning;
mod reach;
mod rule;
mod secrets;
mod stages;
mod variables;

use std::collections::BTreeMap;

pub use config::{CheckConfig, CheckError};
pub use facts::{BaseFacts, Facts};
use findings::Findings;
pub use findings::Warning;
use globals::Globals;
pub use reach::needed_stages;
pub use rule::Rule;

use super::{Dockerfile, Source, Span};

/// What came of looking at a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linted {
    /// Rules that are broken, in the order of the file; each thing once.
    pub warnings: Vec<Warning>,
    /// Something that no build of the file gets past, where that was noticed. What comes after it
    /// was not looked at.
    pub mistake: Option<Mistake>,
}

/// Something that a build would stop at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub span: Span,
    /// What is wrong there.
    pub message: String,
}

impl Mistake {
    fn new(span: Span, error: &dyn std::error::Error) -> Self {
        Self {
            span,
            message: error.to_string(),
        }
    }
}

/// Looks for rules that a file breaks. `text` is what it was parsed from.
#[must_use]
pub fn lint(text: &str, file: &Dockerfile, config: &CheckConfig, facts: &Facts<'_>) -> Linted {
    let mut findings = Findings::new(config);
    casing::check(file, &mut findings);
    form::check(text, file, &mut findings);
    let mistake = check_meaning(file, facts, &mut findings).err();
    Linted {
        warnings: findings.finish(),
        mistake,
    }
}

fn check_meaning(
    file: &Dockerfile,
    facts: &Facts<'_>,
    findings: &mut Findings<'_>,
) -> Result<(), Mistake> {
    let globals = Globals::new(file, facts, facts.build_args)?;
    // Defaults that make no sense without what was given are told where they are used.
    let defaults = Globals::new(file, facts, &BTreeMap::new()).ok();
    stages::check(file, facts, &globals, defaults.as_ref(), findings)?;
    if let Some(circle) = file.circle() {
        return Err(Mistake {
            span: circle.spans[0],
            message: format!("circular dependency detected on stage: {}", circle.stage),
        });
    }
    meaning::check(file, facts, &globals, findings)
}

/// Returns how every instruction was written, in the order of the file.
fn sources(file: &Dockerfile) -> impl Iterator<Item = &Source> {
    let meta_args = file.meta_args.iter().map(|arg| &arg.source);
    meta_args.chain(sources_in_stages(file))
}

/// Those of the stages, without the ARGs above the first FROM.
fn sources_in_stages(file: &Dockerfile) -> impl Iterator<Item = &Source> {
    file.stages.iter().flat_map(|stage| {
        let statements = stage.statements.iter();
        std::iter::once(&stage.source).chain(statements.map(|statement| &statement.source))
    })
}

#[cfg(test)]
mod tests;
