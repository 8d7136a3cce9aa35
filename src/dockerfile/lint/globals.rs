//! The arguments that FROM sees: automatic ones, and those above the first FROM.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Mistake};
use crate::dockerfile::{Dockerfile, ExpandError, Expander};

/// Names with their values; `None` where nobody gives one.
pub(super) struct Globals {
    values: BTreeMap<String, Option<String>>,
    escape: char,
}

/// A word with its variables expanded.
pub(super) struct Expanded {
    /// What it became.
    pub(super) text: String,
    /// Variables that it names and that have a value.
    pub(super) used: BTreeSet<String>,
    /// Variables that it names and that nothing declares.
    pub(super) undeclared: BTreeSet<String>,
}

impl Globals {
    /// Declares what the file does, with these values of `--build-arg`.
    pub(super) fn new(
        dockerfile: &Dockerfile,
        facts: &Facts<'_>,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Self, Mistake> {
        let automatic = facts.automatic_args.iter().cloned();
        let mut globals = Self {
            values: automatic.map(|(name, value)| (name, Some(value))).collect(),
            escape: dockerfile.directives.escape,
        };
        let names: Vec<String> = globals.values.keys().cloned().collect();
        for name in names {
            if let Some(value) = build_args.get(&name) {
                globals.values.insert(name, Some(value.clone()));
            }
        }
        for meta_arg in &dockerfile.meta_args {
            for arg in &meta_arg.args {
                let default = arg.default.as_deref();
                let default = default.map(|word| globals.expand(word));
                let default = default
                    .transpose()
                    .map_err(|error| Mistake::new(meta_arg.source.span, &error))?;
                let value = build_args.get(&arg.name).cloned();
                let value = value.or(default.map(|expanded| expanded.text));
                if value.is_some() || !globals.declares(&arg.name) {
                    globals.values.insert(arg.name.clone(), value);
                }
            }
        }
        Ok(globals)
    }

    /// Returns the value of an argument.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }

    /// Says whether there is such an argument.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Returns the names of all arguments.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Expands a word of FROM.
    pub(super) fn expand(&self, word: &str) -> Result<Expanded, ExpandError> {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        let mut expander = Expander::new(self.escape, &lookup);
        let text = expander.word(word)?;
        let unset = expander.unset().iter();
        let undeclared = unset.filter(|name| !self.declares(name));
        Ok(Expanded {
            text,
            undeclared: undeclared.cloned().collect(),
            used: expander.used().clone(),
        })
    }
}
