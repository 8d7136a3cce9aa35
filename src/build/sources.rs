//! The files that a COPY or an ADD takes: where they are looked up, which of them take part, and what they are by content.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache::inputs::SourceInputs;
use crate::context::digest::{DigestRules, digest};
use crate::context::dockerignore::Ignore;
use crate::context::select::{SelectError, clean, has_wildcards, select};
use crate::context::with_parents::{Wanted, select_with_parents};
use crate::context::{BuildContext, choose_by};
use crate::dockerfile::Span;
use crate::fs::{Choice, Metadata, PathError, Root, base_name};
use crate::image::Digest;

use super::LocatedError;
use super::action::Transfer;
use super::built::BuiltStages;
use super::mount_action::BindMount;
use super::plan::FileSource;
use super::remote_source::RemoteSource;
use super::remotes::cannot_fetch;
use super::similar_file::similar_file;
use super::workshop::Workshop;

/// Where files come from, and which of them take part.
pub(super) struct Origin<'a> {
    pub(super) root: &'a Root,
    choose: &'a dyn Fn(&Path, &Metadata) -> Choice,
    /// Whether this is a build context: owners are not taken over.
    pub(super) is_context: bool,
    /// That context, whose ignore file may have left something out.
    context: Option<&'a BuildContext>,
}

/// What one source names.
pub(super) struct Found {
    /// Relative to the origin's root.
    pub(super) paths: Vec<PathBuf>,
    pub(super) filter: Filter,
}

/// Which of what lies below a path takes part.
pub(super) struct Filter {
    /// What `--exclude` leaves out.
    excluded: Option<Ignore>,
    /// What a source with `--parents` means.
    wanted: Option<Wanted>,
}

