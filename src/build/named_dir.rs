//! A directory of `--build-context`: opened or fetched because a stage needs it, read as far as steps ask.
//!
//! Its files are treated as those of the build context: its own ignore file counts where it was not fetched, and all of
//! it is root's.

use std::path::Path;

use anyhow::Result;

use crate::context::BuildContext;

use crate::remote::Fetcher;
use crate::sandbox::Sandbox;

use super::context_files::ContextFiles;
use super::input::{nothing_ignored, open_context};
use super::remote_context::{keeps_git_dir, time_of};
use super::{BuildOptions, RemoteContext};

/// A directory that stands in for an image or a stage.
pub(super) struct NamedDir {
    pub(super) context: BuildContext,
    /// What RUNs see of it.
    pub(super) files: ContextFiles,
    /// When it was committed or, as the server says, changed, in seconds since 1970-01-01.
    told_time: Option<i64>,
}

impl NamedDir {
    /// Opens the directory and reads its ignore file, nothing else.
    pub(super) fn open(path: &Path, options: &BuildOptions) -> Result<Self> {
        Ok(Self {
            context: open_context(path, options)?,
            files: ContextFiles::default(),
            told_time: None,
        })
    }

    /// Fetches a repository's files, or one file, which is called `context` and not unpacked. Ignore files do not count in
    /// them (BuildKit frontend, "named contexts"). Blocks.
    pub(super) fn fetch(
        context: &RemoteContext,
        fetcher: &Fetcher,
        options: &BuildOptions,
        sandbox: &Sandbox,
    ) -> Result<Self> {
        let fetched = context.fetch(fetcher, keeps_git_dir(options), sandbox)?;
        let (ignore_path, ignore) = nothing_ignored()?;
        Ok(Self {
            context: BuildContext::new(fetched.root, ignore_path, ignore),
            files: ContextFiles::default(),
            told_time: fetched.told_time,
        })
    }

    /// Returns the time of one that was fetched, in seconds since 1970-01-01. Reads an archive.
    pub(super) fn time(&self) -> Result<Option<i64>> {
        time_of(self.context.root(), self.told_time)
    }
}
