//! In the place of the container's own root directory, into which the tree is moved for the time of
//! the command. There is one such place, so one command runs at a time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::fs::{Dir, PathContext, PathError, Root};
use crate::sys::Namespaces;

use super::super::command::{Command, Exit, Stream};
use super::super::run::{Prepared, RunError};
use super::super::stop::Stop;
use super::super::swap::{Inside, Swap, SwapError, mount_points};
use super::super::{Inner, mounts, room};
use super::chroot::wanted_files;
use super::props::Props;

/// What mode `inplace` needs to know.
#[derive(Debug)]
pub(in crate::sandbox) struct InplaceSetting {
    /// The container's root directory, opened while it was the container's own.
    root: Root,
    /// Paths that are never moved, besides mount points: the tool's directory, the work directory,
    /// what the user named. Absolute.
    kept: Vec<PathBuf>,
    /// Directories of ours that commands of ordinary users must not look into: the tool's.
    private: Vec<Dir>,
    /// Held while a tree is in.
    place: Mutex<()>,
}

impl InplaceSetting {
    pub(in crate::sandbox) fn new(root: Root, kept: Vec<PathBuf>, private: Vec<Dir>) -> Self {
        Self {
            root,
            kept,
            private,
            place: Mutex::new(()),
        }
    }

    /// Returns everything that is kept as of now.
    fn kept_now(&self) -> Result<Vec<PathBuf>, PathError> {
        const MOUNTS: &str = "/proc/self/mountinfo";
        // In a container this is a mount, which the command cannot have moved.
        let text = std::fs::read(MOUNTS).on("read", MOUNTS.as_ref())?;
        let mut kept = mount_points(&text);
        kept.extend(self.kept.iter().cloned());
        Ok(kept)
    }
}

pub(super) fn run(
    inner: &Inner,
    tree: &Root,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let setting = inner.setting.inplace();
    let _place = setting
        .place
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let tasks = mounts::inplace_tasks(command);
    let prepared = Prepared::new(command, tasks, Namespaces::Shared)?;
    let _private = setting
        .private
        .iter()
        .map(Private::hide)
        .collect::<Result<Vec<_>, PathError>>()?;
    let aside = inner.dir().open_dir(room::SWAP.as_ref())?;
    let root = Root::from_dir(setting.root.dir().try_clone()?);
    let kept = setting.kept_now()?;
    let swap = Swap::new(root, aside, &kept)?;
    let visit = Visit::begin(setting, &swap, tree)?;
    // From here on no path of ours leads where it did, unless it is kept.
    let outcome = in_root(inner, setting, &kept, &prepared, command, stop, output);
    super::after_cleaning(outcome, visit.end())
}

/// Runs the command in a root directory that has the tree's entries.
fn in_root(
    inner: &Inner,
    setting: &InplaceSetting,
    kept: &[PathBuf],
    prepared: &Prepared<'_>,
    command: &Command,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, RunError> {
    let root = &setting.root;
    let wanted = wanted_files(root, &mounts::shown_files(inner, command), kept)?;
    let props = Props::put(inner, root, &wanted)?;
    let outcome = prepared
        .run(inner, stop, output)
        .and_then(|report| prepared.exit(root, report));
    super::after_cleaning(outcome, props.take_back())
}

/// A tree in the root directory, which it leaves when this value goes.
struct Visit<'a> {
    setting: &'a InplaceSetting,
    inside: Option<Inside<'a>>,
}

impl<'a> Visit<'a> {
    fn begin(
        setting: &'a InplaceSetting,
        swap: &'a Swap,
        tree: &'a Root,
    ) -> Result<Self, SwapError> {
        let inside = swap.enter(tree)?;
        for path in inside.hidden() {
            tracing::debug!(path = %path.display(), "a mount of this container hides the image's");
        }
        Ok(Self {
            setting,
            inside: Some(inside),
        })
    }

    fn end(mut self) -> Result<(), SwapError> {
        self.leave()
    }

    fn leave(&mut self) -> Result<(), SwapError> {
        // The command may have moved mounts with the directories above them.
        let kept_now = self.setting.kept_now()?;
        if let Some(inside) = self.inside.take() {
            inside.leave(&kept_now)?;
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

/// A directory that only root may look into for a while.
struct Private<'a> {
    dir: &'a Dir,
    mode: u32,
}

impl<'a> Private<'a> {
    fn hide(dir: &'a Dir) -> Result<Self, PathError> {
        let mode = dir.metadata()?.mode;
        dir.set_own_mode(mode & 0o700)?;
        Ok(Self { dir, mode })
    }
}

impl Drop for Private<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.dir.set_own_mode(self.mode) {
            tracing::warn!(%error, source = %error.source, "a directory keeps its mode");
        }
    }
}
