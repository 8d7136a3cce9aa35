//! `executor unpack`: the files of an image's root directory.

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::image::{DiffId, ImageConfig};
use crate::output::{Owners, fill_dir};

use super::environment::{self, absolute};
use super::flags::UnpackFlags;
use super::inspect::find;
use super::platform_options::one_or_host;
use super::runtime::in_runtime;

/// Layers that are opened before the one that is being unpacked is done: a connection that waits long is closed by its
/// server.
const OPEN_LAYERS: usize = 1;

/// Unpacks. For root the files get the owners that the image gives them; for others they are theirs.
pub(super) fn run(flags: &UnpackFlags) -> Result<()> {
    let dir = absolute(&flags.output, &environment::current_dir()?);
    check_empty(&dir)?;
    in_runtime(|halt| async move {
        let found = find(&flags.image).await?;
        let platform = one_or_host(flags.image.custom_platform.as_deref())?;
        let image = found.image(&platform).await?;
        let config = ImageConfig::parse(&found.config(&image).await?)?;
        let layers = &image.manifest.layers;
        config.check_layer_count(layers.len())?;
        let (opened, layer_readers) = mpsc::channel(OPEN_LAYERS);
        let unpacking = tokio::task::spawn_blocking(move || unpack(&dir, layer_readers, &halt));
        for (layer, diff_id) in layers.iter().zip(&config.rootfs.diff_ids) {
            let reader = found.open_layer(layer).await;
            let reader = reader.with_context(|| format!("cannot read the layer {}", layer.digest));
            let failed = reader.is_err();
            // Where nobody listens any more, unpacking has failed, and says why.
            let is_heard = opened.send(Some((reader, diff_id.clone()))).await.is_ok();
            if failed || !is_heard {
                break;
            }
        }
        // The end is told: what breaks off without it is no whole image.
        let _ = opened.send(None).await;
        unpacking.await.context("unpacking stopped")?
    })
}

type OpenedLayer = (Result<Box<dyn std::io::Read + Send>>, DiffId);

fn unpack(
    dir: &std::path::Path,
    mut layers: mpsc::Receiver<Option<OpenedLayer>>,
    halt: &CancellationToken,
) -> Result<()> {
    let owners = match rustix::process::geteuid().is_root() {
        true => Owners::Image,
        false => Owners::User,
    };
    let failed = || format!("cannot unpack into `{}`", dir.display());
    let fill = |tree: &crate::output::FileTree| {
        loop {
            match layers.blocking_recv() {
                Some(Some((reader, diff_id))) => tree
                    .add_layer(reader?, &diff_id)
                    .with_context(|| format!("cannot unpack the layer {diff_id}"))?,
                Some(None) => return Ok(()),
                None => bail!("it was interrupted"),
            }
        }
    };
    fill_dir(dir, owners, halt, fill).with_context(failed)
}

/// Fails for what has files already: they would be mixed.
fn check_empty(dir: &std::path::Path) -> Result<()> {
    let is_empty = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", dir.display()));
        }
    };
    ensure!(is_empty, "`{}` is not empty", dir.display());
    Ok(())
}
