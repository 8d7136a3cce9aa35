//! `executor index`: joins images that were built apart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::image::blob_store::BlobStore;
use crate::image::{ImageFormat, Reference};
use crate::output::{self, DeliveryOptions, ImageSource, JoinOptions, Receipt};
use crate::registry::Registries;

use super::context_options::layout_image;
use super::environment::{self, absolute};
use super::execute::{interruption, show_receipt};
use super::flags::{FormatName, IndexFlags};
use super::progress::{Level, LogStyle};
use super::push_options::{destinations, file, push_rules, with_digest_files};
use super::registry_options::registry_options;

/// What a source begins with that is a layout, as in `--build-context`.
const LAYOUT: &str = "oci-layout://";

/// Joins images into an index, and delivers it.
pub(super) fn run(flags: &IndexFlags, style: LogStyle) -> Result<()> {
    let current_dir = environment::current_dir()?;
    let options = join_options(flags, &current_dir)?;
    let delivery = delivery_options(flags, &current_dir)?;
    let registry = registry_options(&flags.registry, &current_dir)?;
    let dir = environment::scratch_dir(&current_dir)?;
    let registries = Arc::new(Registries::new(registry));
    let checks = !flags.push.skip_push_permission_check;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    runtime.block_on(async {
        let work = async {
            if checks {
                output::check_push_access(&registries, &delivery.destinations).await?;
            }
            join(
                &options,
                &delivery,
                Arc::clone(&registries),
                dir.path(),
                style,
            )
            .await
        };
        tokio::select! {
            result = work => result,
            interruption = interruption() => Err(interruption?.into()),
        }
    })
}

async fn join(
    options: &JoinOptions,
    delivery: &DeliveryOptions,
    registries: Arc<Registries>,
    dir: &Path,
    style: LogStyle,
) -> Result<()> {
    let store = Arc::new(BlobStore::open(dir)?);
    let joined = output::join(options, &registries, &store).await?;
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
    output::deliver_index(joined.index, delivery, registries, store, &tell).await
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

fn annotations(arguments: &[String]) -> Result<BTreeMap<String, String>> {
    let mut annotations = BTreeMap::new();
    for argument in arguments {
        let pair = argument.strip_prefix("index:").unwrap_or(argument);
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .with_context(|| format!("--annotation is `{argument}`, expected NAME=VALUE"))?;
        if ["manifest", "manifest-descriptor", "index-descriptor"]
            .iter()
            .any(|kind| {
                name.starts_with(&format!("{kind}:")) || name.starts_with(&format!("{kind}["))
            })
        {
            bail!(
                "--annotation is `{argument}`: only the index is made here, the images stay as they are"
            );
        }
        annotations.insert(name.to_owned(), value.to_owned());
    }
    Ok(annotations)
}

fn delivery_options(flags: &IndexFlags, current_dir: &Path) -> Result<DeliveryOptions> {
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
        assert_eq!(source("./out/arm64"), "/job/./out/arm64");
        assert_eq!(source("/out/a.tar"), "/out/a.tar");
        assert_eq!(source("oci-layout://out:arm64"), "/job/out:arm64");
        assert!(image_source("Team/app", Path::new("/job")).is_err());
    }

    #[test]
    fn annotations_are_the_indexs() {
        let read = |text: &str| annotations(&[text.to_owned()]);
        let expected = BTreeMap::from([("a.b".to_owned(), "c=d".to_owned())]);
        assert_eq!(read("a.b=c=d").unwrap(), expected);
        assert_eq!(read("index:a.b=c=d").unwrap(), expected);
        for wrong in ["a.b", "=c", "manifest:a=b", "manifest[linux/arm64]:a=b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
