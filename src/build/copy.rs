//! COPY: files of the context, a stage or an image into the stage's files.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::context::choose_by;
use crate::context::dockerignore::Ignore;
use crate::context::select::{SelectError, select};
use crate::dockerfile::{CopyInstruction, InlineFile, Sources, Span};
use crate::fs::{
    Choice, CopyRules, Destination, Metadata, ModeChange, PathContext, PathError, Root, base_name,
    copy,
};

use super::owner::resolve_owner;
use super::plan::{FileSource, PlannedStep};
use super::stage::StageBuilder;
use super::{Event, LocatedError};

/// Mode of a file whose content is in the Dockerfile.
const INLINE_FILE_MODE: u32 = 0o644;

/// Name of such a file while it is on its way.
const INLINE_FILE: &str = "content";

/// Where files come from, and which of them take part.
pub(super) struct Origin<'a> {
    pub(super) root: &'a Root,
    pub(super) choose: &'a dyn Fn(&Path, &Metadata) -> Choice,
    /// Whether this is the build context: owners are not taken over, and what is left out may be
    /// left out by an ignore file.
    pub(super) is_context: bool,
}

/// How the copies look, apart from where they come from.
pub(super) struct Looks {
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<ModeChange>,
    pub(super) exclude: Option<Ignore>,
}

