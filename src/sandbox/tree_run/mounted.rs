//! In namespaces: the tree becomes a mount of the step's own, with the usual mounts in it.

use std::sync::Arc;

use crate::fs::Root;
use crate::sys::Report;

use super::super::Inner;
use super::super::command::{Command, Ended, Stream};
use super::super::mounts;
use super::super::owners::OwnerEmulation;
use super::super::placed::{Thing, Wanted};
use super::super::places::{MissingPoint, Places, PointKind};
use super::super::run::{Prepared, RunError};
use super::super::staging::Staging;
use super::super::stop::Stop;
use super::props::Props;

pub(super) fn run(
    inner: &Inner,
    root: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ended, RunError> {
    let files = mounts::shown_files(inner, command);
    let places = Places::find(root, &files, mounts::NETWORK_FILES)?;
    let staging = Staging::prepare(inner, root, &places, &command.mounts)?;
    let mut tasks = mounts::tree_tasks(root.path());
    tasks.extend(mounts::tasks(
        inner,
        root.path(),
        &places,
        &staging,
        command,
    ));
    let prepared = Prepared::new(command, tasks, mounts::namespaces(inner))?;
    let props = Props::put(
        inner,
        root,
        &mount_points(places.missing.iter().chain(staging.missing())),
    )?;
    let outcome = run_with_owners(inner, &prepared, stop, output)
        .and_then(|report| prepared.exit(root, report));
    super::after_cleaning(outcome.map(Ended::from), props.take_back())
}

/// Runs the command. Where there is a single id, its calls about owners and users are answered.
fn run_with_owners(
    inner: &Inner,
    prepared: &Prepared<'_>,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Option<Report>, RunError> {
    let Some(ledger) = &inner.ledger else {
        return prepared.run(inner, stop, output);
    };
    let owners =
        OwnerEmulation::start(Arc::clone(ledger), prepared.identity()).map_err(RunError::Launch)?;
    let outcome = prepared.run_answered(inner, Some(owners.interception()), stop, output);
    let summary = owners.finish();
    tracing::debug!(calls = summary.calls, "answered calls about owners");
    for warning in summary.warnings {
        tracing::warn!("{warning}");
    }
    outcome
}

/// Returns the mount points that the image lacks.
fn mount_points<'a>(missing: impl Iterator<Item = &'a MissingPoint>) -> Vec<Wanted> {
    missing
        .map(|point| Wanted {
            path: point.path.clone(),
            thing: match point.kind {
                PointKind::Directory => Thing::Directory,
                PointKind::File => Thing::FilePoint,
            },
        })
        .collect()
}
