//! Which answers of the cache count, and which stages are needed.
//!
//! An answer counts only if it was made on the very files that the stage has before the step, and with those that it took
//! from other stages: two builds at the same time may have executed the same RUN with different results, and what one of
//! them made of it does not fit the other's.

use std::collections::{BTreeMap, BTreeSet};

use crate::cache::inputs::ResultInputs;
use crate::cache::{CacheEntry, CacheKey, Lookup};

use super::action::{Action, Work};
use super::evaluated::EvaluatedStage;
use super::forecast::Lookups;
use super::keys::{StageKeys, StepKey, after_link};
use super::plan::{FileSource, Plan, StageBase};
use super::step_cache::StepCaching;

/// What a stage will be like.
pub(super) struct Outlook {
    /// One for each of its steps.
    pub(super) steps: Vec<StepOutlook>,
    /// Whether a target needs it.
    pub(super) is_needed: bool,
    /// The files at its end, where they are known.
    end: Option<CacheKey>,
}

/// What a step will be like.
pub(super) struct StepOutlook {
    /// Whether it need not be executed.
    pub(super) is_answered: bool,
    /// The stage's files after it, where they are known.
    pub(super) after: Option<CacheKey>,
}

/// Decides for all stages of a plan.
///
/// A stage that has to be executed may turn out other than it was the last time, so answers that go back to it count no
/// more; then other stages may have to be executed too. This comes to an end: no stage is taken back.
pub(super) fn outlooks(
    plan: &Plan,
    evaluated: &BTreeMap<usize, EvaluatedStage>,
    keys: &BTreeMap<usize, StageKeys>,
    lookups: &Lookups,
    caching: &StepCaching,
) -> BTreeMap<usize, Outlook> {
    let mut forecaster = Forecaster {
        plan,
        evaluated,
        keys,
        lookups,
        caching,
        executed: BTreeSet::new(),
    };
    loop {
        let mut outlooks = BTreeMap::new();
        for index in evaluated.keys() {
            let outlook = forecaster.outlook(*index, &outlooks);
            outlooks.insert(*index, outlook);
        }
        forecaster.mark_needed(&mut outlooks);
        let executed = outlooks
            .iter()
            .filter(|(_, outlook)| outlook.is_executed())
            .map(|(index, _)| *index);
        let executed: BTreeSet<usize> = executed.collect();
        if executed.is_subset(&forecaster.executed) {
            return outlooks;
        }
        forecaster.executed.extend(executed);
    }
}

impl Outlook {
    fn is_executed(&self) -> bool {
        self.is_needed && !self.steps.iter().all(|step| step.is_answered)
    }
}

struct Forecaster<'a> {
    plan: &'a Plan,
    evaluated: &'a BTreeMap<usize, EvaluatedStage>,
    keys: &'a BTreeMap<usize, StageKeys>,
    lookups: &'a Lookups,
    caching: &'a StepCaching,
    /// Stages that have to be executed, as far as is known.
    executed: BTreeSet<usize>,
}

