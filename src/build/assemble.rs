//! From a built stage to a finished image.

use anyhow::Result;
use jiff::Timestamp;

use crate::image::layer_writer::Layer;
use crate::image::{AssembledImage, AssembledLayer, Descriptor, MediaType, Platform};

use super::BuildOptions;
use super::built::BuiltStages;
use super::draft::FinishedLayer;
use super::joined::PlannedImage;
use super::layers::{LayerContent, StageLayer};
use super::workshop::Workshop;

/// Waits for the layers that are still being written and puts the image together. Its platform is what its config says.
pub(super) async fn assemble(
    image: PlannedImage,
    built: &BuiltStages,
    options: &BuildOptions,
    workshop: &Workshop,
) -> Result<(Platform, AssembledImage)> {
    let stage = &built[&image.stage];
    let mut draft = image.draft;
    draft
        .config
        .config
        .labels
        .extend(options.labels.iter().cloned());
    if options.platform_is_explicit {
        draft.config.set_platform(&image.platform);
    }
    let of_image = match options.is_single_snapshot {
        true => {
            let counts = draft.keep_one_layer_per_stage();
            let layers = &stage.layers;
            workshop
                .one_layer_per_stage(layers, &counts, &image.platform)
                .await?
        }
        false => stage.layers.clone(),
    };
    let mut layers = Vec::with_capacity(of_image.len());
    let mut told = Vec::with_capacity(of_image.len());
    for layer in &of_image {
        let finished = finished(layer, options, workshop).await?;
        told.push(FinishedLayer {
            diff_id: finished.diff_id.clone(),
            created: layer.created,
        });
        layers.push(finished);
    }
    if layers.is_empty() {
        // Some registries refuse an image without layers.
        let layer = workshop.write_empty_layer()?;
        told.push(FinishedLayer {
            diff_id: layer.diff_id.clone(),
            // Of its own: entries of instructions without files take the time of a layer, and so does the image.
            created: Some(Timestamp::now()),
        });
        layers.push(own_layer(&layer, options));
    }
    let config = draft.finish(told, workshop.epoch(), Timestamp::now());
    let annotations = options.annotations.of_image(&image.platform);
    let image = AssembledImage::new(&config, layers, options.format, &annotations)?;
    Ok((config.platform(), image))
}

async fn finished(
    layer: &StageLayer,
    options: &BuildOptions,
    workshop: &Workshop,
) -> Result<AssembledLayer> {
    match &layer.content {
        LayerContent::Stored(stored) => {
            workshop.images.borrow(stored).await?;
            Ok(AssembledLayer {
                descriptor: stored.descriptor.clone(),
                diff_id: stored.diff_id.clone(),
                origin: stored.origin.repository().cloned(),
            })
        }
        LayerContent::New(pending) => {
            let made = pending.clone().await?;
            let origin = match &layer.keeping {
                // A registry that has it in its cache need not be sent it again.
                Some(keeping) => keeping.clone().await,
                None => None,
            };
            Ok(AssembledLayer {
                origin,
                ..own_layer(&made, options)
            })
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
