//! The layers of an image, each in a directory of its own, stacked: unpacked in the cache where that is possible, else in the
//! work directory.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::build::Event;
use crate::build::layers::StoredLayer;
use crate::build::unpacking::{LayerPlace, UnpackedLayer, root_of};
use crate::cache::local_cache::NewTree;
use crate::fs::Root;
use crate::image::{Digest, unpack};
use crate::sandbox::{LayerDir, Rootfs};

use super::fetch::overlay_xattrs;
use super::{BaseImages, chain_ids};

impl BaseImages {
    /// Fetches and unpacks the layers that are not here yet, several at a time, and stacks them.
    pub(super) async fn stack(self: &Arc<Self>, layers: Vec<&Arc<StoredLayer>>) -> Result<Rootfs> {
        let chain = chain_ids(&layers);
        let mut tasks = Vec::with_capacity(layers.len());
        for (layer, id) in layers.into_iter().zip(&chain) {
            let (images, layer, id) = (Arc::clone(self), Arc::clone(layer), id.clone());
            // A task each: a layer that waits for its turn must not hold up the others.
            tasks.push(tokio::spawn(
                async move { images.unpacked(id, layer).await },
            ));
        }
        let mut stack: Vec<LayerDir> = Vec::with_capacity(tasks.len());
        for (task, id) in tasks.into_iter().zip(chain) {
            let layer = task.await.context("unpacking stopped")??;
            if layer.unpacked.is_root_opaque {
                stack.clear();
            }
            let complete = || self.complete(Arc::clone(&layer), stack.clone());
            stack.push(self.completed.get(id, complete).await?);
        }
        let mut rootfs = Rootfs::new(&self.sandbox);
        for layer in stack {
            rootfs.push_layer(layer);
        }
        Ok(rootfs)
    }

    /// Fetches and unpacks layers, several at a time, and puts them on top of a stack which may have layers of this build.
    pub(super) async fn pile(
        self: &Arc<Self>,
        mut rootfs: Rootfs,
        layers: Vec<&Arc<StoredLayer>>,
    ) -> Result<Rootfs> {
        let fetch = |layer: &Arc<StoredLayer>| {
            let (images, layer) = (Arc::clone(self), Arc::clone(layer));
            tokio::spawn(async move {
                let unpack = || images.unpack_alone(&layer);
                images.unpacked_again(unpack).await.map(Arc::new)
            })
        };
        let tasks: Vec<_> = layers.into_iter().map(fetch).collect();
        for task in tasks {
            let layer = task.await.context("unpacking stopped")??;
            if layer.unpacked.is_root_opaque {
                rootfs = Rootfs::new(&self.sandbox);
            }
            let below = rootfs.layers().to_vec();
            rootfs.push_layer(self.complete(layer, below).await?);
        }
        Ok(rootfs)
    }

    async fn unpacked(
        self: Arc<Self>,
        id: Digest,
        layer: Arc<StoredLayer>,
    ) -> Result<Arc<UnpackedLayer>> {
        let unpack = || self.unpack_layer(&id, &layer);
        let fetch = || self.unpacked_again(unpack);
        self.unpacked.get(id.clone(), fetch).await
    }

    /// Finds a layer that is unpacked in the cache, or unpacks it there; where that is not possible, in the work directory.
    async fn unpack_layer(
        self: &Arc<Self>,
        id: &Digest,
        layer: &StoredLayer,
    ) -> Result<Arc<UnpackedLayer>> {
        match self.place_in_cache(id, layer).await? {
            LayerPlace::Own => {}
            LayerPlace::Kept(tree) => {
                let (place, digest) = (layer.place(), &layer.descriptor.digest);
                (self.progress)(Event::Note(&format!(
                    "{place}: {digest} is unpacked in the cache"
                )));
                let dir = self.sandbox.adopt_layer_dir(&tree.root())?;
                return Ok(Arc::new(UnpackedLayer::kept(tree, dir)));
            }
            LayerPlace::New(tree) => match self.unpack_into_cache(layer, tree).await {
                Ok(unpacked) => return Ok(Arc::new(unpacked)),
                Err(error) if self.halt.is_requested() => return Err(error),
                Err(error) => tracing::warn!("a layer is not kept unpacked: {error:#}"),
            },
        }
        Ok(Arc::new(self.unpack_alone(layer).await?))
    }

    /// Unpacks a layer into a directory of its own in the work directory. Of a failure nothing is left.
    async fn unpack_alone(&self, layer: &StoredLayer) -> Result<UnpackedLayer> {
        let dir = self.sandbox.new_layer_dir()?;
        let path = dir.path().to_path_buf();
        let unpacked = self.fetch_layer(layer, dir).await;
        if unpacked.is_err() {
            self.discard(path).await;
        }
        unpacked
    }

    async fn place_in_cache(
        self: &Arc<Self>,
        id: &Digest,
        layer: &StoredLayer,
    ) -> Result<LayerPlace> {
        let (images, id, size) = (Arc::clone(self), id.clone(), layer.descriptor.size);
        let looking = tokio::task::spawn_blocking(move || {
            let Some(unpacked) = &images.unpacked_bases else {
                return LayerPlace::Own;
            };
            if let Some(tree) = unpacked.find(&id) {
                return LayerPlace::Kept(tree);
            }
            match unpacked.begin(&id, size) {
                Some(tree) => LayerPlace::New(Mutex::new(Some(tree))),
                None => LayerPlace::Own,
            }
        });
        looking.await.context("looking at the cache stopped")
    }

    async fn unpack_into_cache(
        &self,
        layer: &StoredLayer,
        tree: Mutex<Option<NewTree>>,
    ) -> Result<UnpackedLayer> {
        let root = {
            let tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
            tree.as_ref().map(NewTree::root)
        };
        let root = root.context("the directory is gone")?;
        let unpacked = self
            .fetch_layer(layer, self.sandbox.adopt_layer_dir(&root)?)
            .await?;
        Ok(UnpackedLayer {
            place: LayerPlace::New(tree),
            ..unpacked
        })
    }

    /// Gives a layer what it takes from those below it, and returns where it lies from then on.
    async fn complete(
        self: &Arc<Self>,
        layer: Arc<UnpackedLayer>,
        below: Vec<LayerDir>,
    ) -> Result<LayerDir> {
        if let LayerPlace::Kept(_) = layer.place {
            return Ok(layer.dir.clone());
        }
        let (images, unfinished) = (Arc::clone(self), Arc::clone(&layer));
        let xattrs = overlay_xattrs(&self.sandbox);
        let task = tokio::task::spawn_blocking(move || -> Result<Option<NewTree>> {
            let layer = unfinished;
            let lowers = below
                .iter()
                .rev()
                .map(root_of)
                .collect::<Result<Vec<Root>>>()?;
            let lowers: Vec<&Root> = lowers.iter().collect();
            let root = root_of(&layer.dir)?;
            unpack::complete(&layer.unpacked, &root, xattrs, &lowers)?;
            let mut tree = layer.take_new_tree();
            if let (Some(tree), Some(unpacked)) = (&mut tree, &images.unpacked_bases) {
                unpacked.publish(tree);
            }
            Ok(tree)
        });
        let tree = task.await.context("unpacking stopped")??;
        let (Some(tree), Some(unpacked)) = (tree, &self.unpacked_bases) else {
            return Ok(layer.dir.clone());
        };
        let dir = self.sandbox.adopt_layer_dir(&tree.root())?;
        unpacked.finish_later(tree, layer.unpacked.is_root_opaque);
        Ok(dir)
    }
}
