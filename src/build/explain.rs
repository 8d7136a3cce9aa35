//! Why a step was found in the cache or not, in words.

use tracing::{debug, warn};

use crate::cache::Difference;
use crate::cache::LocalCache;

use super::keys::StepKey;
use super::step_cache::StepCaching;
use super::{Event, Progress, StepName};

/// What the first step of a stage calls its base, and each other one the step before it.
const BEFORE: &str = "the step before";

/// What came of a step.
pub(super) enum Outcome<'a> {
    /// The cache has it, by what is said here.
    Found(&'a str),
    /// It is executed, for this reason.
    Executed(&'a str),
    /// It is executed: its kind is not cached.
    NotCached,
}

impl StepCaching {
    /// Says what came of a step, to the user where that was asked for, and notes what it depends on for the next time.
    pub(super) fn explain(
        &self,
        progress: &Progress,
        name: &StepName,
        key: &StepKey,
        outcome: &Outcome<'_>,
    ) {
        let local = self.local();
        let text = match outcome {
            Outcome::Found(how) => format!("cache: {name} hit {}: {how}", key.key),
            Outcome::NotCached => {
                format!("cache: {name} uncacheable: layers of its kind are not cached")
            }
            Outcome::Executed(why) => {
                let changes = local.and_then(|local| self.changes(local, name, key));
                let changes = changes.map(|changes| format!("; {changes}"));
                let changes = changes.unwrap_or_default();
                format!("cache: {name} miss {}: {why}{changes}", key.key)
            }
        };
        match self.rules().explains {
            true => progress(Event::Note(&text)),
            false => debug!("{text}"),
        }
        if let Some(local) = local.filter(|local| local.is_writable()) {
            let place = self.place(name);
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            if let Err(error) = local.remember_step(&place, &key.inputs.fingerprint()) {
                warn!("cannot note what {name} depends on: {error}");
            }
        }
    }

    /// Says what is different from the last time that the step was built. `None` where that is not known.
    fn changes(&self, local: &LocalCache, name: &StepName, key: &StepKey) -> Option<String> {
        let place = self.place(name);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        let last = local.last_time(&place).ok().flatten()?;
        if last.key == key.key {
            return Some("its inputs are those of the last time".to_owned());
        }
        let differences = key.inputs.fingerprint().differences_from(&last.fingerprint);
        let shown: Vec<String> = differences.iter().map(show).collect();
        Some(format!("since the last time: {}", shown.join(", ")))
    }

    /// Names a step of this build in words that stay the same when its inputs change.
    fn place(&self, name: &StepName) -> [String; 3] {
        [
            self.subject().to_owned(),
            name.stage.clone(),
            name.number.to_string(),
        ]
    }
}

fn show(difference: &Difference) -> String {
    match difference {
        Difference::Changed(name) if name == BEFORE => "the files before it changed".to_owned(),
        Difference::Changed(name) => format!("{name} changed"),
        Difference::Added(name) => format!("{name} is new"),
        Difference::Removed(name) => format!("{name} is gone"),
        Difference::Reordered => "another order".to_owned(),
        Difference::Instruction { before, now } => format!("{now} instead of {before}"),
    }
}