impl Workshop {
    /// Hands the files that `source` means to `work`.
    pub(super) fn with_origin<T>(
        &self,
        built: &BuiltStages,
        source: &FileSource,
        work: impl FnOnce(&Origin<'_>) -> Result<T>,
    ) -> Result<T> {
        let everything = |_: &Path, _: &Metadata| Choice::Take;
        let view = match source {
            FileSource::Context => return with_context_files(&self.context, work),
            FileSource::Directory(named) => return with_context_files(&named.context, work),
            FileSource::Stage(index) => built[index].view(self)?,
            FileSource::Image(image) => self.view_layers(&image.layers)?,
        };
        work(&Origin {
            root: view.root(),
            choose: &everything,
            is_context: false,
            context: None,
        })
    }

    /// Returns what one source names.
    pub(super) fn find(
        &self,
        origin: &Origin<'_>,
        transfer: &Transfer,
        source: &str,
        span: Span,
    ) -> Result<Found> {
        let excluded = self.read_exclude(&transfer.exclude, span)?;
        if transfer.keeps_parents {
            let found = select_with_parents(origin.root, source, origin.choose);
            let found = found.map_err(|error| self.cannot_find(origin, error, span))?;
            let filter = Filter {
                excluded,
                wanted: Some(found.wanted),
            };
            let paths = found.dirs;
            return Ok(Found { paths, filter });
        }
        let is_pattern = has_wildcards(source.as_ref());
        let found = select(origin.root, source, origin.choose);
        let filter = Filter {
            excluded,
            wanted: None,
        };
        let mut paths = Vec::new();
        for path in found.map_err(|error| self.cannot_find(origin, error, span))? {
            if !filter.leaves_out(origin.root, &path, is_pattern)? {
                paths.push(path);
            }
        }
        Ok(Found { paths, filter })
    }

    /// Returns what `--exclude` alone leaves of files from the network.
    pub(super) fn filter(&self, exclude: &[String], span: Span) -> Result<Filter> {
        Ok(Filter {
            excluded: self.read_exclude(exclude, span)?,
            wanted: None,
        })
    }

    fn cannot_find(&self, origin: &Origin<'_>, error: SelectError, span: Span) -> LocatedError {
        let hint = match (&error, origin.context) {
            (SelectError::LeftOut(path), Some(context)) => context.why_ignored(path),
            (SelectError::NotFound(path), Some(context)) => {
                let similar = similar_file(origin.root, path, origin.choose);
                let root = context.root().outside_path(path);
                Some(format!("there is no `{}`{similar}", root.display()))
            }
            (SelectError::NotFound(path), None) => {
                let similar = similar_file(origin.root, path, origin.choose);
                (!similar.is_empty()).then(|| format!("there is no `{}`{similar}", path.display()))
            }
            (SelectError::BehindLink { .. }, _) => {
                Some("with --parents, links are not followed".to_owned())
            }
            (SelectError::LeftOut(_), None)
            | (
                SelectError::BadPattern { .. }
                | SelectError::BadParentsPattern { .. }
                | SelectError::Path(_),
                _,
            ) => None,
        };
        let error = self
            .text
            .error_at(span, "cannot find a source")
            .because(error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Reads `--exclude`.
    fn read_exclude(
        &self,
        patterns: &[String],
        span: Span,
    ) -> Result<Option<Ignore>, LocatedError> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let ignore = Ignore::from_patterns(patterns);
        let ignore = ignore.map_err(|error| {
            self.text
                .error_at(span, "cannot read --exclude")
                .because(error)
        })?;
        Ok(Some(ignore))
    }

    /// Returns what the sources are by content. Reads all files that take part; `remote` says it of those in the
    /// network.
    pub(super) fn content_of(
        &self,
        origin: &Origin<'_>,
        transfer: &Transfer,
        span: Span,
        remote: &dyn Fn(&RemoteSource) -> Result<SourceInputs>,
    ) -> Result<Vec<SourceInputs>> {
        let mut inputs = Vec::new();
        for source in &transfer.sources.paths {
            if let Some(remote_source) = transfer.remotes.get(source) {
                let found = remote(remote_source);
                let found =
                    found.map_err(|error| cannot_fetch(&self.text, span, remote_source, error));
                inputs.push(found?);
                continue;
            }
            let Found { paths, filter } = self.find(origin, transfer, source, span)?;
            for path in paths {
                let source = origin.root.resolve(&path)?;
                let is_dir = origin.root.metadata(&path)?.is_some_and(|it| it.is_dir());
                let rules = DigestRules {
                    choose: &|path, metadata| filter.choose(origin, &source, path, metadata),
                    keeps_owner: !origin.is_context && transfer.chown.is_none(),
                    keeps_xattr: origin.keeps_xattr(),
                    shows_itself: false,
                };
                inputs.push(SourceInputs::Content {
                    name: match is_dir {
                        true => OsString::new(),
                        false => base_name(&path),
                    },
                    digest: digest(origin.root, &path, &rules, &self.contents)?,
                });
            }
        }
        Ok(inputs)
    }

    /// Returns what a mount shows, by content. A source that is not there is told when the step is executed.
    pub(super) fn content_of_bind(
        &self,
        built: &BuiltStages,
        bind: &BindMount,
    ) -> Result<SourceInputs> {
        self.with_origin(built, &bind.from, |origin| {
            let path = clean(Path::new(&bind.source));
            let rules = DigestRules {
                choose: origin.choose,
                keeps_owner: !origin.is_context,
                keeps_xattr: origin.keeps_xattr(),
                shows_itself: true,
            };
            let digest = match origin.root.metadata(&path)? {
                Some(_) => digest(origin.root, &path, &rules, &self.contents)?,
                None => Digest::of(b"nothing"),
            };
            let name = OsString::new();
            Ok(SourceInputs::Content { name, digest })
        })
    }
}

/// Hands the files of a build context to `work`.
fn with_context_files<T>(
    context: &BuildContext,
    work: impl FnOnce(&Origin<'_>) -> Result<T>,
) -> Result<T> {
    work(&Origin {
        root: context.root(),
        choose: &|path, metadata| context.choose(path, metadata),
        is_context: true,
        context: Some(context),
    })
}

impl<'a> Origin<'a> {
    /// Files from the network. Nobody's owners are theirs, as with those of the context.
    pub(super) fn fetched(root: &'a Root) -> Self {
        Self {
            root,
            choose: &|_, _| Choice::Take,
            is_context: true,
            context: None,
        }
    }
}

impl Origin<'_> {
    /// Says which extended attributes of files are taken over: from the context capabilities only, the others are the
    /// building machine's.
    pub(super) fn keeps_xattr(&self) -> fn(&OsStr) -> bool {
        match self.is_context {
            true => is_capability,
            false => is_kept_xattr,
        }
    }
}

impl Filter {
    /// Says whether a path takes part; `source` is what it was found in.
    pub(super) fn choose(
        &self,
        origin: &Origin<'_>,
        source: &Path,
        path: &Path,
        metadata: &Metadata,
    ) -> Choice {
        let relative = path.strip_prefix(source).unwrap_or(path);
        let is_dir = metadata.is_dir();
        let wanted = match &self.wanted {
            Some(wanted) => wanted.choose(relative, is_dir),
            None => Choice::Take,
        };
        (origin.choose)(path, metadata)
            .and(self.choose_unless_excluded(relative, is_dir))
            .and(wanted)
    }

    /// Says whether a source is left out by its name: one that is a file, or that a wildcard has found (Dockerfile
    /// reference, "COPY --exclude").
    pub(super) fn leaves_out(
        &self,
        root: &Root,
        path: &Path,
        is_hit: bool,
    ) -> Result<bool, PathError> {
        let Some(metadata) = root.metadata(path)? else {
            return Ok(false);
        };
        let (name, is_dir) = (base_name(path), metadata.is_dir());
        let choice = self.choose_unless_excluded(Path::new(&name), is_dir);
        Ok((is_hit || !is_dir) && choice == Choice::Skip)
    }

    fn choose_unless_excluded(&self, relative: &Path, is_dir: bool) -> Choice {
        let choice = match &self.excluded {
            Some(ignore) => choose_by(ignore, relative, is_dir),
            None => Choice::Take,
        };
        match choice {
            // It is excluded itself, and only the way to what is not.
            Choice::Descend => Choice::Pass,
            Choice::Take | Choice::Skip | Choice::Pass => choice,
        }
    }
}

/// Says whether an extended attribute holds a capability.
pub(super) fn is_capability(key: &OsStr) -> bool {
    key == "security.capability"
}

/// Says whether an extended attribute is kept from a stage or an image.
fn is_kept_xattr(key: &OsStr) -> bool {
    let is_user = key.as_bytes().starts_with(b"user.");
    is_capability(key) || (is_user && !key.as_bytes().starts_with(b"user.overlay."))
}
