//! A stack of layers as one tree that nobody can write to.

use std::ffi::OsStr;
use std::sync::Arc;

use crate::fs::Root;

use super::overlay::{self, Overlay};
use super::rootfs::{LayerDir, RootfsError};
use super::{Inner, room};

/// A merged, read-only tree. Unmounted when the last handle goes.
#[derive(Debug)]
pub struct View {
    inner: Arc<Inner>,
    target: String,
    /// `None` only while the value is dropped: the mount must not be in use when it goes.
    root: Option<Root>,
}

impl View {
    /// Mounts `layers`, bottom first. An empty stack is an empty tree.
    pub(super) fn mount(inner: &Arc<Inner>, layers: &[LayerDir]) -> Result<Self, RootfsError> {
        let target = inner.new_dir(room::MERGED)?;
        let mut view = Self {
            inner: Arc::clone(inner),
            target,
            root: None,
        };
        let overlay = Overlay {
            lower: &lower_names(layers, 2),
            upper: None,
            target: &view.target,
        };
        inner.mount(&overlay)?;
        view.root = Some(open_merged(inner, &view.target)?);
        Ok(view)
    }

    /// Returns the tree.
    pub fn root(&self) -> &Root {
        self.root.as_ref().expect("only taken when dropped")
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.root = None;
        if let Err(error) = overlay::unmount(self.inner.dir(), &self.target) {
            tracing::warn!(%error, source = %error.source, "a view stays mounted");
        }
    }
}

/// Returns the directories of `layers`, bottom first, on top of as many empty ones as it takes to be
/// at least `at_least`.
pub(super) fn lower_names(layers: &[LayerDir], at_least: usize) -> Vec<String> {
    let missing = at_least.saturating_sub(layers.len());
    let empty = (0..missing).map(|number| format!("{}/{number}", room::EMPTY));
    let layers = layers.iter().map(|layer| layer.name().to_owned());
    empty.chain(layers).collect()
}

/// Opens what was mounted on `target`, a name relative to the work directory.
pub(super) fn open_merged(inner: &Inner, target: &str) -> Result<Root, RootfsError> {
    let mut dir = inner.dir().try_clone()?;
    for name in target.split('/') {
        dir = dir.open_dir(OsStr::new(name))?;
    }
    Ok(Root::from_dir(dir))
}
