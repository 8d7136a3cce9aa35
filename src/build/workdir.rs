//! WORKDIR: where the next instructions work, created if it is not there.

use std::path::Path;

use anyhow::Result;

use crate::context::select::clean;
use crate::dockerfile::Span;
use crate::fs::create_dir_all;

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
            let user = builder.user(root, span)?;
            create_dir_all(root, &path, WORKDIR_MODE, (user.uid, user.gid)).map_err(|error| {
                let message = format!("cannot create the working directory `{text}`");
                builder.error(span, message).because(error)
            })?;
            Ok(())
        })?;
        Ok(true)
    }
}
