//! Images as kaniko's warmer writes them: a directory `sha256:<hex>` that is an image layout, or an archive of `docker save`
//! of that name with the manifest beside it in `sha256:<hex>.json`. They are read and never changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;

use super::blob::{BlobProblem, HeldBlob};
use super::images::{CachedImage, Unusable};
use super::names;
use crate::fs::PathContext;
use crate::image::config::MAX_CONFIG_BYTES;
use crate::image::layout::Layout;
use crate::image::manifest::{MAX_MANIFEST_BYTES, ManifestDocument};
use crate::image::{Descriptor, Digest, ImageConfig, Manifest, MediaType};

/// Looks for the image with a manifest's digest. All of it is read and hashed: nothing else shows that it is whole.
pub(super) fn find_image(dir: &Path, digest: &Digest) -> Result<Option<CachedImage>, Unusable> {
    let path = dir.join(digest.as_str());
    let Ok(found) = std::fs::metadata(&path) else {
        return Ok(None);
    };
    let Some(times) = names::times(&path)? else {
        return Ok(None);
    };
    let parts = if found.is_dir() {
        in_layout(&path, digest)?
    } else {
        in_archive(&path, digest)?
    };
    parts.into_image(times.stored).map(Some)
}

/// What an image is made of, wherever it lies.
struct Parts {
    descriptor: Descriptor,
    manifest_bytes: Vec<u8>,
    manifest: Manifest,
    config: HeldBlob,
    layers: Vec<Option<HeldBlob>>,
}

impl Parts {
    fn into_image(self, stored: Timestamp) -> Result<CachedImage, Unusable> {
        if self.config.size() > MAX_CONFIG_BYTES as u64 {
            return Err(crate::image::config::ConfigError::TooLarge.into());
        }
        let config = ImageConfig::parse(&self.config.read()?)?;
        config.check_layer_count(self.manifest.layers.len())?;
        for layer in self.layers.iter().flatten() {
            layer.check()?;
        }
        Ok(CachedImage {
            descriptor: self.descriptor,
            manifest_bytes: self.manifest_bytes,
            manifest: self.manifest,
            config,
            layers: self.layers,
            stored,
        })
    }
}

fn in_layout(path: &Path, digest: &Digest) -> Result<Parts, Unusable> {
    let layout = Layout::open(path)?;
    let listed = &layout.index().manifests;
    let descriptor = listed.iter().find(|listed| listed.digest == *digest);
    let descriptor = descriptor.ok_or(Unusable::Kaniko("its index lists another image"))?;
    let manifest_bytes = layout.read_blob(digest)?;
    let manifest = image_manifest(&manifest_bytes, Some(&descriptor.media_type))?;
    let hold = |blob: &Descriptor| -> Result<HeldBlob, Unusable> {
        let path = layout.blob_path(&blob.digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobProblem::Missing(blob.digest.clone()).into());
            }
            Err(error) => return Err(error).on("open", path)?,
        };
        Ok(HeldBlob::of_part(file, &path, 0, blob))
    };
    Ok(Parts {
        config: hold(&manifest.config)?,
        layers: layers(&manifest, hold)?,
        descriptor: Descriptor::of(descriptor.media_type.clone(), &manifest_bytes),
        manifest_bytes,
        manifest,
    })
}

fn in_archive(path: &Path, digest: &Digest) -> Result<Parts, Unusable> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".json");
    let beside = Path::new(&beside);
    let file = File::open(beside).on("open", beside)?;
    let mut manifest_bytes = Vec::new();
    let mut limited = file.take(MAX_MANIFEST_BYTES as u64 + 1);
    limited
        .read_to_end(&mut manifest_bytes)
        .on("read", beside)?;
    if Digest::of(&manifest_bytes) != *digest {
        return Err(BlobProblem::Damaged(digest.clone()).into());
    }
    let manifest = image_manifest(&manifest_bytes, None)?;
    let places = places(path)?;
    let hold = |blob: &Descriptor| -> Result<HeldBlob, Unusable> {
        let missing = || BlobProblem::Missing(blob.digest.clone());
        let (start, size) = places.get(blob.digest.hex()).ok_or_else(missing)?;
        if *size != blob.size {
            return Err(BlobProblem::Damaged(blob.digest.clone()).into());
        }
        let file = File::open(path).on("open", path)?;
        Ok(HeldBlob::of_part(file, path, *start, blob))
    };
    let media_type = manifest.media_type.clone();
    let media_type = media_type.ok_or(Unusable::Kaniko("its manifest has no media type"))?;
    Ok(Parts {
        config: hold(&manifest.config)?,
        layers: layers(&manifest, hold)?,
        descriptor: Descriptor::of(media_type, &manifest_bytes),
        manifest_bytes,
        manifest,
    })
}

/// Returns where in the archive each file begins and how long it is, by the digits of its name: `sha256:<hex>` for the
/// config, `<hex>.tar.gz` for a layer.
///
/// Only the headers are read. What is found is hashed before it is used, so a wrong reading of them can do no harm.
fn places(path: &Path) -> Result<BTreeMap<String, (u64, u64)>, Unusable> {
    let file = File::open(path).on("open", path)?;
    let mut archive = tar::Archive::new(file);
    let mut places = BTreeMap::new();
    for entry in archive.entries_with_seek().map_err(Unusable::Archive)? {
        let entry = entry.map_err(Unusable::Archive)?;
        let name = entry.path_bytes();
        let name = String::from_utf8_lossy(&name);
        let name = name.strip_prefix("sha256:").unwrap_or(&name);
        let digits = name.split('.').next().unwrap_or_default();
        let place = (entry.raw_file_position(), entry.size());
        places.insert(digits.to_owned(), place);
    }
    Ok(places)
}

fn layers(
    manifest: &Manifest,
    hold: impl Fn(&Descriptor) -> Result<HeldBlob, Unusable>,
) -> Result<Vec<Option<HeldBlob>>, Unusable> {
    let layers = manifest.layers.iter();
    let layers = layers.map(|layer| match layer.media_type.is_foreign_layer() {
        true => Ok(None),
        false => hold(layer).map(Some),
    });
    layers.collect()
}

fn image_manifest(bytes: &[u8], declared: Option<&MediaType>) -> Result<Manifest, Unusable> {
    match ManifestDocument::parse(bytes, declared)? {
        ManifestDocument::Image(manifest) => Ok(*manifest),
        ManifestDocument::Index(_) => Err(Unusable::Kaniko("its manifest is an index")),
    }
}
