//! How overlayfs marks in extended attributes what it keeps in a layer's directory.
//!
//! This module knows names only; it mounts nothing and reads no directory.

use std::ffi::OsStr;

/// The namespace of the attributes that an overlay was mounted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverlayXattrs {
    /// `trusted.overlay.`: in the initial user namespace.
    Trusted,
    /// `user.overlay.`: in any other, and wherever the overlay was mounted with `userxattr`.
    User,
}

impl OverlayXattrs {
    /// Returns what all attributes that belong to the overlay begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }

    /// Returns the attribute that is `y` on a directory that hides the one below it.
    pub fn opaque_key(self) -> &'static OsStr {
        OsStr::new(match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        })
    }
}
