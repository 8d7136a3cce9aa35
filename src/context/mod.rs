//! Where the files of a build come from, and which of them take part.
//!
//! This room knows files and patterns. It must not know instructions, stages or registries.

pub mod digest;
mod dir;
pub mod dockerignore;
pub mod select;
pub mod with_parents;

pub use dir::{BuildContext, choose_by};
