//! WORKDIR: where the next instructions work, created if it is not there.

use std::path::Path;

use anyhow::Result;

use crate::dockerfile::Span;
use crate::fs::{Root, create_dir_all};

use super::action::Work;
use super::layers::StageLayer;
use super::owner::resolve_owner;
use super::stage::StageBuilder;

/// Mode of a directory that WORKDIR creates.
const WORKDIR_MODE: u32 = 0o755;

impl StageBuilder<'_> {
    /// Executes a WORKDIR.
    pub(super) fn workdir(&mut self, work: &Work, span: Span) -> Result<StageLayer> {
        let path = &work.working_dir;
        self.in_step(span, |builder, step| {
            let root = step.root()?;
            let owner = builder.workdir_owner(root, &work.user, span)?;
            create_dir_all(root, Path::new(path), WORKDIR_MODE, owner).map_err(|error| {
                let message = format!("cannot create the working directory `{path}`");
                builder.error(span, message).because(error)
            })?;
            Ok(())
        })
    }

    /// Returns the owner of directories that WORKDIR creates: the stage's user, looked up as the owner
    /// of files is, because a file operation creates them.
    fn workdir_owner(&self, root: &Root, user: &str, span: Span) -> Result<(u32, u32)> {
        let owner = resolve_owner(root, user, "USER").map_err(|error| {
            self.error(span, format!("cannot look up the user `{user}`"))
                .because(error)
        })?;
        self.warn(span, &owner.warnings);
        Ok(owner.ids)
    }
}