impl Forecaster<'_> {
    fn outlook(&self, index: usize, earlier: &BTreeMap<usize, Outlook>) -> Outlook {
        let mut files = match &self.plan.stages[&index].base {
            StageBase::Scratch => Some(self.nothing(index)),
            StageBase::Image(image) => Some(self.caching.key_of_image(image)),
            StageBase::Stage(parent) => earlier[parent].end.clone(),
        };
        let mut steps = Vec::new();
        for (at, step) in self.evaluated[&index].steps.iter().enumerate() {
            let (Some(work), Some(key)) = (&step.work, &self.keys[&index].steps[at]) else {
                steps.push(StepOutlook {
                    is_answered: true,
                    after: files.clone(),
                });
                continue;
            };
            let entry = self.entry(index, at, files.as_ref(), work, earlier);
            files = files.and_then(|files| after(files, work, key, entry));
            steps.push(StepOutlook {
                is_answered: entry.is_some(),
                after: files.clone(),
            });
        }
        Outlook {
            steps,
            is_needed: false,
            end: files,
        }
    }

    /// Returns the entry of a step, if it was made of what this build has.
    fn entry(
        &self,
        stage: usize,
        at: usize,
        files: Option<&CacheKey>,
        work: &Work,
        earlier: &BTreeMap<usize, Outlook>,
    ) -> Option<&CacheEntry> {
        let Some(Lookup::Hit(found)) = self.lookups.get(&(stage, at)) else {
            return None;
        };
        let (made_on, made_with) = found.entry.made_of.split_first()?;
        let is_on_these = match work.is_linked() {
            true => self.nothing(stage) == *made_on,
            false => files == Some(made_on),
        };
        let fits = is_on_these && self.fits(made_with, work, earlier);
        fits.then_some(&found.entry)
    }

    /// Returns the key of no files.
    fn nothing(&self, stage: usize) -> CacheKey {
        let platform = &self.plan.stages[&stage].platform;
        self.caching.key_of_nothing(platform)
    }

    /// Says whether a step may have been made with what it takes from elsewhere.
    fn fits(
        &self,
        made_with: &[CacheKey],
        work: &Work,
        earlier: &BTreeMap<usize, Outlook>,
    ) -> bool {
        let sources = work.elsewhere();
        let fits = |(source, with): (&&FileSource, &CacheKey)| match source {
            FileSource::Context | FileSource::Directory(_) => false,
            FileSource::Stage(index) => match &earlier[index].end {
                Some(end) => end == with,
                // Nobody executes it: what it was then is as good as what it would be now.
                None => !self.executed.contains(index),
            },
            FileSource::Image(image) => self.caching.key_of_image(image) == *with,
        };
        sources.len() == made_with.len() && sources.iter().zip(made_with).all(fits)
    }

    /// Finds out which stages the targets need: what they are built on, and what steps that are executed copy from.
    fn mark_needed(&self, outlooks: &mut BTreeMap<usize, Outlook>) {
        let mut wanted = self.plan.targets.clone();
        while let Some(index) = wanted.pop() {
            let Some(outlook) = outlooks.get_mut(&index) else {
                continue;
            };
            if std::mem::replace(&mut outlook.is_needed, true) {
                continue;
            }
            let stage = &self.plan.stages[&index];
            wanted.extend(stage.base.stage());
            let steps = stage.steps.iter().zip(&outlook.steps);
            let executed = steps.filter(|(_, outlook)| !outlook.is_answered);
            wanted.extend(executed.flat_map(|(step, _)| step.source_stages()));
        }
    }
}

/// Returns a stage's files after a step, where they are known: `entry` answers it, or it is executed.
fn after(
    files: CacheKey,
    work: &Work,
    key: &StepKey,
    entry: Option<&CacheEntry>,
) -> Option<CacheKey> {
    match (&work.action, entry) {
        (Action::Run(_), Some(entry)) => {
            let result = ResultInputs {
                before: files,
                layer: entry.diff_id.clone(),
            };
            Some(result.fingerprint().key())
        }
        (Action::Run(_), None) => None,
        (Action::Workdir, _) => Some(key.inputs.clone().on(files).fingerprint().key()),
        (Action::Transfer(transfer), entry) if transfer.is_linked => {
            let linked = match &transfer.from {
                FileSource::Context | FileSource::Directory(_) if transfer.remotes.is_empty() => {
                    &key.key
                }
                FileSource::Context
                | FileSource::Directory(_)
                | FileSource::Stage(_)
                | FileSource::Image(_) => entry?.content_key()?,
            };
            Some(after_link(files, linked))
        }
        (Action::Transfer(transfer), entry) => match &transfer.from {
            // The key by definition is one by content.
            FileSource::Context | FileSource::Directory(_) if transfer.remotes.is_empty() => {
                Some(key.inputs.clone().on(files).fingerprint().key())
            }
            // The entry has the key by content, which nobody else knows before the files are here.
            FileSource::Context
            | FileSource::Directory(_)
            | FileSource::Stage(_)
            | FileSource::Image(_) => entry?.content_key().cloned(),
        },
    }
}
