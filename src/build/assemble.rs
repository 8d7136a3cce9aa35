//! From a built stage to a finished image.

use anyhow::Result;
use jiff::Timestamp;

use crate::image::{AssembledImage, AssembledLayer, Descriptor, MediaType};

use super::BuildOptions;
use super::draft::ImageDraft;
use super::layers::{LayerContent, StageLayer};

/// Waits for the layers that are still being written and puts the image together.
pub(super) async fn assemble(
    mut draft: ImageDraft,
    options: &BuildOptions,
    epoch: Option<Timestamp>,
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
    let diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let config = draft.finish(diff_ids, epoch);
    Ok(AssembledImage::new(&config, layers, options.format)?)
}

async fn finished(layer: &StageLayer, options: &BuildOptions) -> Result<AssembledLayer> {
    match &layer.content {
        LayerContent::Stored(stored) => Ok(AssembledLayer {
            descriptor: stored.descriptor.clone(),
            diff_id: stored.diff_id.clone(),
            origin: Some(stored.origin.clone()),
        }),
        LayerContent::New(pending) => {
            let layer = pending.clone().await?;
            let media_type = MediaType::layer(options.format, layer.compression.family());
            Ok(AssembledLayer {
                descriptor: Descriptor::new(media_type, layer.digest.clone(), layer.size),
                diff_id: layer.diff_id.clone(),
                origin: None,
            })
        }
        LayerContent::Unwritten => {
            unreachable!("the plan marks every stage whose layers go into the image")
        }
    }
}
