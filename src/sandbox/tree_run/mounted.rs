//! In namespaces: the tree becomes a mount of the step's own, with the usual mounts in it.

use crate::fs::Root;

use super::super::Inner;
use super::super::command::{Command, Exit, Stream};
use super::super::mounts;
use super::super::placed::{Thing, Wanted};
use super::super::places::{Places, PointKind};
use super::super::run::{Prepared, RunError};
use super::super::stop::Stop;
use super::props::Props;

pub(super) fn run(
    inner: &Inner,
    root: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let files = mounts::shown_files(inner, command);
    let places = Places::find(root, &files, mounts::NETWORK_FILES)?;
    let mut tasks = mounts::tree_tasks(root.path());
    tasks.extend(mounts::tasks(inner, root.path(), &places, command));
    let prepared = Prepared::new(command, tasks, mounts::namespaces(inner))?;
    let props = Props::put(inner, root, &mount_points(&places))?;
    // Here, in a user namespace with a single id, ownership will be recorded while the command runs.
    let outcome = prepared
        .run(inner, stop, output)
        .and_then(|report| prepared.exit(root, report));
    super::after_cleaning(outcome, props.take_back())
}

/// Returns the mount points that the image lacks.
fn mount_points(places: &Places<'_>) -> Vec<Wanted> {
    let missing = places.missing.iter();
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
