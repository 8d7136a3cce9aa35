//! Where buildah is known to do something else, and who is right.

use crate::compare::{Aspect, Difference};

/// One thing that buildah does otherwise.
pub(crate) struct Known {
    /// What it does.
    pub(crate) buildah: &'static str,
    /// The line of the Dockerfile reference, in its section, that decides for us.
    pub(crate) decides: &'static str,
    applies: fn(&Difference<'_>) -> bool,
}

pub(crate) const KNOWN: &[Known] = &[];

/// Finds what explains a difference.
pub(crate) fn explanation(difference: &Difference<'_>) -> Option<&'static Known> {
    KNOWN.iter().find(|known| (known.applies)(difference))
}
