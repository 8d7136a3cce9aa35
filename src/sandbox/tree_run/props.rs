//! What stands in a root directory for the time of one command.

use crate::fs::{PathError, Root};

use super::super::placed::{Placed, Wanted};
use super::super::{Inner, room};

/// Files that are taken back when this value goes.
pub(super) struct Props<'a> {
    root: &'a Root,
    placed: Option<Placed>,
}

impl<'a> Props<'a> {
    /// Puts `wanted` into `root`; what the image has there is set aside.
    pub(super) fn put(
        inner: &Inner,
        root: &'a Root,
        wanted: &[Wanted],
    ) -> Result<Self, PathError> {
        let placed = if wanted.is_empty() {
            None
        } else {
            let aside = inner.new_dir(room::ASIDE)?;
            let (room, number) = aside.split_once('/').unwrap_or((&aside, ""));
            let aside = inner
                .dir()
                .open_dir(room.as_ref())?
                .open_dir(number.as_ref())?;
            Some(Placed::put(root, wanted, &aside)?)
        };
        Ok(Self { root, placed })
    }

    /// Makes the root directory what it was.
    pub(super) fn take_back(mut self) -> Result<(), PathError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), PathError> {
        match self.placed.take() {
            Some(placed) => placed.take_back(self.root),
            None => Ok(()),
        }
    }
}

impl Drop for Props<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, source = %error.source, "a step's own files stay in the image");
        }
    }
}
