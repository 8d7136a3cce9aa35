//! COPY and ADD: files of the context, a stage or an image into the stage's files.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::context::choose_by;
use crate::context::dockerignore::Ignore;
use crate::context::select::{SelectError, select};
use crate::dockerfile::{AddInstruction, CopyInstruction, InlineFile, Sources, Span};
use crate::fs::{
    Choice, CopyRules, Destination, Metadata, ModeChange, PathContext, PathError, Root, base_name,
    copy,
};

use super::LocatedError;
use super::owner::resolve_owner;
use super::plan::{FileSource, PlannedStep};
use super::stage::StageBuilder;

/// Mode of a file whose content is in the Dockerfile.
const INLINE_FILE_MODE: u32 = 0o644;

/// Name of such a file while it is on its way.
const INLINE_FILE: &str = "content";

/// Where files come from, and which of them take part.
pub(super) struct Origin<'a> {
    pub(super) root: &'a Root,
    choose: &'a dyn Fn(&Path, &Metadata) -> Choice,
    /// Whether this is the build context: owners are not taken over, and what is left out may be
    /// left out by an ignore file.
    is_context: bool,
}

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
    exclude: Option<Ignore>,
}

/// What COPY and ADD have in common.
struct Transfer<'a> {
    keyword: &'static str,
    sources: &'a Sources,
    from: &'a FileSource,
    chown: Option<&'a str>,
    chmod: Option<&'a str>,
    exclude: &'a [String],
    /// Whether a file that is an archive is unpacked.
    unpacks: bool,
}

impl Looks {
    /// Says what `--exclude` means for a path, relative to the source.
    fn choose(&self, relative: &Path, is_dir: bool) -> Choice {
        match &self.exclude {
            Some(exclude) => choose_by(exclude, relative, is_dir),
            None => Choice::Take,
        }
    }

    /// Says whether `--exclude` leaves a source out: one that is a file is filtered by its name.
    fn leaves_out_file(&self, root: &Root, path: &Path) -> Result<bool, PathError> {
        let is_file = root.metadata(path)?.is_some_and(|found| !found.is_dir());
        Ok(is_file && self.choose(Path::new(&base_name(path)), false) == Choice::Skip)
    }
}

impl StageBuilder<'_> {
    /// Executes a COPY.
    pub(super) fn copy(&mut self, copy: &CopyInstruction, step: &PlannedStep) -> Result<()> {
        let transfer = Transfer {
            keyword: "COPY",
            sources: &copy.sources,
            from: &step.source,
            chown: copy.chown.as_deref(),
            chmod: copy.chmod.as_deref(),
            exclude: &copy.exclude,
            unpacks: false,
        };
        self.transfer(&transfer, step.span)
    }

    /// Executes an ADD.
    pub(super) fn add(&mut self, add: &AddInstruction, step: &PlannedStep) -> Result<()> {
        let transfer = Transfer {
            keyword: "ADD",
            sources: &add.sources,
            from: &step.source,
            chown: add.chown.as_deref(),
            chmod: add.chmod.as_deref(),
            exclude: &add.exclude,
            unpacks: add.unpack.unwrap_or(true),
        };
        self.transfer(&transfer, step.span)
    }

    fn transfer(&mut self, transfer: &Transfer<'_>, span: Span) -> Result<()> {
        let destination = self.destination(&transfer.sources.destination);
        self.in_step(span, history(transfer), |builder, step| {
            let target = Target {
                root: step.root()?,
                path: &destination,
                span,
            };
            let looks = builder.looks(transfer, &target)?;
            builder.with_origin(transfer.from, |origin| {
                for pattern in &transfer.sources.paths {
                    for path in builder.select(origin, pattern, span)? {
                        if looks.leaves_out_file(origin.root, &path)? {
                            continue;
                        }
                        if transfer.unpacks
                            && builder.unpack_archive(origin, &path, &target, &looks)?
                        {
                            continue;
                        }
                        builder.copy_one(origin, &path, &target, &looks)?;
                    }
                }
                Ok(())
            })?;
            builder.write_inline_files(&transfer.sources.files, &target, &looks)
        })
    }

    /// Returns where files go: absolute, and with a slash at its end if it is a directory.
    fn destination(&self, written: &str) -> String {
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
    fn looks(&self, transfer: &Transfer<'_>, target: &Target<'_>) -> Result<Looks> {
        let (span, exclude) = (target.span, transfer.exclude);
        let owner = transfer
            .chown
            .map(|text| resolve_owner(target.root, text, "--chown"))
            .transpose();
        let owner =
            owner.map_err(|error| self.error(span, "cannot look up --chown").because(error))?;
        if let Some(owner) = &owner {
            self.warn(span, &owner.warnings);
        }
        let mode = transfer.chmod.map(|text| {
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
    fn with_origin(
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
            FileSource::Image(image) => self.workshop.view_layers(&image.layers)?,
        };
        work(&Origin {
            root: view.root(),
            choose: &everything,
            is_context: false,
        })
    }

    /// Returns the paths that one source names.
    fn select(
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
    fn copy_one(
        &self,
        origin: &Origin<'_>,
        path: &Path,
        target: &Target<'_>,
        looks: &Looks,
    ) -> Result<()> {
        let source = origin.root.resolve(path)?;
        let name = base_name(path);
        let choose = |inside: &Path, metadata: &Metadata| {
            let relative = inside.strip_prefix(&source).unwrap_or(inside);
            both(
                (origin.choose)(inside, metadata),
                looks.choose(relative, metadata.is_dir()),
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
fn history(transfer: &Transfer<'_>) -> String {
    let sources = transfer.sources;
    let mut words = vec![transfer.keyword.to_owned()];
    words.extend(transfer.chown.map(|chown| format!("--chown={chown}")));
    words.extend(transfer.chmod.map(|chmod| format!("--chmod={chmod}")));
    words.extend(sources.paths.iter().cloned());
    words.extend(sources.files.iter().map(|file| format!("<<{}", file.name)));
    words.push(sources.destination.clone());
    words.push("# buildkit".to_owned());
    words.join(" ")
}
