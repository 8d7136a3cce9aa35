//! A directory of `--build-context`: opened because a stage needs it, read as far as steps ask.
//!
//! Its files are treated as those of the build context: its own ignore file counts, and all of it is root's.

use std::path::Path;

use anyhow::Result;

use crate::context::BuildContext;

use super::BuildOptions;
use super::context_files::ContextFiles;
use super::input::open_context;

/// A directory that stands in for an image or a stage.
pub(super) struct NamedDir {
    pub(super) context: BuildContext,
    /// What RUNs see of it.
    pub(super) files: ContextFiles,
}

impl NamedDir {
    /// Opens the directory and reads its ignore file, nothing else.
    pub(super) fn open(path: &Path, options: &BuildOptions) -> Result<Self> {
        Ok(Self {
            context: open_context(path, options)?,
            files: ContextFiles::default(),
        })
    }
}
