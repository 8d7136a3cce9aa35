//! What a step changed, found in whichever way the place allows. This module knows the ways there are.

use super::change::{Change, DiffError, Summary};
use super::overlay::OverlayDiff;
use super::scan::ScanDiff;

/// What a step changed.
#[derive(Debug, Clone, Copy)]
pub enum Diff<'a> {
    /// Read from the upper directory of an overlay.
    Overlay(OverlayDiff<'a>),
    /// Found by walking a plain directory.
    Scan(ScanDiff<'a>),
}

impl Diff<'_> {
    /// Gives every change to `visit` in the order of a layer's tar, and returns how many there were. Parents of a
    /// change come before it, with their own metadata, even where they did not change; the root never comes.
    pub fn visit<E: From<DiffError>>(
        &self,
        visit: impl FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<Summary, E> {
        match self {
            Self::Overlay(diff) => diff.visit(visit),
            Self::Scan(diff) => diff.visit(visit),
        }
    }
}

impl<'a> From<&OverlayDiff<'a>> for Diff<'a> {
    fn from(diff: &OverlayDiff<'a>) -> Self {
        Self::Overlay(*diff)
    }
}

impl<'a> From<&ScanDiff<'a>> for Diff<'a> {
    fn from(diff: &ScanDiff<'a>) -> Self {
        Self::Scan(*diff)
    }
}
