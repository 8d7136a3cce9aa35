//! Paths that are left out, as a tree that is gone down beside the files. This module knows names only.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Component;

use crate::snapshot::change::Excluded;

/// The excluded paths below one directory. Most directories have none: where a walk has no mask any more, nothing is
/// looked up.
#[derive(Debug, Default)]
pub(super) struct Mask {
    below: BTreeMap<OsString, Mask>,
    is_excluded: bool,
}

impl Mask {
    /// Makes the mask of a root. The root itself is never excluded.
    pub(super) fn of(excluded: &Excluded) -> Self {
        let mut top = Self::default();
        for path in excluded {
            let mut mask = &mut top;
            for component in path.components() {
                if let Component::Normal(name) = component {
                    mask = mask.below.entry(name.to_os_string()).or_default();
                }
            }
            mask.is_excluded = true;
        }
        top.is_excluded = false;
        top
    }

    /// Returns the mask of `name` in the directory that `mask` is of; `None` where nothing is excluded there or below.
    pub(super) fn at<'m>(mask: Option<&'m Self>, name: &OsStr) -> Option<&'m Self> {
        mask?.below.get(name)
    }

    /// Says whether the path that `mask` is of is left out, with everything below it.
    pub(super) fn hides(mask: Option<&Self>) -> bool {
        mask.is_some_and(|mask| mask.is_excluded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn is_hidden(mask: &Mask, path: &str) -> bool {
        let mut here = Some(mask);
        path.split('/').any(|name| {
            here = Mask::at(here, OsStr::new(name));
            Mask::hides(here)
        })
    }

    #[test]
    fn a_path_is_hidden_with_what_is_below_and_not_with_what_is_beside() {
        let mask = Mask::of(&["proc", "/etc/hosts"].iter().map(PathBuf::from).collect());
        for path in ["proc", "proc/1/fd", "etc/hosts"] {
            assert!(is_hidden(&mask, path), "{path}");
        }
        for path in ["etc", "etc/hostname", "hosts", "process", "usr/proc"] {
            assert!(!is_hidden(&mask, path), "{path}");
        }
    }

    #[test]
    fn the_root_is_never_hidden() {
        let mask = Mask::of(&["", "/"].iter().map(PathBuf::from).collect());
        assert!(!Mask::hides(Some(&mask)));
        assert!(!is_hidden(&mask, "usr"));
    }
}
