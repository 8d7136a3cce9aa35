//! `executor index`: joins images that were built apart.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::image::blob_store::BlobStore;
use crate::image::{Annotated, Annotations, ImageFormat, Reference};
use crate::output::{self, DeliveryOptions, ImageSource, JoinOptions, LayerBlobs, Receipt};
use crate::registry::Registries;

use super::annotation_options;
use super::context_options::layout_image;
use super::environment::{self, absolute};
use super::execute::show_receipt;
use super::flags::{FormatName, IndexFlags};
use super::progress::{Level, LogStyle};
use super::push_options::{destinations, file, push_rules, refuse_url, with_digest_files};
use super::registry_options::registry_options;
use super::runtime::in_runtime;

/// What a source begins with that is a layout, as in `--build-context`.
const LAYOUT: &str = "oci-layout://";

/// Joins images into an index, and delivers it.
pub(super) fn run(flags: &IndexFlags, style: LogStyle) -> Result<()> {
    let current_dir = environment::current_dir()?;
    let options = join_options(flags, &current_dir)?;
    let delivery = delivery_options(flags, &current_dir)?;
    let registry = registry_options(&flags.registry, &current_dir)?;
    let dir = environment::scratch_dir(&current_dir)?;
    let store = BlobStore::open(dir.path())?;
    let checks = !flags.push.skip_push_permission_check;
    in_runtime(|halt| async move {
        let blobs = LayerBlobs {
            store: Arc::new(store),
            registries: Arc::new(Registries::new(registry)),
            halt,
        };
        if checks {
            output::check_push_access(&blobs.registries, &delivery.destinations).await?;
        }
        join(&options, &delivery, &blobs, style).await
    })
}

async fn join(
    options: &JoinOptions,
    delivery: &DeliveryOptions,
    blobs: &LayerBlobs,
    style: LogStyle,
) -> Result<()> {
    let joined = output::join(options, blobs).await?;
    if joined.left_out > 0 {
        let text = format!(
            "left out {} of what the sources list: no images, such as attestations",
            joined.left_out
        );
        style.print(Level::Info, &text);
    }
    let digest = joined.index.digest();
    style.print(Level::Info, &format!("joined {digest}"));
    let tell = |receipt: &Receipt| style.print(Level::Info, &show_receipt(receipt));
    output::deliver(joined.index.into(), delivery, blobs, &tell).await
}

fn join_options(flags: &IndexFlags, current_dir: &Path) -> Result<JoinOptions> {
    let sources = flags.sources.iter().map(|text| {
        let source = image_source(text, current_dir);
        source.with_context(|| format!("cannot use `{text}`"))
    });
    Ok(JoinOptions {
        sources: sources.collect::<Result<_>>()?,
        format: flags.image_format.map(|format| match format {
            FormatName::Docker => ImageFormat::Docker,
            FormatName::Oci => ImageFormat::Oci,
        }),
        annotations: annotations(&flags.annotation)?,
    })
}

/// A reference begins with a letter or a digit, so that no path is one.
fn image_source(text: &str, current_dir: &Path) -> Result<ImageSource> {
    if let Some(layout) = text.strip_prefix(LAYOUT) {
        let image = layout_image(layout, current_dir)?;
        return Ok(ImageSource::Files {
            path: image.dir,
            tag: image.tag,
            digest: image.digest,
        });
    }
    if text.starts_with(['/', '.']) {
        return Ok(ImageSource::Files {
            path: absolute(Path::new(text), current_dir),
            tag: None,
            digest: None,
        });
    }
    Ok(ImageSource::Registry(Reference::parse(text)?))
}

/// Those that say nothing else are the index's, as with `docker buildx imagetools create`.
fn annotations(arguments: &[String]) -> Result<Annotations> {
    let annotations = annotation_options::annotations(arguments, Annotated::Index)?;
    if annotations.are_of_manifests() {
        bail!(
            "--annotation is about a manifest: only the index is made here, the images stay as they are"
        );
    }
    Ok(annotations)
}

fn delivery_options(flags: &IndexFlags, current_dir: &Path) -> Result<DeliveryOptions> {
    refuse_url(&flags.digest_files)?;
    let options = DeliveryOptions {
        destinations: destinations(&flags.destination)?,
        push: true,
        push_rules: push_rules(&flags.push),
        oci_layout_path: file(&flags.oci_layout_path, current_dir),
        ..DeliveryOptions::default()
    };
    let options = with_digest_files(options, &flags.digest_files, current_dir);
    if options.destinations.is_empty() && options.oci_layout_path.is_none() {
        bail!("you must provide --destination, or --oci-layout-path");
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_reference_and_a_reference_no_path() {
        let source = |text: &str| image_source(text, Path::new("/job")).unwrap().to_string();
        assert_eq!(source("team/app:1"), "docker.io/team/app:1");
        assert_eq!(source("./out/arm64"), "/job/out/arm64");
        assert_eq!(source("/out/a.tar"), "/out/a.tar");
        assert_eq!(source("oci-layout://out:arm64"), "/job/out:arm64");
        assert!(image_source("Team/app", Path::new("/job")).is_err());
    }

    #[test]
    fn annotations_are_the_indexs() {
        let read = |text: &str| annotations(&[text.to_owned()]);
        let mut expected = Annotations::default();
        expected.add(Annotated::Index, None, "a.b", "c=d");
        assert_eq!(read("a.b=c=d").unwrap(), expected);
        assert_eq!(read("index:a.b=c=d").unwrap(), expected);
        read("manifest-descriptor[linux/arm64]:a=b").unwrap();
        for wrong in ["a.b", "=c", "manifest:a=b", "manifest[linux/arm64]:a=b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
