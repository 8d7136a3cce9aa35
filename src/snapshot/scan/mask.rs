//! Paths that are left out, gone down beside the files. This module knows names only.

use std::ffi::OsStr;

use crate::snapshot::excluded::{Excluded, NamePattern};

/// What is left out of one directory: of each path that leads through it, the components below it. Most directories have
/// none: where a walk has no mask any more, nothing is looked up.
#[derive(Debug, Clone)]
pub(super) struct Mask<'a> {
    rests: Vec<&'a [NamePattern]>,
}

impl<'a> Mask<'a> {
    /// Returns the mask of a root.
    pub(super) fn of(excluded: &'a Excluded) -> Option<Self> {
        Self::of_rests(excluded.patterns().collect())
    }

    fn of_rests(rests: Vec<&'a [NamePattern]>) -> Option<Self> {
        (!rests.is_empty()).then_some(Self { rests })
    }

    /// Returns the mask of `name` in the directory that `mask` is of; `None` where nothing is excluded there or below.
    pub(super) fn at(mask: Option<&Self>, name: &OsStr) -> Option<Self> {
        let below = |rest: &&'a [NamePattern]| {
            let (first, rest) = rest.split_first()?;
            first.means(name).then_some(rest)
        };
        Self::of_rests(mask?.rests.iter().filter_map(below).collect())
    }

    /// Says whether the path that `mask` is of is left out, with everything below it.
    pub(super) fn hides(mask: Option<&Self>) -> bool {
        mask.is_some_and(|mask| mask.rests.iter().any(|rest| rest.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn is_hidden(excluded: &Excluded, path: &str) -> bool {
        let mut here = Mask::of(excluded);
        path.split('/').any(|name| {
            here = Mask::at(here.as_ref(), OsStr::new(name));
            Mask::hides(here.as_ref())
        })
    }

    #[test]
    fn a_path_is_hidden_with_what_is_below_and_not_with_what_is_beside() {
        let excluded = ["proc", "/etc/hosts"].iter().map(PathBuf::from).collect();
        for path in ["proc", "proc/1/fd", "etc/hosts"] {
            assert!(is_hidden(&excluded, path), "{path}");
        }
        for path in ["etc", "etc/hostname", "hosts", "process", "usr/proc"] {
            assert!(!is_hidden(&excluded, path), "{path}");
        }
    }

    #[test]
    fn several_patterns_may_lead_through_one_directory() {
        let paths = ["*/cache", "var/l?g", "var/lib/*/tmp"].map(PathBuf::from);
        let excluded = Excluded::of_patterns(&paths).unwrap();
        for path in ["var/cache/x", "usr/cache", "var/log/a/b", "var/lib/x/tmp"] {
            assert!(is_hidden(&excluded, path), "{path}");
        }
        for path in ["cache", "var", "var/lib/tmp", "usr/log", "a/b/cache"] {
            assert!(!is_hidden(&excluded, path), "{path}");
        }
    }

    #[test]
    fn the_root_is_never_hidden() {
        let excluded = ["", "/"].iter().map(PathBuf::from).collect();
        assert!(Mask::of(&excluded).is_none());
        assert!(!is_hidden(&excluded, "usr"));
    }
}
