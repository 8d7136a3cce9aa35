//! The one layer of a stage in the caches, beside those that it was made of: if all is found, none of them is fetched.

use std::sync::Arc;

use jiff::Timestamp;

use crate::build::layers::StageLayer;
use crate::cache::inputs::OneLayerInputs;
use crate::cache::{CacheEntry, EntryLooks, Wanted};
use crate::image::layer_writer::Layer;
use crate::image::{DiffId, Platform};

use super::{Keeping, StepCaching, descriptor};

/// The one layer of a stage, as far as a cache must know.
#[derive(Debug, Clone)]
pub(in crate::build) struct OneLayer {
    inputs: OneLayerInputs,
    platform: Platform,
    /// When the last layer of its steps was made.
    created: Option<Timestamp>,
}

impl StepCaching {
    /// Describes the layer that is made of `layers` above the layers `below`.
    pub(in crate::build) fn one_layer(
        &self,
        below: Vec<DiffId>,
        layers: Vec<DiffId>,
        platform: &Platform,
        created: Option<Timestamp>,
    ) -> OneLayer {
        OneLayer {
            inputs: OneLayerInputs {
                below,
                layers,
                compression: self.form.compression,
            },
            platform: platform.clone(),
            created,
        }
    }

    /// Looks for the layer.
    pub(in crate::build) async fn find_one_layer(&self, layer: &OneLayer) -> Option<StageLayer> {
        let wanted = Wanted {
            key: layer.inputs.fingerprint().key(),
            in_repository: true,
        };
        let found = self.look_up(&[wanted]).await.pop()?.hit()?;
        Some(StageLayer {
            created: layer.created,
            ..self.layer_of(&found)
        })
    }

    /// Keeps the layer beside the build.
    pub(in crate::build) fn keep_one_layer(&self, one: &OneLayer, layer: &Layer) -> Keeping {
        let entry = CacheEntry {
            keys: vec![one.inputs.fingerprint().key()],
            layer: descriptor(layer, self.format),
            diff_id: layer.diff_id.clone(),
            created: one.created.unwrap_or_default(),
            // Made of layers: on which files these were made is theirs to say.
            made_of: Vec::new(),
        };
        let looks = EntryLooks {
            created_by: format!("one layer of {}", one.inputs.layers.len()),
            platform: one.platform.clone(),
            format: self.format,
        };
        let (cache, file) = (Arc::clone(&self.cache), self.blobs.path(&layer.digest));
        let in_repository = self.cache.rules.pushes;
        let task = self.runtime.spawn(async move {
            cache
                .layers
                .store(&entry, &looks, &file, in_repository)
                .await
        });
        self.watch(async move { task.await.ok().flatten() })
    }
}
