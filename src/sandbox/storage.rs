//! How the files of stages are kept, independent of how their commands are isolated.

use std::fmt;
use std::str::FromStr;

use crate::image::OverlayXattrs;

use super::overlay::OverlayOptions;

/// What is asked for: for tests, which run everything both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StorageChoice {
    /// Overlays where they work, else trees.
    #[default]
    Auto,
    /// Overlays or nothing.
    Overlay,
    /// Trees, also where overlays would work.
    Tree,
}

impl StorageChoice {
    const ALL: [Self; 3] = [Self::Auto, Self::Overlay, Self::Tree];

    /// Returns the name as `--storage` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Overlay => "overlay",
            Self::Tree => "tree",
        }
    }
}

impl fmt::Display for StorageChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A word that names no way to keep files.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown storage `{0}`: expected auto, overlay or tree")]
pub struct UnknownStorage(String);

impl FromStr for StorageChoice {
    type Err = UnknownStorage;

    fn from_str(text: &str) -> Result<Self, UnknownStorage> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.name() == text)
            .ok_or_else(|| UnknownStorage(text.to_owned()))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_itself() {
        for choice in StorageChoice::ALL {
            assert_eq!(choice.name().parse(), Ok(choice));
        }
        assert!("trees".parse::<StorageChoice>().is_err());
    }
}
