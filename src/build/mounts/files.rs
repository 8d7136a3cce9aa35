//! `RUN --mount=type=bind`: finding the files.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::context::BuildContext;
use crate::context::select::clean;
use crate::dockerfile::Span;
use crate::fs::Root;
use crate::sandbox::{FileTree, Shown};

use super::super::context_files::ContextFiles;
use super::super::files::StageView;
use super::super::mount_action::BindMount;
use super::super::plan::FileSource;
use super::super::stage::StageBuilder;
use super::RunMounts;

impl StageBuilder<'_> {
    pub(super) fn bind(
        &self,
        found: &mut RunMounts<'_>,
        bind: &BindMount,
        span: Span,
    ) -> Result<()> {
        let (tree, view) = self.files_of(&bind.from, &bind.source, span)?;
        found.views.extend(view);
        found.show(&bind.target, Shown::Lent(tree), bind.read_only);
        Ok(())
    }

    /// Finds `path` in what `from` means. The files are there as long as the view is.
    pub(super) fn files_of(
        &self,
        from: &FileSource,
        path: &str,
        span: Span,
    ) -> Result<(FileTree, Option<StageView>)> {
        let workshop = self.workshop;
        // As BuildKit: nothing leads above the source.
        let path = clean(Path::new(path));
        let view = match from {
            FileSource::Context => {
                let (files, context) = (&workshop.context_files, &workshop.context);
                return Ok((self.context_tree(files, context, &path, span)?, None));
            }
            FileSource::Directory(named) => {
                let (files, context) = (&named.files, &named.context);
                return Ok((self.context_tree(files, context, &path, span)?, None));
            }
            FileSource::Stage(index) => self.built[index].view(workshop)?,
            FileSource::Image(image) => workshop.view_layers(&image.layers)?,
        };
        let root = Root::from_dir(view.root().dir().try_clone()?);
        let tree = FileTree::find(Arc::new(root), &path)?;
        let tree = tree.ok_or_else(|| self.no_source(&path, span))?;
        Ok((tree, Some(view)))
    }

    /// Finds `path` in a build context.
    fn context_tree(
        &self,
        files: &ContextFiles,
        context: &BuildContext,
        path: &Path,
        span: Span,
    ) -> Result<FileTree> {
        let tree = files.find(context, self.workshop.sandbox(), path)?;
        tree.ok_or_else(|| self.no_context_file(context, path, span))
    }

    fn no_context_file(&self, context: &BuildContext, path: &Path, span: Span) -> anyhow::Error {
        let hint = context.why_ignored(path).unwrap_or_else(|| {
            let outside = context.root().outside_path(path);
            format!("there is no `{}`", outside.display())
        });
        let message = missing(path);
        self.error(span, message).hint(hint).into()
    }

    fn no_source(&self, path: &Path, span: Span) -> anyhow::Error {
        self.error(span, missing(path)).into()
    }
}

fn missing(path: &Path) -> String {
    format!(
        "cannot mount `/{}`: not found in the source",
        path.display()
    )
}
