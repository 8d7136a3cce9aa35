//! Makes a layer of a step's changes. This module knows the two ends, and nothing of either's inside.

use thiserror::Error;

use super::change::{Change, DiffError, Summary};
use super::diff::Diff;
use crate::image::layer_writer::{Content, Layer, LayerError, LayerWriter};

/// Why a step's layer cannot be made.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The changes cannot be told.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// The changes cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// Writes every change of `diff` to `writer` and finishes the layer. A step without changes gives an empty layer,
/// which is valid and always the same; the summary tells.
pub fn write_layer<'a>(
    diff: impl Into<Diff<'a>>,
    mut writer: LayerWriter,
) -> Result<(Layer, Summary), SnapshotError> {
    let diff = diff.into();
    let summary = diff.visit(|change| append(&mut writer, change).map_err(SnapshotError::Layer))?;
    let layer = writer.finish()?;
    Ok((layer, summary))
}

/// Appends one change to a layer.
pub fn append(writer: &mut LayerWriter, change: Change<'_>) -> Result<(), LayerError> {
    match change {
        Change::Removed(path) => writer.append_whiteout(path),
        Change::Present(entry, Some(file)) => writer.append(entry, Content::File(file)),
        Change::Present(entry, None) => writer.append(entry, Content::Empty),
    }
}
