//! The build context as a RUN sees it: as if COPY had put it there, root's and without what the ignore file leaves out.
//!
//! Where all of it is so anyway, the context itself is shown; otherwise a copy, made once for each source. This module
//! must not know mounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use crate::context::BuildContext;
use crate::fs::{Choice, CopyRules, Destination, Dir, Metadata, PathError, Root, base_name, copy};
use crate::sandbox::{FileTree, Sandbox};

use super::sources::is_capability;

/// The parts of the context that RUNs have asked for, by their paths.
#[derive(Default)]
pub(super) struct ContextFiles {
    shown: Mutex<BTreeMap<PathBuf, FileTree>>,
}

impl ContextFiles {
    /// Returns what a RUN sees of `path`; `None` where nothing is there, or it is left out. Looks at every file, and
    /// reads them if they must be copied.
    pub(super) fn find(
        &self,
        context: &BuildContext,
        sandbox: &Sandbox,
        path: &Path,
    ) -> Result<Option<FileTree>> {
        let root = context.root();
        let path = root.resolve(path)?;
        let Some(metadata) = root.symlink_metadata(&path)? else {
            return Ok(None);
        };
        if is_left_out(context, &path, &metadata) {
            return Ok(None);
        }
        // Held while a copy is made: others wait for the same one.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = shown.get(&path) {
            return Ok(Some(tree.clone()));
        }
        let found = match is_plain(context, &path, &metadata)? {
            true => FileTree::find(Arc::new(same(root)?), &path)?,
            false => copied(context, sandbox, &path, &metadata)?,
        };
        if let Some(tree) = &found {
            shown.insert(path, tree.clone());
        }
        Ok(found)
    }
}

/// Says whether nothing of `path` takes part.
fn is_left_out(context: &BuildContext, path: &Path, metadata: &Metadata) -> bool {
    if path.as_os_str().is_empty() {
        return false;
    }
    match context.choose(path, metadata) {
        Choice::Take => false,
        Choice::Descend | Choice::Pass => !metadata.is_dir(),
        Choice::Skip => true,
    }
}

/// Says whether all of `path` takes part and is root's.
fn is_plain(context: &BuildContext, path: &Path, metadata: &Metadata) -> Result<bool, PathError> {
    if (metadata.uid, metadata.gid) != (0, 0) {
        return Ok(false);
    }
    let is_root = path.as_os_str().is_empty();
    if !is_root && context.choose(path, metadata) != Choice::Take {
        return Ok(false);
    }
    if !metadata.is_dir() {
        return Ok(true);
    }
    let dir = context.root().open_dir(path)?;
    for name in dir.names()? {
        if !is_plain_entry(context, path, &dir, &name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_plain_entry(
    context: &BuildContext,
    above: &Path,
    dir: &Dir,
    name: &std::ffi::OsStr,
) -> Result<bool, PathError> {
    match dir.metadata_of(name)? {
        Some(metadata) => is_plain(context, &above.join(name), &metadata),
        None => Ok(true),
    }
}

fn copied(
    context: &BuildContext,
    sandbox: &Sandbox,
    path: &Path,
    metadata: &Metadata,
) -> Result<Option<FileTree>> {
    let target = sandbox.new_files_dir()?;
    let name = base_name(path);
    let rules = CopyRules {
        owner: Some((0, 0)),
        mode: None,
        keeps_xattr: is_capability,
        choose: &|path, metadata| context.choose(path, metadata),
    };
    let destination = Destination {
        path: Path::new("/"),
        is_directory: true,
    };
    copy(context.root(), path, &name, &target, destination, &rules)?;
    let place = match metadata.is_dir() {
        true => {
            target.dir().set_own_mode(metadata.mode)?;
            Path::new("/")
        }
        false => Path::new(&name),
    };
    Ok(FileTree::find(Arc::new(target), place)?)
}

fn same(root: &Root) -> Result<Root, PathError> {
    Ok(Root::from_dir(root.dir().try_clone()?))
}
