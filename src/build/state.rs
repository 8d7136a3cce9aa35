//! Which files a stage has at some point, as a key: the same key, the same files.
//!
//! COPY, ADD and WORKDIR make the same of the same, so after one of them the files are known by what it depended on. A RUN
//! is not bound to: after it they are known by the layer that it made, and not before that is written.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::cache::CacheKey;
use crate::cache::inputs::{ResultInputs, StepInputs};

use crate::image::DiffId;

use super::action::Work;
use super::keys::after_link;
use super::layers::PendingLayer;

/// The files of a stage at some point.
#[derive(Debug, Clone)]
pub(super) enum FilesState {
    /// What they are is known.
    Known(CacheKey),
    /// What they are will be known. `None` if a layer could not be written.
    Pending(Shared<BoxFuture<'static, Option<CacheKey>>>),
    /// Nobody will know: layers are not written, or nothing is cached.
    Unknown,
}

impl FilesState {
    /// Returns the key, if it is known by now.
    pub(super) fn known(&self) -> Option<&CacheKey> {
        match self {
            Self::Known(key) => Some(key),
            Self::Pending(pending) => pending.peek().and_then(Option::as_ref),
            Self::Unknown => None,
        }
    }

    /// Waits until the key is known. `None` if it never will be.
    pub(super) async fn wait(&self) -> Option<CacheKey> {
        match self {
            Self::Known(key) => Some(key.clone()),
            Self::Pending(pending) => pending.clone().await,
            Self::Unknown => None,
        }
    }

    /// Returns the files after a RUN that makes `layer`.
    pub(super) fn after_run(&self, layer: &PendingLayer) -> Self {
        let (before, layer) = (self.clone(), layer.clone());
        Self::pending(async move {
            let before = before.wait().await?;
            let layer = layer.await.ok()?.diff_id.clone();
            Some(ResultInputs { before, layer }.fingerprint().key())
        })
    }

    /// Returns the files after a RUN that made a layer which is here already.
    pub(super) fn after_layer(&self, layer: &DiffId) -> Self {
        let after =
            |before: CacheKey, layer: DiffId| ResultInputs { before, layer }.fingerprint().key();
        if let Some(before) = self.known() {
            return Self::Known(after(before.clone(), layer.clone()));
        }
        let (before, layer) = (self.clone(), layer.clone());
        Self::pending(async move { Some(after(before.wait().await?, layer)) })
    }

    /// Returns the files after a step that makes the same of the same. `inputs` are by content.
    pub(super) fn after(&self, inputs: &StepInputs, work: &Work) -> Self {
        if work.is_linked() {
            return self.after_link(inputs.fingerprint().key());
        }
        if let Some(key) = self.known() {
            return Self::Known(inputs.clone().on(key.clone()).fingerprint().key());
        }
        let (before, inputs) = (self.clone(), inputs.clone());
        Self::pending(async move { Some(inputs.on(before.wait().await?).fingerprint().key()) })
    }

    /// Returns the files after a step that made a layer without a look at them: `linked` is its key by content.
    pub(super) fn after_link(&self, linked: CacheKey) -> Self {
        if let Some(before) = self.known() {
            return Self::Known(after_link(before.clone(), &linked));
        }
        let before = self.clone();
        Self::pending(async move { Some(after_link(before.wait().await?, &linked)) })
    }

    fn pending(key: impl Future<Output = Option<CacheKey>> + Send + 'static) -> Self {
        Self::Pending(key.boxed().shared())
    }
}
