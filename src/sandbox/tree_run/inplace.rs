//! In the place of the container's own root directory, into which the tree is moved for the time of
//! the command. There is one such place, so one command runs at a time.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::fs::{Dir, PathContext, PathError, Root};
use crate::sys::Namespaces;

use super::super::command::{Command, Exit, Stream};
use super::super::run::{Prepared, RunError};
use super::super::stop::Stop;
use super::super::swap::{Inside, Swap, SwapError, mount_points};
use super::super::{Inner, mounts, room};
use super::props::{Props, wanted_files};

pub(super) fn run(
    inner: &Inner,
    tree: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let place = inner.root_directory.lock();
    let _place = place.unwrap_or_else(PoisonError::into_inner);
    let tasks = mounts::inplace_tasks(command);
    let prepared = Prepared::new(command, tasks, Namespaces::Shared)?;
    // Opened while their paths lead to them.
    let root = Dir::open(Path::new("/"))?;
    let aside = inner.dir().open_dir(room::ASIDE.as_ref())?;
    let _hidden = HiddenDir::hide(&inner.setting.tool_dir)?;
    let kept = kept_now(inner)?;
    let swap = Swap::new(Root::from_dir(root.try_clone()?), aside, &kept)?;
    let visit = Visit::begin(inner, &swap, tree)?;
    // From here on no path of ours leads where it did, unless it is kept.
    let root = Root::from_dir(root);
    let outcome = run_in(inner, &root, &kept, &prepared, command, stop, output);
    super::after_cleaning(outcome, visit.end())
}

/// Runs the command in a root directory that has the tree's entries.
fn run_in(
    inner: &Inner,
    root: &Root,
    kept: &[PathBuf],
    prepared: &Prepared<'_>,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    // What the container has as a mount is in place.
    let wanted = wanted_files(root, mounts::shown_files(inner, command), kept)?;
    let props = Props::put(inner, root, &wanted)?;
    let outcome = prepared
        .run(inner, stop, output)
        .and_then(|report| prepared.exit(root, report));
    super::after_cleaning(outcome, props.take_back())
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

/// The tool's directory, which has credentials in it: for the time of a command, nobody but root may
/// look into it.
struct HiddenDir {
    dir: Option<Dir>,
    mode: u32,
}

impl HiddenDir {
    /// One that does not exist needs no hiding.
    fn hide(path: &Path) -> Result<Self, PathError> {
        let dir = match Dir::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let mode = match &dir {
            Some(dir) => dir.metadata()?.mode,
            None => 0,
        };
        if let Some(dir) = &dir {
            dir.set_own_mode(mode & 0o700)?;
        }
        Ok(Self { dir, mode })
    }
}

impl Drop for HiddenDir {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir
            && let Err(error) = dir.set_own_mode(self.mode)
        {
            tracing::warn!(%error, source = %error.source, "the tool's directory keeps its mode");
        }
    }
}
