//! Images in a layout of the user's: nothing of it is believed that does not have the digest it is named by.
//!
//! Manifest and config are read when the image is looked up. A layer is read once some step or the image needs it, and used
//! from where it lies.

use std::io::{self, Read};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::build::layers::{LayerOrigin, StoredLayer};
use crate::build::named_contexts::LayoutImage;
use crate::image::config::MAX_CONFIG_BYTES;
use crate::image::digest::DigestHasher;
use crate::image::layout::Layout;
use crate::image::manifest::ManifestDocument;
use crate::image::{Digest, ImageConfig, Manifest, Platform};

use super::{BaseImage, BaseImages, stored_layers};

/// Bytes that are hashed at a time.
const BUFFER_BYTES: usize = 256 * 1024;

impl BaseImages {
    /// Finds an image in a layout, for a platform. Like a name in a registry, one that stands for one image gives that image,
    /// whatever it is for.
    pub(in crate::build) async fn resolve_layout(
        &self,
        image: &LayoutImage,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>> {
        let key = (image.clone(), platform.to_string());
        self.in_layouts
            .get(key, async || {
                let (wanted, wanted_platform) = (image.clone(), platform.clone());
                let reading =
                    tokio::task::spawn_blocking(move || read_image(&wanted, &wanted_platform));
                let (digest, manifest, config) =
                    reading.await.context("reading the layout stopped")??;
                config.check_layer_count(manifest.layers.len())?;
                let origin = LayerOrigin::Layout(image.dir.clone());
                let layers = stored_layers(&manifest, &config, &origin);
                self.want_unpacked(&layers)?;
                Ok(Arc::new(BaseImage {
                    digest: Some(digest),
                    config,
                    layers,
                }))
            })
            .await
    }

    /// Makes a layer of a layout one of the build's blobs, after all of it was read and found to be what it should. Does
    /// nothing for layers from elsewhere.
    pub(in crate::build) async fn borrow(&self, layer: &StoredLayer) -> Result<()> {
        let LayerOrigin::Layout(dir) = &layer.origin else {
            return Ok(());
        };
        let digest = &layer.descriptor.digest;
        let borrow = async || {
            if self.blobs.contains(digest) {
                return Ok(());
            }
            let (dir, wanted) = (dir.clone(), digest.clone());
            let halt = self.halt.clone();
            let checking = tokio::task::spawn_blocking(move || {
                let layout = Layout::open(&dir)?;
                check(halt.file(layout.open_blob(&wanted)?), &wanted)?;
                anyhow::Ok(layout.blob_path(&wanted))
            });
            let path = checking.await.context("reading the layout stopped")?;
            let path = path.with_context(|| format!("cannot use layer {}", layer.name()))?;
            self.blobs.lend(digest, &path, Arc::new(()));
            Ok(())
        };
        self.borrowed.get(digest.clone(), borrow).await
    }
}

/// Reads what tells what an image is.
fn read_image(image: &LayoutImage, platform: &Platform) -> Result<(Digest, Manifest, ImageConfig)> {
    let layout = Layout::open(&image.dir)?;
    let (digest, document) = match &image.digest {
        Some(digest) => {
            let document = ManifestDocument::parse(&layout.read_blob(digest)?, None);
            let document =
                document.with_context(|| format!("cannot read the manifest {digest}"))?;
            (digest, document)
        }
        None => {
            let listed = layout.find(image.tag.as_deref())?;
            (&listed.digest, layout.read_manifest(listed)?)
        }
    };
    let (digest, manifest) = match document {
        ManifestDocument::Image(manifest) => (digest.clone(), *manifest),
        ManifestDocument::Index(index) => {
            let chosen = index.manifest_for(platform);
            let chosen =
                chosen.with_context(|| format!("cannot choose from the index {digest}"))?;
            match layout.read_manifest(chosen)? {
                ManifestDocument::Image(manifest) => (chosen.digest.clone(), *manifest),
                ManifestDocument::Index(_) => {
                    bail!("the index {digest} lists another index for {platform}")
                }
            }
        }
    };
    let config = layout.read_blob(&manifest.config.digest)?;
    if config.len() > MAX_CONFIG_BYTES {
        bail!("the config {} is too large", manifest.config.digest);
    }
    let config = ImageConfig::parse(&config)
        .with_context(|| format!("cannot read the config {}", manifest.config.digest))?;
    Ok((digest, manifest, config))
}

/// Reads all of a blob, and fails unless it has the digest.
fn check(mut blob: impl Read, digest: &Digest) -> Result<()> {
    let mut hasher = DigestHasher::new(digest.algorithm());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match blob.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let found = hasher.finish();
    if found != *digest {
        bail!("its bytes have the digest {found}");
    }
    Ok(())
}
