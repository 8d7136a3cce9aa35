//! The files of a step that have several names. This module knows inodes, not layers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::fs::Metadata;

/// A file, whatever it is called: device and inode.
type Inode = (u64, u64);

/// The files with several names that a step may have changed: in an upper directory all, in a plain one those of which
/// a name is not what it was. "Lower" is what was there before. One small record per file, however many names it has.
#[derive(Debug, Default)]
pub(super) struct HardLinks {
    groups: HashMap<Inode, Group>,
}

/// One file with several names.
#[derive(Debug)]
struct Group {
    /// The file that all names seen so far have in the lower tree; `None` where one has none.
    lower: Option<Inode>,
    is_changed: bool,
    /// The name under which the file stands in the layer, once it does.
    first: Option<PathBuf>,
}

impl HardLinks {
    /// Says whether there is no file here.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Says whether a file may have other names.
    pub(super) fn has_others(metadata: &Metadata) -> bool {
        !metadata.is_dir() && metadata.nlink > 1
    }

    /// Adds one name of a file: what the lower tree has under this name, and whether it differs from that. A file that
    /// is unchanged under each name is changed all the same when the lower tree does not have these names for one
    /// file.
    pub(super) fn add(&mut self, upper: &Metadata, lower: Option<&Metadata>, differs: bool) {
        let lower = lower.map(inode);
        let group = self.groups.entry(inode(upper)).or_insert(Group {
            lower,
            is_changed: false,
            first: None,
        });
        group.is_changed |= differs || lower.is_none() || group.lower != lower;
    }

    /// Says whether the file is known to have changed under any of its names.
    pub(super) fn is_changed(&self, upper: &Metadata) -> bool {
        self.groups
            .get(&inode(upper))
            .is_some_and(|group| group.is_changed)
    }

    /// Returns the name under which the file stands in the layer already, or notes that it does now under `path`.
    pub(super) fn place(&mut self, upper: &Metadata, path: &Path) -> Option<PathBuf> {
        let group = self.groups.get_mut(&inode(upper))?;
        if group.first.is_none() {
            group.first = Some(path.to_path_buf());
            return None;
        }
        group.first.clone()
    }
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev, metadata.ino)
}
