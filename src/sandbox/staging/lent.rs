//! A copy of files that a step may change for itself: an overlay where there are any, and real copies elsewhere.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::fs::{
    Choice, CopyRules, Destination, Dir, KnownContents, Root, base_name, copy, copy_tree,
};

use super::super::rootfs::RootfsError;
use super::super::step_mount::FileTree;
use super::super::storage::Storage;
use super::super::{Inner, room};
use super::own_mount::OwnMount;

/// Removed when it goes, with what the step did to it.
pub(in crate::sandbox) enum LentCopy<'a> {
    /// In the order in which they end: the overlay lies on the other mount.
    Overlay(
        OwnMount<'a>,
        #[expect(dead_code, reason = "held")] OwnMount<'a>,
    ),
    Directory(CopyDir<'a>),
    /// The file has this name in the directory.
    File(CopyDir<'a>, std::ffi::OsString),
}

impl<'a> LentCopy<'a> {
    pub(in crate::sandbox) fn make(inner: &'a Inner, lent: &FileTree) -> Result<Self, RootfsError> {
        let Some(tree) = lent.open_dir()? else {
            return Self::file(inner, lent);
        };
        match &inner.setting.storage {
            Storage::Overlay(_) => match overlay(inner, lent, tree.dir()) {
                Ok((merged, lower)) => Ok(Self::Overlay(merged, lower)),
                Err(error) => {
                    // Such as too many overlays on top of each other.
                    tracing::debug!(%error, "copying files that a step may change for itself");
                    Self::directory(inner, &tree)
                }
            },
            Storage::Tree => Self::directory(inner, &tree),
        }
    }

    fn directory(inner: &'a Inner, tree: &Root) -> Result<Self, RootfsError> {
        let dir = CopyDir::new(inner)?;
        copy_tree(tree, &dir.open()?, &mut KnownContents::default())?;
        Ok(Self::Directory(dir))
    }

    fn file(inner: &'a Inner, lent: &FileTree) -> Result<Self, RootfsError> {
        let dir = CopyDir::new(inner)?;
        let name = base_name(&lent.path);
        copy_file(lent, &dir.open()?, &name)?;
        Ok(Self::File(dir, name))
    }

    /// Returns where it is for the builder.
    pub(in crate::sandbox) fn path(&self) -> Result<PathBuf, RootfsError> {
        Ok(match self {
            Self::Overlay(merged, _) => merged.open()?.path().to_path_buf(),
            Self::Directory(dir) => dir.path(),
            Self::File(dir, name) => dir.path().join(name),
        })
    }

    /// Opens it; `None` for a file.
    pub(in crate::sandbox) fn open(&self) -> Result<Option<Root>, RootfsError> {
        match self {
            Self::Overlay(merged, _) => merged.open().map(Some),
            Self::Directory(dir) => dir.open().map(Some),
            Self::File(..) => Ok(None),
        }
    }
}

fn overlay<'a>(
    inner: &'a Inner,
    lent: &FileTree,
    like: &Dir,
) -> Result<(OwnMount<'a>, OwnMount<'a>), RootfsError> {
    let lower = OwnMount::bind(inner, &lent.outside_path())?;
    let merged = OwnMount::overlay(inner, &lower, like)?;
    Ok((merged, lower))
}

/// Copies a file as it is to `name` in `target`.
fn copy_file(lent: &FileTree, target: &Root, name: &OsStr) -> Result<(), RootfsError> {
    let rules = CopyRules {
        owner: None,
        mode: None,
        keeps_xattr: |key| key == "security.capability",
        choose: &|_, _| Choice::Take,
    };
    let path = Path::new("/").join(name);
    let destination = Destination {
        path: &path,
        is_directory: false,
    };
    Ok(copy(
        &lent.root,
        &lent.path,
        name,
        target,
        destination,
        &rules,
    )?)
}

/// A directory of the work directory that goes with this value.
pub(in crate::sandbox) struct CopyDir<'a> {
    inner: &'a Inner,
    /// Relative to the work directory.
    name: String,
}

impl<'a> CopyDir<'a> {
    pub(in crate::sandbox) fn new(inner: &'a Inner) -> Result<Self, RootfsError> {
        let name = inner.new_dir(room::PROPS)?;
        Ok(Self { inner, name })
    }

    fn path(&self) -> PathBuf {
        self.inner.dir().path().join(&self.name)
    }

    pub(in crate::sandbox) fn open(&self) -> Result<Root, RootfsError> {
        let root = Root::open(&self.path())?;
        Ok(match &self.inner.ledger {
            Some(ledger) => root.with_ledger(ledger.clone()),
            None => root,
        })
    }

    fn end(&self) -> Result<(), RootfsError> {
        let room = self.inner.dir().open_dir(room::PROPS.as_ref())?;
        let room = match &self.inner.ledger {
            Some(ledger) => room.with_ledger(ledger.clone()),
            None => room,
        };
        let name = self.name.rsplit_once('/').map_or("", |(_, name)| name);
        Ok(crate::fs::remove_tree(&room, name.as_ref())?)
    }
}

impl Drop for CopyDir<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "a copy that a step had stays until the build ends");
        }
    }
}
