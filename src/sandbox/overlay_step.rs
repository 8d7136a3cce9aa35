//! A step in a stack of layers: an overlay mount whose changes are kept apart, until they are frozen
//! into a layer.
//!
//! Each mount gets a fresh upper and work directory, because a volatile overlay cannot be mounted
//! twice and because the upper directory is the step's diff.

use std::sync::Arc;

use crate::fs::{PathError, Root};
use crate::image::OverlayXattrs;

use super::command::{Command, Exit, Stream};
use super::mounts;
use super::overlay::{self, Overlay};
use super::places::{MissingPoint, Places};
use super::rootfs::{LayerDir, Rootfs, RootfsError, copy_root};
use super::run::{self, RunError};
use super::staging::Staging;
use super::stop::Stop;
use super::view::{View, lower_names, open_merged};
use super::{Inner, room, stubs};

/// A root directory that can be written to and run commands in. Dropped, it is discarded.
#[derive(Debug)]
pub struct OverlayStep<'a> {
    rootfs: &'a mut Rootfs,
    inner: Arc<Inner>,
    below: Arc<View>,
    upper: LayerDir,
    merged: Option<Merged>,
    is_frozen: bool,
}

/// What a step changed. It no longer changes, and can be read while later steps run.
#[derive(Debug)]
pub struct FrozenStep {
    /// What overlayfs wrote: new and changed files, and marks for deleted ones.
    pub upper: Root,
    /// Everything below the step, as it was before.
    pub lower: Arc<View>,
    /// In which attributes `upper` has its marks.
    pub xattrs: OverlayXattrs,
}

impl<'a> OverlayStep<'a> {
    pub(super) fn begin(rootfs: &'a mut Rootfs) -> Result<Self, RootfsError> {
        let below = rootfs.view()?;
        let inner = Arc::clone(rootfs.inner());
        let upper = inner.new_layer_dir()?;
        let step = Self {
            rootfs,
            inner,
            below,
            upper,
            merged: None,
            is_frozen: false,
        };
        // The merged root directory looks as the topmost layer's.
        copy_root(step.below.root().dir(), &step.upper.open()?)?;
        Ok(step)
    }

    /// Returns the tree to read and write. It has exactly the image's files: the mount points that
    /// commands need are not in it.
    pub fn root(&mut self) -> Result<&Root, RootfsError> {
        let is_plain = self
            .merged
            .as_ref()
            .is_some_and(|merged| merged.stubs.is_none());
        if !is_plain {
            self.remount(None)?;
        }
        Ok(self.merged.as_ref().expect("mounted just now").root())
    }

    /// Runs `command` and waits for it. What it prints goes to `output`, on this thread, in pieces
    /// as they come. When this returns, no process of it is left.
    pub fn run(
        &mut self,
        command: &Command,
        stop: &Stop,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Exit, RunError> {
        let files = mounts::shown_files(&self.inner, command);
        if self.merged.is_some() {
            // Something may have been written: look at the tree as it is now.
            self.root()?;
        }
        let base = self.merged.as_ref().map_or(self.below.root(), Merged::root);
        let places = Places::find(base, &files, mounts::NETWORK_FILES)?;
        let inner = Arc::clone(&self.inner);
        let staging = Staging::prepare(&inner, base, &places, &command.mounts)?;
        let missing = [places.missing.as_slice(), staging.missing()].concat();
        let stubs = self.make_stubs(base, &missing)?;
        if stubs.is_some() || self.merged.is_none() {
            self.remount(stubs)?;
        }
        let root = self.merged.as_ref().expect("mounted above").root();
        run::run(&self.inner, root, &places, &staging, command, stop, output)
    }

    /// Ends the step: its changes become the top layer of the root directory.
    pub fn freeze(mut self) -> Result<FrozenStep, RootfsError> {
        self.unmount()?;
        let upper = Root::from_dir(self.upper.open()?);
        self.is_frozen = true;
        self.rootfs.push_layer(self.upper.clone());
        Ok(FrozenStep {
            upper,
            lower: Arc::clone(&self.below),
            xattrs: self.inner.overlay().xattrs,
        })
    }

    /// Ends the step without a trace: the root directory is what it was before.
    pub fn discard(self) {
        drop(self);
    }

    /// Makes a layer of mount points; `None` if nothing is missing.
    fn make_stubs(
        &self,
        base: &Root,
        missing: &[MissingPoint],
    ) -> Result<Option<LayerDir>, RootfsError> {
        if missing.is_empty() {
            return Ok(None);
        }
        let stubs = LayerDir::at(&self.inner.new_dir(room::STUBS)?, self.inner.dir().path());
        stubs::fill(&stubs.open()?, base, missing)?;
        Ok(Some(stubs))
    }

    /// Mounts the step's tree, with `stubs` below the changes.
    fn remount(&mut self, stubs: Option<LayerDir>) -> Result<(), RootfsError> {
        self.unmount()?;
        let mut lower = lower_names(self.rootfs.layers(), 1);
        lower.extend(stubs.iter().map(|stubs| stubs.name().to_owned()));
        let merged = Merged::mount(&self.inner, &lower, self.upper.name(), stubs)?;
        self.merged = Some(merged);
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), PathError> {
        match self.merged.take() {
            Some(mut merged) => merged.unmount(),
            None => Ok(()),
        }
    }
}

impl Drop for OverlayStep<'_> {
    fn drop(&mut self) {
        if self.is_frozen {
            return;
        }
        let outcome = self
            .unmount()
            .and_then(|()| self.inner.remove_dir(self.upper.name()));
        if let Err(error) = outcome {
            tracing::warn!(%error, source = %error.source, "a discarded step's files stay");
        }
    }
}

/// A mounted overlay that can be written to.
#[derive(Debug)]
struct Merged {
    inner: Arc<Inner>,
    /// The mount point, relative to the work directory.
    target: String,
    /// `None` only after unmounting: the mount must not be in use when it goes.
    root: Option<Root>,
    stubs: Option<LayerDir>,
}

impl Merged {
    fn mount(
        inner: &Arc<Inner>,
        lower: &[String],
        upper: &str,
        stubs: Option<LayerDir>,
    ) -> Result<Self, RootfsError> {
        let mut merged = Self {
            inner: Arc::clone(inner),
            target: inner.new_dir(room::MERGED)?,
            root: None,
            stubs,
        };
        let work = inner.new_dir(room::WORK)?;
        inner.mount(&Overlay {
            lower,
            upper: Some((upper, &work)),
            target: &merged.target,
        })?;
        merged.root = Some(open_merged(inner, &merged.target)?);
        Ok(merged)
    }

    fn root(&self) -> &Root {
        self.root.as_ref().expect("only taken when unmounted")
    }

    fn unmount(&mut self) -> Result<(), PathError> {
        self.root = None;
        overlay::unmount(self.inner.dir(), &self.target)
    }
}

impl Drop for Merged {
    fn drop(&mut self) {
        // Where it was unmounted already, nothing is to be done.
        if let Err(error) = self.unmount() {
            tracing::warn!(%error, source = %error.source, "a step stays mounted");
        }
    }
}
