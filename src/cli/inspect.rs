//! `executor inspect`: what an image says of itself, as JSON on standard output.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::image::Descriptor;
use crate::image::manifest::ManifestDocument;
use crate::registry::Registries;

use super::environment;
use super::executor::{print_bytes, print_line};
use super::existing_image::{ExistingImage, ImagePlace};
use super::flags::{ImageFlags, InspectFlags};
use super::platform_options::one_or_host;
use super::registry_options::pull_options;
use super::runtime::in_runtime;

/// Prints what was asked for.
pub(super) fn run(flags: &InspectFlags) -> Result<()> {
    in_runtime(|_| async {
        let image = find(&flags.image).await?;
        let wanted = flags.image.custom_platform.as_deref();
        let wanted = wanted.filter(|word| !word.is_empty());
        let has_one_image = matches!(image.document, ManifestDocument::Image(_));
        let is_index_meant = !has_one_image && wanted.is_none();
        if flags.raw && is_index_meant {
            return print_bytes(&image.bytes);
        }
        if is_index_meant && !flags.config {
            return print_line(&shown_index(&image)?);
        }
        let chosen = image.image(&one_or_host(wanted)?).await?;
        if flags.raw {
            return print_bytes(&chosen.bytes);
        }
        let config = image.config(&chosen).await?;
        if flags.config {
            return print_bytes(&config);
        }
        let mut shown = head(&image.name, &chosen.descriptor);
        shown.insert("manifest".to_owned(), parse(&chosen.bytes, "manifest")?);
        shown.insert("config".to_owned(), parse(&config, "config")?);
        print_line(&format!("{:#}", Value::Object(shown)))
    })
}

/// Finds the image that the flags name.
pub(super) async fn find(flags: &ImageFlags) -> Result<ExistingImage> {
    let current_dir = environment::current_dir()?;
    let registries = Registries::new(pull_options(&flags.registry, &current_dir)?);
    let place = ImagePlace::parse(&flags.image, &current_dir)?;
    ExistingImage::find(place, &registries).await
}

fn shown_index(image: &ExistingImage) -> Result<String> {
    let mut shown = head(&image.name, &image.descriptor);
    shown.insert("index".to_owned(), parse(&image.bytes, "index")?);
    Ok(format!("{:#}", Value::Object(shown)))
}

fn head(name: &str, descriptor: &Descriptor) -> Map<String, Value> {
    let pairs = [
        ("name", json!(name)),
        ("digest", json!(descriptor.digest.as_str())),
        ("mediaType", json!(descriptor.media_type.as_str())),
        ("size", json!(descriptor.size)),
    ];
    let pairs = pairs.into_iter();
    pairs.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn parse(bytes: &[u8], what: &str) -> Result<Value> {
    serde_json::from_slice(bytes).with_context(|| format!("cannot read the {what} of the image"))
}
