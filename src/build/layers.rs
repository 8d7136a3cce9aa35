//! The layers of a stage: those it was built on, and its own, which are written in the background
//! while later steps run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;

use crate::image::layer_writer::Layer;
use crate::image::{BlobOrigin, Descriptor, DiffId, ImageFormat, MediaType};

use super::step_cache::Keeping;

/// An error that several parts of a build come across.
#[derive(Debug, Clone)]
pub struct SharedError(Arc<anyhow::Error>);

impl From<anyhow::Error> for SharedError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(shared) => shared,
            Err(error) => Self(Arc::new(error)),
        }
    }
}

impl SharedError {
    /// Returns the error itself, which `source` leaves out.
    pub fn inner(&self) -> &(dyn std::error::Error + 'static) {
        (*self.0).as_ref()
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// A layer that is being written, or was.
pub(super) type PendingLayer = Shared<BoxFuture<'static, Result<Arc<Layer>, SharedError>>>;

/// Makes a pending layer of work that goes on.
pub(super) fn pending(
    work: impl Future<Output = anyhow::Result<Layer>> + Send + 'static,
) -> PendingLayer {
    let shared = async move { work.await.map(Arc::new).map_err(SharedError::from) };
    shared.boxed().shared()
}

/// A layer of a stage.
#[derive(Debug, Clone)]
pub(super) struct StageLayer {
    /// When it was made, as the history tells. `None` for a layer of the base, whose history tells it.
    pub(super) created: Option<Timestamp>,
    /// What it is.
    pub(super) content: LayerContent,
    /// On its way to a cache. `None` for one that is in a cache or an image already, or goes into no cache.
    pub(super) keeping: Option<Keeping>,
}

/// What a layer is.
#[derive(Debug, Clone)]
pub(super) enum LayerContent {
    /// A layer that was there before this build: of an image, or kept from a former build.
    Stored(Arc<StoredLayer>),
    /// A layer of this build.
    New(PendingLayer),
    /// A change of a stage whose layers go into no image: it was never written.
    Unwritten,
}

/// A layer that was there before this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredLayer {
    /// Media type, digest and size of the stored bytes.
    pub(super) descriptor: Descriptor,
    /// Digest of the tar.
    pub(super) diff_id: DiffId,
    /// Where it comes from.
    pub(super) origin: LayerOrigin,
}

/// Where a layer comes from that was there before this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerOrigin {
    /// A repository has it.
    Registry(BlobOrigin),
    /// It is among the build's blobs: of the cache directory, or written by this build.
    Blobs,
    /// The image layout in this directory has it.
    Layout(PathBuf),
}

impl LayerOrigin {
    /// Returns the repository that has it, if one does.
    pub(super) fn repository(&self) -> Option<&BlobOrigin> {
        match self {
            Self::Registry(origin) => Some(origin),
            Self::Blobs | Self::Layout(_) => None,
        }
    }
}

impl StoredLayer {
    /// Describes a layer of this build, as far as its files are concerned.
    pub(super) fn written(layer: &Layer) -> Self {
        let media_type = MediaType::layer(ImageFormat::Oci, layer.compression.family());
        Self {
            descriptor: Descriptor::new(media_type, layer.digest.clone(), layer.size),
            diff_id: layer.diff_id.clone(),
            origin: LayerOrigin::Blobs,
        }
    }

    /// Returns how messages name it.
    pub(super) fn name(&self) -> String {
        format!("{} of `{}`", self.descriptor.digest, self.place())
    }

    /// Returns how messages name where it comes from.
    pub(super) fn place(&self) -> String {
        match &self.origin {
            LayerOrigin::Registry(BlobOrigin {
                registry,
                repository,
            }) => format!("{registry}/{repository}"),
            LayerOrigin::Blobs => "this machine".to_owned(),
            LayerOrigin::Layout(dir) => dir.display().to_string(),
        }
    }
}
