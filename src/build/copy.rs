//! COPY and ADD: files of the context, a stage or an image into the stage's files.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::dockerfile::{InlineFile, Span};
use crate::fs::{
    Choice, CopyRules, Destination, ModeChange, PathContext, PathError, Root, base_name, copy,
};

use super::action::Transfer;
use super::layers::StageLayer;
use super::linked::LinkedFiles;
use super::owner::resolve_owner;
use super::sources::{Filter, Origin, is_capability};
use super::stage::StageBuilder;

/// Mode of a file whose content is in the Dockerfile.
const INLINE_FILE_MODE: u32 = 0o644;

/// Name of such a file while it is on its way.
const INLINE_FILE: &str = "content";

/// Where files go.
pub(super) struct Target<'a> {
    pub(super) root: &'a Root,
    /// Absolute path inside the root, with a slash at its end if it is a directory.
    pub(super) path: &'a str,
    /// Lines of the instruction, for messages.
    pub(super) span: Span,
}

impl Target<'_> {
    pub(super) fn destination(&self) -> Destination<'_> {
        Destination {
            path: Path::new(self.path),
            is_directory: self.path.ends_with('/'),
        }
    }
}

/// How the copies look, apart from where they come from.
pub(super) struct Looks {
    pub(super) owner: Option<(u32, u32)>,
    mode: Option<ModeChange>,
}

impl StageBuilder<'_> {
    /// Executes a COPY or an ADD.
    pub(super) fn transfer(&mut self, transfer: &Transfer, span: Span) -> Result<StageLayer> {
        self.in_step(span, |builder, step| {
            builder.transfer_to(step.root()?, transfer, span)
        })
    }

    /// Executes a COPY or an ADD with `--link`: on no files, as BuildKit's frontend does (`convert_copy.go`), so that no
    /// link of the stage is followed. The layer is put on top of the stage's files as one of an image would be.
    pub(super) fn link(&mut self, transfer: &Transfer, span: Span) -> Result<StageLayer> {
        let files = LinkedFiles::new(self.workshop.sandbox())?;
        self.transfer_to(&files.root, transfer, span)?;
        self.put_on_top(files, span)
    }

    fn transfer_to(&self, root: &Root, transfer: &Transfer, span: Span) -> Result<()> {
        let target = Target {
            root,
            path: &transfer.destination,
            span,
        };
        let looks = self.looks(transfer, &target)?;
        self.workshop
            .with_origin(self.built, &transfer.from, |origin| {
                self.copy_all(origin, transfer, &target, &looks)
            })?;
        self.write_inline_files(&transfer.sources.files, &target, &looks)
    }

    fn copy_all(
        &self,
        origin: &Origin<'_>,
        transfer: &Transfer,
        target: &Target<'_>,
        looks: &Looks,
    ) -> Result<()> {
        for source in &transfer.sources.paths {
            if let Some(remote) = transfer.remotes.get(source) {
                self.add_remote(remote, transfer, target, looks)?;
                continue;
            }
            let found = self.workshop.find(origin, transfer, source, target.span)?;
            for path in &found.paths {
                if transfer.unpacks && self.unpack_archive(origin, path, target, looks)? {
                    continue;
                }
                self.copy_one(origin, &found.filter, path, target, looks)?;
            }
        }
        Ok(())
    }

    /// Works out `--chown` and `--chmod`.
    fn looks(&self, transfer: &Transfer, target: &Target<'_>) -> Result<Looks> {
        let span = target.span;
        let owner = transfer
            .chown
            .as_deref()
            .map(|text| resolve_owner(target.root, text, "--chown"))
            .transpose();
        let owner =
            owner.map_err(|error| self.error(span, "cannot look up --chown").because(error))?;
        if let Some(owner) = &owner {
            self.warn(span, &owner.warnings);
        }
        let mode = transfer.chmod.as_deref().map(read_chmod).transpose();
        Ok(Looks {
            owner: owner.map(|owner| owner.ids),
            mode: mode.map_err(|error| self.error(span, error))?,
        })
    }

    /// Copies one file, or the contents of one directory.
    pub(super) fn copy_one(
        &self,
        origin: &Origin<'_>,
        filter: &Filter,
        path: &Path,
        target: &Target<'_>,
        looks: &Looks,
    ) -> Result<()> {
        let source = origin.root.resolve(path)?;
        let name = base_name(path);
        let rules = CopyRules {
            owner: looks.owner.or(origin.is_context.then_some((0, 0))),
            mode: looks.mode.as_ref(),
            keeps_xattr: origin.keeps_xattr(),
            choose: &|path, metadata| filter.choose(origin, &source, path, metadata),
        };
        copy(
            origin.root,
            path,
            &name,
            target.root,
            target.destination(),
            &rules,
        )
        .map_err(|error| {
            let message = format!("cannot copy `/{}` to `{}`", path.display(), target.path);
            self.error(target.span, message).because(error).into()
        })
    }

    /// Writes the files whose content is in the Dockerfile.
    fn write_inline_files(
        &self,
        files: &[InlineFile],
        target: &Target<'_>,
        looks: &Looks,
    ) -> Result<()> {
        for file in files {
            let failed = |error: PathError| {
                let message = format!("cannot write `{}` to `{}`", file.name, target.path);
                self.error(target.span, message).because(error)
            };
            let rules = CopyRules {
                owner: looks.owner.or(Some((0, 0))),
                mode: looks.mode.as_ref(),
                keeps_xattr: is_capability,
                choose: &|_, _| Choice::Take,
            };
            let scratch = self.workshop.scratch_dir();
            let temp = tempfile::tempdir_in(&scratch).on("create a directory in", &scratch);
            let temp = temp.map_err(failed)?;
            let root = write_content(temp.path(), &file.content).map_err(failed)?;
            let (path, name) = (Path::new(INLINE_FILE), OsStr::new(&file.name));
            copy(&root, path, name, target.root, target.destination(), &rules).map_err(failed)?;
        }
        Ok(())
    }
}

/// Reads `--chmod`, or says in BuildKit's words what is wrong with it.
pub(super) fn read_chmod(text: &str) -> Result<ModeChange, String> {
    ModeChange::parse(text).ok_or_else(|| {
        format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        )
    })
}

/// Writes the content of an inline file into the empty directory `dir`, under a name of ours: its own
/// name is a word of the Dockerfile.
fn write_content(dir: &Path, content: &str) -> Result<Root, PathError> {
    let root = Root::open(dir)?;
    let name = OsStr::new(INLINE_FILE);
    let mut file = root.dir().create_file(name, INLINE_FILE_MODE)?;
    file.write_all(content.as_bytes())
        .on("write", root.dir().path_of(name))?;
    // Whatever the umask is.
    root.dir().set_mode(name, INLINE_FILE_MODE)?;
    Ok(root)
}
