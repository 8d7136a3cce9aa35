//! `executor push`: an image that lies in a file goes to registries, as that of a build does.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::image::Platform;
use crate::image::blob_store::BlobStore;
use crate::output::{self, DeliveryOptions, LayerBlobs, Receipt, StoredName, StoredParcel};
use crate::registry::Registries;

use super::context_options::layout_image;
use super::environment::{self, absolute};
use super::execute::show_receipt;
use super::flags::PushCommandFlags;
use super::progress::{Level, LogStyle};
use super::push_options::push_command_options;
use super::registry_options::registry_options;
use super::runtime::in_runtime;

/// Pushes the image of a file.
pub(super) fn run(flags: &PushCommandFlags, style: LogStyle) -> Result<()> {
    let current_dir = environment::current_dir()?;
    let options = push_command_options(flags, &current_dir)?;
    let registries = Registries::new(registry_options(&flags.registry, &current_dir)?);
    let platform = platform(flags)?;
    let name = stored_name(&flags.source, &current_dir)
        .with_context(|| format!("cannot use `{}`", flags.source.display()))?;
    let scratch = environment::scratch_dir(&current_dir)?;
    let store = BlobStore::open(scratch.path())?;
    let checks = !flags.push.skip_push_permission_check;
    in_runtime(|halt| async move {
        let blobs = LayerBlobs {
            store: Arc::new(store),
            registries: Arc::new(registries),
            halt,
        };
        let parcel = read(name, platform, &blobs).await?;
        push(&parcel, &options, &blobs, checks, style).await
    })
}

/// Reads the image. It may have to be compressed.
async fn read(
    name: StoredName,
    platform: Option<Platform>,
    blobs: &LayerBlobs,
) -> Result<StoredParcel> {
    let blobs = blobs.clone();
    let read = move || {
        let parcel = StoredParcel::read(&name, platform.as_ref(), &blobs.store, &blobs.halt);
        parcel.with_context(|| format!("cannot push `{}`", name.path.display()))
    };
    let reading = tokio::task::spawn_blocking(read).await;
    reading.context("reading stopped")?
}

async fn push(
    parcel: &StoredParcel,
    options: &DeliveryOptions,
    blobs: &LayerBlobs,
    checks: bool,
    style: LogStyle,
) -> Result<()> {
    if checks {
        output::check_push_access(&blobs.registries, &options.destinations).await?;
    }
    let tell = |receipt: &Receipt| style.print(Level::Info, &show_receipt(receipt));
    output::deliver_stored(parcel, options, blobs, &tell).await
}

/// Reads a path, or `oci-layout://PATH[:TAG][@DIGEST]`, which says which of several images is meant.
fn stored_name(source: &Path, current_dir: &Path) -> Result<StoredName> {
    let layout = source
        .to_str()
        .and_then(|text| text.strip_prefix("oci-layout://"));
    Ok(match layout {
        Some(layout) => {
            let image = layout_image(layout, current_dir)?;
            StoredName {
                path: image.dir,
                tag: image.tag,
                digest: image.digest,
            }
        }
        None => StoredName {
            path: absolute(source, current_dir),
            tag: None,
            digest: None,
        },
    })
}

/// Returns the platform that is wanted of an index. An empty value is an unset one.
fn platform(flags: &PushCommandFlags) -> Result<Option<Platform>> {
    let text = flags.platform.as_deref().filter(|text| !text.is_empty());
    let parse = |text| {
        let platform = Platform::parse(text).with_context(|| format!("--platform is `{text}`"))?;
        anyhow::Ok(platform.normalised())
    };
    text.map(parse).transpose()
}
