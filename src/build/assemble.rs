//! From a built stage to a finished image.

use anyhow::Result;

use crate::image::layer_writer::Layer;
use crate::image::{AssembledImage, AssembledLayer, Descriptor, MediaType};

use super::BuildOptions;
use super::draft::ImageDraft;
use super::layers::{LayerContent, StageLayer};
use super::workshop::Workshop;

/// Waits for the layers that are still being written and puts the image together.
pub(super) async fn assemble(
    mut draft: ImageDraft,
    options: &BuildOptions,
    workshop: &Workshop,
) -> Result<AssembledImage> {
    draft
        .config
        .config
        .labels
        .extend(options.labels.iter().cloned());
    if options.platform_is_explicit {
        draft.config.set_platform(&options.platform);
    }
    let mut layers = Vec::with_capacity(draft.layers.len());
    for layer in &draft.layers {
        layers.push(finished(layer, options).await?);
    }
    if layers.is_empty() {
        // Some registries refuse an image without layers.
        let layer = workshop.write_empty_layer()?;
        layers.push(own_layer(&layer, options));
    }
    let diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let config = draft.finish(diff_ids, workshop.epoch());
    Ok(AssembledImage::new(&config, layers, options.format)?)
}

async fn finished(layer: &StageLayer, options: &BuildOptions) -> Result<AssembledLayer> {
    match &layer.content {
        LayerContent::Stored(stored) => Ok(AssembledLayer {
            descriptor: stored.descriptor.clone(),
            diff_id: stored.diff_id.clone(),
            origin: stored.origin.clone(),
        }),
        LayerContent::New(pending) => {
            let layer = pending.clone().await?;
            Ok(own_layer(&layer, options))
        }
        LayerContent::Unwritten => {
            unreachable!("the plan marks every stage whose layers go into the image")
        }
    }
}

fn own_layer(layer: &Layer, options: &BuildOptions) -> AssembledLayer {
    let media_type = MediaType::layer(options.format, layer.compression.family());
    AssembledLayer {
        descriptor: Descriptor::new(media_type, layer.digest.clone(), layer.size),
        diff_id: layer.diff_id.clone(),
        origin: None,
    }
}
