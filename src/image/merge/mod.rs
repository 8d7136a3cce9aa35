//! Several layers as one: what they change together. What a later one has replaced or taken back never shows.
//!
//! The layers are read twice, as streams. [`Names::add_layer`] reads the names, [`compose`] writes for each the entry that
//! had the last word, in the order of every layer that we write. Of the layers below only names are read, and only where
//! something of them is hidden ([`Names::hides_something`]): a deletion stays where there is something to delete, and
//! nowhere else. An opaque directory becomes the deletions that it stands for, because overlayfs shows a mark beside
//! nothing as a broken name.
//!
//! Memory depends on the number of names, never on contents. This module knows layers, not stages, nor where blobs are.

mod compose;
mod error;
mod hidden;
mod names;
mod sources;
mod spool;

pub use compose::compose;
pub use error::{EntryProblem, MergeError};
pub use hidden::Hidden;
pub use names::Names;

#[cfg(test)]
mod tests;
