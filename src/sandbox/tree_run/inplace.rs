//! In the place of the container's own root directory, into which the tree is moved for the time of
//! the command. There is one such place, so one command runs at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::fs::{Dir, PathContext, PathError, Root};
use crate::sys::Namespaces;

use super::super::belongings::{Belongings, give_back_noted};
use super::super::command::{Command, Ended, Exit, Stream};
use super::super::hidden_dir::HiddenDir;
use super::super::placed::Wanted;
use super::super::run::{Prepared, RunError};
use super::super::stop::Stop;
use super::super::swap::{Inside, Swap, SwapError, mount_points, recover};
use super::super::{Inner, mounts, room};
use super::props::{Props, other_mount, wanted_files};
use super::requested::{Requested, check_places};

pub(super) fn run(
    inner: &Inner,
    tree: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ended, RunError> {
    let place = inner.root_directory.lock();
    let _place = place.unwrap_or_else(PoisonError::into_inner);
    let tasks = mounts::inplace_tasks(command);
    let prepared = Prepared::new(command, tasks, Namespaces::Shared)?;
    let requested = Requested::prepare(inner, &command.mounts)?;
    // Opened while their paths lead to them.
    let root = Dir::open(Path::new("/"))?;
    let aside = inner.dir().open_dir(room::ASIDE.as_ref())?;
    let _hidden = HiddenDir::hide(inner.dir(), &inner.setting.tool_dir)?;
    let kept = kept_now(inner)?;
    let root = Root::from_dir(root);
    let belongings = Belongings::take_note(&root, &kept, inner.dir())?;
    let swap = Swap::new(Root::from_dir(root.dir().try_clone()?), aside, &kept)?
        .with_standing(&inner.setting.standing);
    let visit = Visit::begin(inner, &swap, tree)?;
    // From here on no path of ours leads where it did, unless it is kept.
    let outcome = run_in(inner, &root, &kept, &prepared, &requested, stop, output);
    let outcome = super::after_cleaning(outcome, visit.end());
    let outcome = super::after_cleaning(outcome, belongings.give_back(&root));
    outcome.and_then(|exit| requested.ended(exit))
}

/// Puts the container's own files back, should they still be aside: what a command's end could not do.
pub(in crate::sandbox) fn put_root_back(inner: &Inner) -> Result<(), SwapError> {
    let aside = inner.dir().open_dir(room::ASIDE.as_ref())?;
    let root = Root::open(Path::new("/"))?;
    recover(&root, &aside, &kept_now(inner)?)?;
    give_back_noted(&root, inner.dir());
    Ok(())
}

/// Runs the command in a root directory that has the tree's entries.
fn run_in(
    inner: &Inner,
    root: &Root,
    kept: &[PathBuf],
    prepared: &Prepared<'_>,
    requested: &Requested<'_>,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    check_places(root, requested, kept)?;
    // What the container has as a mount is in place.
    let files = mounts::shown_files(inner, prepared.command());
    let mut by_mount: BTreeMap<Option<PathBuf>, Vec<Wanted>> = BTreeMap::new();
    let files = wanted_files(root, files, kept)?;
    for wanted in files.into_iter().chain(requested.wanted().iter().cloned()) {
        let mount = other_mount(root, &wanted.path)?;
        by_mount.entry(mount).or_default().push(wanted);
    }
    let mut all = Vec::new();
    for (mount, wanted) in by_mount {
        all.push(match mount {
            None => Props::put(inner, root, &wanted)?,
            // Such as scripts in `/dev`, which is the container's.
            Some(mount) => Props::put_on_mount(root, &mount, &wanted)?,
        });
    }
    let outcome = prepared
        .run(inner, stop, output)
        .and_then(|report| prepared.exit(root, report));
    all.into_iter().rev().fold(outcome, |outcome, props| {
        super::after_cleaning(outcome, props.take_back())
    })
}

/// Returns everything that must stay in the root directory as of now, relative to it.
fn kept_now(inner: &Inner) -> Result<Vec<PathBuf>, PathError> {
    const MOUNTS: &str = "/proc/self/mountinfo";
    // A mount of the container, which is there with a tree in the root directory as well.
    let text = std::fs::read(MOUNTS).on("read", MOUNTS)?;
    let mut kept = mount_points(&text);
    kept.extend(inner.setting.kept.iter().cloned());
    Ok(kept)
}

/// A tree in the root directory, which it leaves when this value goes.
struct Visit<'a> {
    inner: &'a Inner,
    inside: Option<Inside<'a>>,
}

impl<'a> Visit<'a> {
    fn begin(inner: &'a Inner, swap: &'a Swap, tree: &'a Root) -> Result<Self, SwapError> {
        let inside = swap.enter(tree)?;
        for path in inside.hidden() {
            tracing::debug!(path = %path.display(), "a mount of this container hides the image's");
        }
        Ok(Self {
            inner,
            inside: Some(inside),
        })
    }

    fn end(mut self) -> Result<(), SwapError> {
        self.leave()
    }

    fn leave(&mut self) -> Result<(), SwapError> {
        if self.inside.is_none() {
            return Ok(());
        }
        // The command may have moved mounts with the directories above them.
        let kept = kept_now(self.inner)?;
        if let Some(inside) = self.inside.take() {
            inside.leave(&kept)?;
        }
        Ok(())
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "this container is not as it was");
        }
    }
}
