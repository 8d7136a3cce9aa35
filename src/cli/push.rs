//! `executor push`: an image that lies in a file goes to registries, as that of a build does.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::image::Platform;
use crate::image::blob_store::BlobStore;
use crate::output::{self, DeliveryOptions, Receipt, StoredParcel};
use crate::registry::Registries;

use super::environment::{self, absolute};
use super::execute::{interruption, show_receipt};
use super::flags::PushCommandFlags;
use super::progress::{Level, LogStyle};
use super::push_options::push_command_options;
use super::registry_options::registry_options;

/// Pushes the image of a file.
pub(super) fn run(flags: &PushCommandFlags, style: LogStyle) -> Result<()> {
    let current_dir = environment::current_dir()?;
    let options = push_command_options(flags, &current_dir)?;
    let registries = Registries::new(registry_options(&flags.registry, &current_dir)?);
    let platform = platform(flags)?;
    let scratch = environment::scratch_dir(&current_dir)?;
    let source = absolute(&flags.source, &current_dir);
    let store = BlobStore::open(scratch.path())?;
    let parcel = StoredParcel::read(&source, platform.as_ref(), store)
        .with_context(|| format!("cannot push `{}`", source.display()))?;
    let checks = !flags.push.skip_push_permission_check;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    runtime.block_on(async {
        let push = push(&parcel, &options, Arc::new(registries), checks, style);
        tokio::select! {
            pushed = push => pushed,
            interruption = interruption() => Err(interruption?.into()),
        }
    })
}

async fn push(
    parcel: &StoredParcel,
    options: &DeliveryOptions,
    registries: Arc<Registries>,
    checks: bool,
    style: LogStyle,
) -> Result<()> {
    if checks {
        output::check_push_access(&registries, &options.destinations).await?;
    }
    let tell = |receipt: &Receipt| style.print(Level::Info, &show_receipt(receipt));
    output::deliver_stored(parcel, options, registries, &tell).await
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
