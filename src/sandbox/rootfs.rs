//! The root directory of a stage: a stack of layers.
//!
//! A stage that begins FROM another one shares its layers; nothing is copied.

use std::path::Path;
use std::sync::Arc;

use crate::fs::{Dir, PathError};

use super::overlay::OverlayError;
use super::overlay_step::OverlayStep;
use super::view::View;
use super::{Inner, Sandbox};

/// A directory in which a layer lies, in overlayfs's own form. Kept until the sandbox closes, unless it lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDir {
    /// Relative to the work directory: the directory, or a link to it.
    name: Arc<str>,
    path: Arc<Path>,
}

impl LayerDir {
    /// Wraps a directory that exists.
    pub(super) fn at(name: &str, work: &Path) -> Self {
        Self {
            name: name.into(),
            path: work.join(name).into(),
        }
    }

    /// Wraps a directory that lies elsewhere, to which `name` is a link.
    pub(super) fn elsewhere(name: &str, path: &Path) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
        }
    }

    /// Returns its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it.
    pub fn open(&self) -> Result<Dir, PathError> {
        Dir::open(&self.path)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Why a root directory could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A file operation in the work directory failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The layers could not be mounted.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// Something that a step asked for could not be mounted.
    #[error("cannot mount {what} for the step")]
    Mount {
        /// What it is.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// Without mounts, a directory is in one place only.
    #[error("cannot mount `{}` for the step: without mounts, one cache can be in one place only", .0.display())]
    Twice(std::path::PathBuf),
    /// In the container's own root directory, its mounts cannot be moved.
    #[error("cannot mount `{}` for the step: a mount of this container is there", .0.display())]
    OwnMount(std::path::PathBuf),
    /// Something that must be shown to a step cannot be: the image has something else there.
    #[error("cannot show `{}` to the step: the image has {found} there", target.display())]
    Target {
        /// The path inside the image.
        target: std::path::PathBuf,
        /// What is there: "a directory", "a file".
        found: &'static str,
    },
}

/// Makes a directory look as another.
pub(super) fn copy_root(from: &Dir, to: &Dir) -> Result<(), PathError> {
    let metadata = from.metadata()?;
    to.set_own_owner(metadata.uid, metadata.gid)?;
    to.set_own_mode(metadata.mode)?;
    to.set_own_mtime(metadata.mtime)
}

/// The root directory of a stage. A clone is another stage that starts with the same layers.
#[derive(Debug, Clone)]
pub struct Rootfs {
    inner: Arc<Inner>,
    /// Bottom first.
    layers: Vec<LayerDir>,
    view: Option<Arc<View>>,
}

impl Rootfs {
    /// Makes an empty root directory, as FROM scratch has it.
    pub fn new(sandbox: &Sandbox) -> Self {
        Self {
            inner: Arc::clone(&sandbox.inner),
            layers: Vec::new(),
            view: None,
        }
    }

    /// Puts a layer on top. Its directory must not be written to any more.
    pub fn push_layer(&mut self, layer: LayerDir) {
        self.layers.push(layer);
        self.view = None;
    }

    /// Puts a directory of files on top, as [`Self::push_layer`] does; the root directory itself looks as before.
    pub fn push_files(&mut self, files: LayerDir) -> Result<(), PathError> {
        if let Some(top) = self.layers.last() {
            // The merged root directory looks as the topmost layer's.
            copy_root(&top.open()?, &files.open()?)?;
        }
        self.push_layer(files);
        Ok(())
    }

    /// Returns the number of layers, steps included.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Returns the whole tree as it is now, read-only; it stays so whatever later steps do. Mounted
    /// at the first call after a change.
    pub fn view(&mut self) -> Result<Arc<View>, RootfsError> {
        if let Some(view) = &self.view {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(View::mount(&self.inner, &self.layers)?);
        self.view = Some(Arc::clone(&view));
        Ok(view)
    }

    /// Begins a step: from here on, changes are kept apart until it is frozen or discarded.
    pub fn begin_step(&mut self) -> Result<OverlayStep<'_>, RootfsError> {
        OverlayStep::begin(self)
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Returns the layers, bottom first.
    pub fn layers(&self) -> &[LayerDir] {
        &self.layers
    }
}
