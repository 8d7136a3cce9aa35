//! WORKDIR: where the next instructions work, created if it is not there.

use std::path::Path;

use anyhow::Result;

use crate::context::select::clean;
use crate::dockerfile::Span;
use crate::fs::{Root, create_dir_all};

use super::owner::resolve_owner;
use super::stage::StageBuilder;

/// Mode of a directory that WORKDIR creates.
const WORKDIR_MODE: u32 = 0o755;

impl StageBuilder<'_> {
    /// Executes a WORKDIR; says whether it made a layer. `/` is always there.
    pub(super) fn workdir(&mut self, path: &str, span: Span) -> Result<bool> {
        let path = Path::new("/").join(clean(&Path::new(self.draft.working_dir()).join(path)));
        let text = path.to_string_lossy().into_owned();
        self.draft.config.config.working_dir.clone_from(&text);
        let created_by = format!("WORKDIR {text}");
        if path == Path::new("/") {
            self.draft.add_history(created_by);
            return Ok(false);
        }
        self.in_step(span, created_by, |builder, step| {
            let root = step.root()?;
            let owner = builder.workdir_owner(root, span)?;
            create_dir_all(root, &path, WORKDIR_MODE, owner).map_err(|error| {
                let message = format!("cannot create the working directory `{text}`");
                builder.error(span, message).because(error)
            })?;
            Ok(())
        })?;
        Ok(true)
    }

    /// Returns the owner of directories that WORKDIR creates: the stage's user, looked up as the owner
    /// of files is, because a file operation creates them.
    fn workdir_owner(&self, root: &Root, span: Span) -> Result<(u32, u32)> {
        let text = &self.draft.config.config.user;
        let owner = resolve_owner(root, text, "USER").map_err(|error| {
            self.error(span, format!("cannot look up the user `{text}`"))
                .because(error)
        })?;
        self.warn(span, &owner.warnings);
        Ok(owner.ids)
    }
}
