//! What was found: the warnings that nobody wants skipped.

use std::collections::BTreeSet;

use super::{CheckConfig, Rule};
use crate::dockerfile::{Source, Span, suggest};

/// A rule that a file breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Where: at least one place, the first of which is the foremost.
    pub spans: Vec<Span>,
    /// Which rule.
    pub rule: Rule,
    /// What breaks it, in one line.
    pub message: String,
}

/// How often two names are compared for suggestions: a hostile file could have everything compared
/// with everything.
const COMPARISONS_MAX: usize = 100_000;

/// Collects warnings.
pub(super) struct Findings<'c> {
    config: &'c CheckConfig,
    warnings: BTreeSet<Warning>,
    /// What is looked at is no instruction of this file.
    is_muted: bool,
    /// Comparisons of names so far.
    comparisons: usize,
}

impl<'c> Findings<'c> {
    pub(super) fn new(config: &'c CheckConfig) -> Self {
        Self {
            config,
            warnings: BTreeSet::new(),
            is_muted: false,
            comparisons: 0,
        }
    }

    /// Adds a warning about an instruction.
    pub(super) fn add(&mut self, rule: Rule, source: &Source, message: impl Into<String>) {
        self.add_at(rule, source, vec![source.span], message);
    }

    /// Adds a warning about some lines of an instruction.
    pub(super) fn add_at(
        &mut self,
        rule: Rule,
        source: &Source,
        spans: Vec<Span>,
        message: impl Into<String>,
    ) {
        if !self.is_muted && self.config.applies(rule, &source.comments) {
            self.warnings.insert(Warning {
                spans,
                rule,
                message: message.into(),
            });
        }
    }

    /// Says whether nothing is added from here on, and returns whether it was so before.
    pub(super) fn set_muted(&mut self, is_muted: bool) -> bool {
        std::mem::replace(&mut self.is_muted, is_muted)
    }

    /// Returns ` (did you mean X?)`, or nothing. Names in another letter case are the nearest.
    pub(super) fn suggestion<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> String {
        let left = COMPARISONS_MAX.saturating_sub(self.comparisons);
        let known: Vec<&str> = known.take(left).collect();
        self.comparisons += known.len();
        let mut same = known.iter().filter(|it| it.eq_ignore_ascii_case(name));
        let in_other_case = same.next().map(|&found| found.to_owned());
        let found = in_other_case.or_else(|| suggest::nearest(name, &known));
        suggest::hint(found.as_deref())
    }

    /// Returns the warnings in the order of the file, each once.
    pub(super) fn finish(self) -> Vec<Warning> {
        self.warnings.into_iter().collect()
    }
}
