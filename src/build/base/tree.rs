//! The layers of an image, one after the other, in one plain directory.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::build::files::StageTree;
use crate::build::layers::StoredLayer;
use crate::build::unpacking::check_diff_id;
use crate::image::decompress::{Compression, LayerDecompressor};

use super::BaseImages;

impl BaseImages {
    /// Makes a directory of the layers.
    pub(super) async fn tree(
        self: &Arc<Self>,
        layers: Vec<&Arc<StoredLayer>>,
    ) -> Result<StageTree> {
        let unpack = || async {
            let tree = StageTree::new(&self.sandbox)?;
            let path = tree.path().to_path_buf();
            let unpacked = self.unpack_all(tree, layers.clone()).await;
            if unpacked.is_err() {
                self.discard(path).await;
            }
            unpacked
        };
        self.unpacked_again(unpack).await
    }

    /// Fetches the layers, several at a time, and applies them to a directory, one after the other.
    pub(super) async fn unpack_all(
        self: &Arc<Self>,
        mut tree: StageTree,
        layers: Vec<&Arc<StoredLayer>>,
    ) -> Result<StageTree> {
        for task in self.fetching(layers) {
            let layer = task.await.context("fetching stopped")??;
            let images = Arc::clone(self);
            let unpacking = tokio::task::spawn_blocking(move || {
                images.unpack_into(&mut tree, &layer)?;
                anyhow::Ok(tree)
            });
            tree = unpacking.await.context("unpacking stopped")??;
        }
        Ok(tree)
    }

    /// Applies a layer, whose blob is here, to a tree.
    fn unpack_into(&self, tree: &mut StageTree, layer: &StoredLayer) -> Result<()> {
        let start = Instant::now();
        let mut work = || -> Result<()> {
            let blob = self.blobs.read(&layer.descriptor.digest)?;
            let (compression, source) = Compression::detect(self.halt.file(blob))?;
            let mut tar = LayerDecompressor::spawn(source, compression)?;
            tree.unpack(&mut tar)?;
            check_diff_id(&tar.finish()?, &layer.diff_id)
        };
        work().with_context(|| format!("cannot unpack layer {}", layer.name()))?;
        self.tell_unpacked(layer, start);
        Ok(())
    }
}
