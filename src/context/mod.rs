//! Where the files of a build come from.

pub mod dockerignore;
pub mod glob;
