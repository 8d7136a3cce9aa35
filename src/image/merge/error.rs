//! Why layers cannot be made one.

use std::io;

use thiserror::Error;

use crate::fs::PathError;
use crate::image::archive::{ArchiveError, display};
use crate::image::layer_writer::LayerError;
use crate::image::unpack::EntryError;

/// Why layers cannot be made one.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A layer is no sound tar archive, or could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A layer has something that no layer of a build has.
    #[error("cannot take over the layer entry `{entry}`")]
    Entry {
        /// Its name as the layer has it.
        entry: String,
        /// Why.
        #[source]
        source: EntryProblem,
    },
    /// A layer cannot be read for the second time.
    #[error("cannot read a layer again")]
    Open(#[source] io::Error),
    /// A layer was another one when it was read for the second time.
    #[error("a layer changed while it was read")]
    Changed,
    /// Contents that are needed later cannot be put aside.
    #[error(transparent)]
    Aside(#[from] PathError),
    /// The one layer cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl MergeError {
    pub(super) fn entry(name: &[u8], source: impl Into<EntryProblem>) -> Self {
        Self::Entry {
            entry: display(name),
            source: source.into(),
        }
    }
}

/// What is wrong with an entry.
#[derive(Debug, Error)]
pub enum EntryProblem {
    /// No file can be made of it.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Each of our layers describes the directories of all that it has.
    #[error("its layer does not have its directory before it")]
    NoDirectory,
    /// A hard link to nothing that the layers have.
    #[error("the target `{target}` of the hard link is no file of these layers")]
    NoLinkTarget {
        /// The target as the layer has it.
        target: String,
    },
    /// None of our layers has holes.
    #[error("it is stored with holes")]
    Sparse,
}