impl StageBuilder<'_> {
    /// Executes a COPY.
    pub(super) fn copy(&mut self, instruction: &CopyInstruction, step: &PlannedStep) -> Result<()> {
        let span = step.span;
        let created_by = history(
            "COPY",
            instruction.chown.as_deref(),
            instruction.chmod.as_deref(),
            &instruction.sources,
        );
        let destination = self.destination(&instruction.sources.destination);
        self.in_step(span, created_by, |builder, step_files| {
            let target = step_files.root()?;
            let looks = builder.looks(
                target,
                instruction.chown.as_deref(),
                instruction.chmod.as_deref(),
                &instruction.exclude,
                span,
            )?;
            builder.with_origin(&step.source, |origin| {
                for path in &instruction.sources.paths {
                    for found in builder.select(origin, path, span)? {
                        builder.copy_one(origin, &found, target, &destination, &looks, span)?;
                    }
                }
                Ok(())
            })?;
            builder.write_inline_files(
                &instruction.sources.files,
                target,
                &destination,
                &looks,
                span,
            )
        })
    }

    /// Returns where files go: absolute, and with a slash at its end if it is a directory.
    pub(super) fn destination(&self, written: &str) -> String {
        let is_directory = written.is_empty()
            || written == "."
            || written.ends_with('/')
            || written.ends_with("/.");
        let joined = Path::new(self.draft.working_dir()).join(written);
        let mut path = joined.to_string_lossy().into_owned();
        if is_directory && !path.ends_with('/') {
            path.push('/');
        }
        path
    }

    /// Works out `--chown`, `--chmod` and `--exclude`.
    pub(super) fn looks(
        &self,
        target: &Root,
        chown: Option<&str>,
        chmod: Option<&str>,
        exclude: &[String],
        span: Span,
    ) -> Result<Looks> {
        let owner = chown.map(|text| resolve_owner(target, text)).transpose();
        let owner =
            owner.map_err(|error| self.error(span, "cannot look up --chown").because(error))?;
        for warning in owner.iter().flat_map(|owner| &owner.warnings) {
            self.workshop.report(Event::Warning(warning));
        }
        let mode = chmod.map(|text| {
            ModeChange::parse(text).ok_or_else(|| {
                let message = format!(
                    "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
                );
                self.error(span, message)
            })
        });
        let exclude = if exclude.is_empty() {
            None
        } else {
            let patterns = Ignore::from_patterns(exclude);
            Some(
                patterns
                    .map_err(|error| self.error(span, "cannot read --exclude").because(error))?,
            )
        };
        Ok(Looks {
            owner: owner.map(|owner| owner.ids),
            mode: mode.transpose()?,
            exclude,
        })
    }

    /// Hands the files that `source` means to `work`.
    pub(super) fn with_origin(
        &self,
        source: &FileSource,
        work: impl FnOnce(&Origin<'_>) -> Result<()>,
    ) -> Result<()> {
        let everything = |_: &Path, _: &Metadata| Choice::Take;
        let view = match source {
            FileSource::Context => {
                let context = &self.workshop.context;
                return work(&Origin {
                    root: context.root(),
                    choose: &|path, metadata| context.choose(path, metadata),
                    is_context: true,
                });
            }
            FileSource::Stage(index) => self.built[index].view(self.workshop)?,
            FileSource::Image(image) => self.workshop.open_layers(&image.layers)?.view()?,
        };
        work(&Origin {
            root: view.root(),
            choose: &everything,
            is_context: false,
        })
    }

    /// Returns the paths that one source names.
    pub(super) fn select(
        &self,
        origin: &Origin<'_>,
        pattern: &str,
        span: Span,
    ) -> Result<Vec<PathBuf>, LocatedError> {
        select(origin.root, pattern, origin.choose).map_err(|error| {
            let hint = match &error {
                SelectError::LeftOut(path) if origin.is_context => {
                    self.workshop.context.why_ignored(path)
                }
                SelectError::NotFound(path) if origin.is_context => {
                    let root = origin.root.outside_path(path);
                    Some(format!("there is no `{}`", root.display()))
                }
                SelectError::LeftOut(_)
                | SelectError::NotFound(_)
                | SelectError::BadPattern { .. }
                | SelectError::Path(_) => None,
            };
            let error = self.error(span, "cannot find a source").because(error);
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }

    /// Copies one file, or the contents of one directory.
    pub(super) fn copy_one(
        &self,
        origin: &Origin<'_>,
        path: &Path,
        target: &Root,
        destination: &str,
        looks: &Looks,
        span: Span,
    ) -> Result<()> {
        // `--exclude` counts from the source; a file that is a source itself is filtered by its name.
        let excludes = |relative: &Path, metadata: &Metadata| match &looks.exclude {
            Some(exclude) => choose_by(exclude, relative, metadata.is_dir()),
            None => Choice::Take,
        };
        let source = origin.root.resolve(path)?;
        let is_dir = origin
            .root
            .metadata(&source)?
            .is_some_and(|found| found.is_dir());
        let name = base_name(path);
        if !is_dir
            && let Some(metadata) = origin.root.symlink_metadata(&source)?
            && excludes(Path::new(&name), &metadata) == Choice::Skip
        {
            return Ok(());
        }
        let choose = |inside: &Path, metadata: &Metadata| {
            let relative = inside.strip_prefix(&source).unwrap_or(inside);
            both(
                (origin.choose)(inside, metadata),
                excludes(relative, metadata),
            )
        };
        let rules = CopyRules {
            owner: looks.owner.or(origin.is_context.then_some((0, 0))),
            mode: looks.mode.as_ref(),
            keeps_xattr: if origin.is_context {
                is_capability
            } else {
                is_kept_xattr
            },
            choose: &choose,
        };
        copy(
            origin.root,
            path,
            &name,
            target,
            as_destination(destination),
            &rules,
        )
        .map_err(|error| {
            let message = format!("cannot copy `/{}` to `{destination}`", path.display());
            self.error(span, message).because(error).into()
        })
    }

    /// Writes the files whose content is in the Dockerfile.
    pub(super) fn write_inline_files(
        &self,
        files: &[InlineFile],
        target: &Root,
        destination: &str,
        looks: &Looks,
        span: Span,
    ) -> Result<()> {
        for file in files {
            let failed = |error: PathError| {
                let message = format!("cannot write `{}` to `{destination}`", file.name);
                self.error(span, message).because(error)
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
            copy(
                &root,
                path,
                name,
                target,
                as_destination(destination),
                &rules,
            )
            .map_err(failed)?;
        }
        Ok(())
    }
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

/// Joins what two filters say.
fn both(first: Choice, second: Choice) -> Choice {
    match (first, second) {
        (Choice::Skip, _) | (_, Choice::Skip) => Choice::Skip,
        (Choice::Descend, _) | (_, Choice::Descend) => Choice::Descend,
        (Choice::Take, Choice::Take) => Choice::Take,
    }
}

pub(super) fn as_destination(text: &str) -> Destination<'_> {
    Destination {
        path: Path::new(text),
        is_directory: text.ends_with('/'),
    }
}

/// Says whether an extended attribute is kept from the local context: capabilities only, the others
/// are the building machine's.
fn is_capability(key: &OsStr) -> bool {
    key == "security.capability"
}

/// Says whether an extended attribute is kept from a stage or an image.
fn is_kept_xattr(key: &OsStr) -> bool {
    let is_user = key.as_bytes().starts_with(b"user.");
    is_capability(key) || (is_user && !key.as_bytes().starts_with(b"user.overlay."))
}

/// Returns what the history says of a COPY or ADD.
pub(super) fn history(
    keyword: &str,
    chown: Option<&str>,
    chmod: Option<&str>,
    sources: &Sources,
) -> String {
    let mut words = vec![keyword.to_owned()];
    words.extend(chown.map(|chown| format!("--chown={chown}")));
    words.extend(chmod.map(|chmod| format!("--chmod={chmod}")));
    words.extend(sources.paths.iter().cloned());
    words.extend(sources.files.iter().map(|file| format!("<<{}", file.name)));
    words.push(sources.destination.clone());
    words.push("# buildkit".to_owned());
    words.join(" ")
}
