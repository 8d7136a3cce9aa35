//! How overlayfs writes "deleted" and "opaque" into the directories it stacks (Linux, overlayfs.rst
//! "whiteouts and opaque directories"). This module knows names, not mounts.

use std::ffi::OsStr;

/// The family of extended attributes in which an overlay mount keeps its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OverlayXattrs {
    /// `trusted.overlay.*`: mounts in the initial user namespace.
    Trusted,
    /// `user.overlay.*`: mounts with `userxattr`, the only ones that work in other user namespaces.
    User,
}

impl OverlayXattrs {
    /// Returns what the names of all marks begin with, the last dot included.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }

    /// Returns the name of the attribute that marks a directory as opaque: nothing below it shows.
    pub fn opaque_key(self) -> &'static OsStr {
        match self {
            Self::Trusted => OsStr::new("trusted.overlay.opaque"),
            Self::User => OsStr::new("user.overlay.opaque"),
        }
    }

    /// Returns the value of the attribute that marks a directory as opaque.
    pub fn opaque_value(self) -> &'static [u8] {
        b"y"
    }
}
