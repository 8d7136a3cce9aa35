//! kaniko's variables that steer a mechanism which does not exist here: each that is set is said to be without effect.

use super::environment::{has_variable_like, variable};

/// A variable and why there is nothing to do, as a sentence without its full stop.
const WITHOUT_EFFECT: [(&str, &str); 5] = [
    (
        "KANIKO_CLEANUP",
        "after a build, the root directory is what it was before",
    ),
    (
        "KANIKO_PRE_CLEANUP",
        "files of the root directory are never part of a stage",
    ),
    (
        "KANIKO_PRESERVE_CONTEXT",
        "after a build, the root directory is what it was before",
    ),
    ("KANIKO_PRINT_PLAN", "--dryrun prints the plan"),
    (
        "SNAPSHOT_TIMEOUT_DURATION",
        "finding what a step changed takes no time that needs a limit",
    ),
];

/// The beginning of the names of kaniko's feature flags.
const FEATURES: &str = "FF_KANIKO_";

/// Returns one line for each variable that is set.
pub(super) fn notes() -> Vec<String> {
    let set = WITHOUT_EFFECT
        .iter()
        .filter(|(name, _)| variable(name).is_some());
    let mut notes: Vec<String> = set
        .map(|(name, reason)| format!("{name} has no effect: {reason}"))
        .collect();
    if has_variable_like(FEATURES) {
        notes.push(format!(
            "{FEATURES}* have no effect: images are built as BuildKit builds them"
        ));
    }
    notes
}
