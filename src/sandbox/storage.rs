//! How the files of stages are kept, independent of how their commands are isolated.

use crate::image::OverlayXattrs;

use super::overlay::OverlayOptions;

/// How the files of stages are kept, for those who fill them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// Each layer in a directory of its own, in overlayfs's form; what a step changed is the upper
    /// directory of its mount. Stages share layers.
    Layers(OverlayXattrs),
    /// Each stage is one plain directory, which steps change in place.
    Trees,
}

/// As [`StorageKind`], with what mounting takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Storage {
    /// Overlay mounts work here.
    Overlay(OverlayOptions),
    /// They do not, or ownership is recorded by inode: an overlay's change from mount to mount.
    Tree,
}
