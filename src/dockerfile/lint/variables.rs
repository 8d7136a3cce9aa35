//! What a stage's variables are, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::globals::Globals;
use super::{BaseFacts, Facts};
use crate::dockerfile::Expander;

/// Arguments that BuildKit reads itself and that are never variables.
const NEVER_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Every image has this one: who does not set it, gets it (BuildKit frontend, "PATH").
const ALWAYS_SET: &str = "PATH";

/// The variables at one point of a stage. Cheap to clone: stages share what they inherit.
#[derive(Debug, Clone)]
pub(super) struct Variables {
    values: Rc<BTreeMap<String, String>>,
    /// Names that ARG declared, also without a value.
    declared: Rc<BTreeSet<String>>,
    /// The image at the bottom is known: nothing else is defined.
    pub(super) are_complete: bool,
}

impl Variables {
    /// Those of an image; `None` for one that nobody looked at.
    pub(super) fn of_image(image: Option<&BaseFacts>) -> Self {
        let env = image.map(|image| image.env.clone()).unwrap_or_default();
        let mut values: BTreeMap<String, String> = env.into_iter().collect();
        values.entry(ALWAYS_SET.to_owned()).or_default();
        Self {
            values: Rc::new(values),
            declared: Rc::default(),
            are_complete: image.is_some(),
        }
    }

    /// Expands something, and returns with it the names that nothing defines.
    pub(super) fn expand<T>(
        &self,
        escape: char,
        expand: impl FnOnce(&mut Expander<'_>) -> T,
    ) -> (T, Vec<String>) {
        let lookup = |name: &str| self.values.get(name).cloned();
        let mut expander = Expander::new(escape, &lookup);
        let result = expand(&mut expander);
        let unset = expander.unset().iter();
        let undefined = unset.filter(|name| {
            !self.declared.contains(*name) && !NEVER_VARIABLES.contains(&name.as_str())
        });
        (result, undefined.cloned().collect())
    }

    /// ENV.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        Rc::make_mut(&mut self.values).insert(name.to_owned(), value.to_owned());
    }

    /// ARG. `default` is expanded already.
    pub(super) fn declare(
        &mut self,
        name: &str,
        default: Option<&str>,
        globals: &Globals,
        facts: &Facts<'_>,
    ) {
        let given = facts.build_args.get(name).map(String::as_str);
        if let Some(value) = given.or(default).or_else(|| globals.get(name)) {
            self.set(name, value);
        }
        Rc::make_mut(&mut self.declared).insert(name.to_owned());
    }

    /// Returns the names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let declared = self.declared.iter();
        self.values.keys().chain(declared).map(String::as_str)
    }
}
