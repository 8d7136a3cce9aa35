//! Writing one layer: from what a step changed to a blob of the build. Knows neither when it runs nor who waits for it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::dockerfile::Span;
use crate::fs::{KnownContents, Root};
use crate::image::blob_store::BlobStore;
use crate::image::layer_writer::{Layer, LayerOptions, LayerWriter};
use crate::sandbox::FrozenStep;
use crate::snapshot::Excluded;
use crate::snapshot::into_layer::append;
use crate::snapshot::{Diff, Index, OverlayDiff, ScanDiff};

use super::halt::{Halt, Halted};
use super::{DockerfileText, Event, Progress, StepName};

/// What writing one layer takes.
pub(super) struct LayerJob {
    pub(super) file: PathBuf,
    pub(super) blobs: Arc<BlobStore>,
    pub(super) options: LayerOptions,
    pub(super) halt: Halt,
    pub(super) progress: Progress,
    pub(super) name: StepName,
    pub(super) text: DockerfileText,
    pub(super) span: Span,
}

impl LayerJob {
    /// Makes a layer of what a step changed in an overlay.
    pub(super) fn write_step(&self, frozen: &FrozenStep, excluded: &Excluded) -> Result<Layer> {
        let diff = OverlayDiff {
            upper: &frozen.upper,
            lower: frozen.lower.root(),
            xattrs: frozen.xattrs,
            excluded,
        };
        self.write(&Diff::Overlay(diff))
    }

    /// Makes a layer of all `files`.
    pub(super) fn write_files(&self, files: &Root, excluded: &Excluded) -> Result<Layer> {
        let diff = ScanDiff {
            before: &Index::of_nothing(),
            after: &Index::take(files, excluded, &KnownContents::default())?,
            root: files,
            excluded,
        };
        self.write(&Diff::Scan(diff))
    }

    /// Makes a layer of what a step changed, and puts it among the blobs.
    pub(super) fn write(&self, diff: &Diff<'_>) -> Result<Layer> {
        let layer = self
            .write_unlocated(diff)
            .map_err(|error| cannot_write(&self.text, self.span, error))?;
        (self.progress)(Event::Layer {
            step: &self.name,
            digest: layer.digest.as_str(),
            size: layer.size,
            entries: layer.entries,
        });
        Ok(layer)
    }

    fn write_unlocated(&self, diff: &Diff<'_>) -> Result<Layer> {
        let writer = LayerWriter::create(&self.file, self.options)?;
        let mut writer = writer.halted_by(&self.halt.token());
        diff.visit(|change| {
            if self.halt.is_requested() {
                return Err(anyhow::Error::new(Halted));
            }
            Ok(append(&mut writer, change)?)
        })?;
        let layer = writer.finish()?;
        self.blobs.adopt(&layer.path, &layer.digest)?;
        Ok(layer)
    }
}

fn cannot_write(text: &DockerfileText, span: Span, error: anyhow::Error) -> anyhow::Error {
    let is_full = is_of_full_disk(&error);
    let located = text.error_at(span, "cannot write the layer").because(error);
    if is_full {
        return located.hint(MORE_ROOM).into();
    }
    located.into()
}

/// What helps against a full disk.
pub(super) const MORE_ROOM: &str = "give a directory with more room with --state-dir";

/// Says whether something failed because there was no room for it.
pub(super) fn is_of_full_disk(error: &anyhow::Error) -> bool {
    let causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes
        .map(std::io::Error::kind)
        .any(|kind| kind == std::io::ErrorKind::StorageFull)
}
