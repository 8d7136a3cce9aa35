//! Pushing an image that lies in a file: what `executor push` does.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::fs::Halting;
use crate::image::blob_store::BlobStore;
use crate::image::decompress::{self, Decoder};
use crate::image::layer_encoder::Compression;
use crate::image::manifest::ManifestDocument;
use crate::image::parallel_gzip::ParallelGzip;
use crate::image::stored_image::StoredImages;
use crate::image::{
    Descriptor, Digest, ImageFormat, LayerCompression, Manifest, MediaType, Platform,
};
use crate::registry::push::BlobSource;

use super::DeliveryOptions;
use super::deliver::deliver_parcel;
use super::layer_blobs::LayerBlobs;
use super::parcel::{BlobPlace, Parcel, ParcelBlob};
use super::push::Receipt;
use super::result_files::Delivered;

/// Indexes within indexes: nobody writes more than two.
const DEPTH_MAX: usize = 4;

/// What is pushed of a file.
#[derive(Debug, Clone)]
pub struct StoredName {
    /// The directory or file, absolute.
    pub path: PathBuf,
    /// The name that it has for the image.
    pub tag: Option<String>,
    /// The digest of the manifest or index.
    pub digest: Option<Digest>,
}

/// An image or index of a file, ready to be pushed. The file must not change meanwhile.
#[derive(Debug)]
pub struct StoredParcel(Parcel);

impl StoredParcel {
    /// Reads an OCI layout, a tar of one, or a tar of `docker save`, which must hold one image where nothing says which is
    /// meant. Of an index, all is taken, or the image for `platform`. Layers of `docker save` that are not compressed become
    /// so, in `store`, unless `halt` is wished. Blocks.
    pub fn read(
        name: &StoredName,
        platform: Option<&Platform>,
        store: &BlobStore,
        halt: &CancellationToken,
    ) -> Result<Self> {
        let images = StoredImages::open(&name.path)?;
        let top = find(&images, name)?;
        let chosen = match platform {
            Some(platform) => images.image(&top, platform)?.descriptor,
            None => top,
        };
        let reader = Reader {
            images: &images,
            store,
            halt,
        };
        Ok(Self(match images.is_layout() {
            true => reader.read(&chosen, DEPTH_MAX)?,
            false => reader.compressed(&chosen)?,
        }))
    }
}

/// Pushes what was read, as [`super::deliver`] does a built image.
pub async fn deliver_stored(
    stored: &StoredParcel,
    options: &DeliveryOptions,
    blobs: &LayerBlobs,
    on_receipt: &(dyn Fn(&Receipt) + Sync),
) -> Result<()> {
    let delivered = Delivered::without_id(&stored.0.descriptor);
    deliver_parcel(&stored.0, &delivered, options, blobs, on_receipt).await
}

/// Finds what is meant; without a name, the only image. One may be listed several times, under several names.
fn find(images: &StoredImages, name: &StoredName) -> Result<Descriptor> {
    if let Some(digest) = &name.digest {
        return Ok(images.find_digest(digest)?);
    }
    if let Some(tag) = &name.tag {
        return Ok(images.find(Some(tag))?.clone());
    }
    let path = name.path.display();
    let mut listed: Vec<&Descriptor> = images.listed().iter().collect();
    listed.sort_by_key(|descriptor| &descriptor.digest);
    listed.dedup_by_key(|descriptor| &descriptor.digest);
    match listed[..] {
        [only] => Ok(only.clone()),
        [] => bail!("`{path}` holds no image"),
        [..] => bail!(
            "`{path}` holds {} images: say which is meant, as oci-layout://{path}:TAG or oci-layout://{path}@DIGEST",
            listed.len()
        ),
    }
}

struct Reader<'a> {
    images: &'a StoredImages,
    store: &'a BlobStore,
    halt: &'a CancellationToken,
}

impl Reader<'_> {
    /// Takes a manifest or an index as it is, byte for byte.
    fn read(&self, descriptor: &Descriptor, depth: usize) -> Result<Parcel> {
        let (bytes, document) = self.images.document(descriptor)?;
        let (media_type, blobs, children) = match document {
            ManifestDocument::Image(manifest) => {
                let media_type = manifest.media_type.clone();
                (media_type, self.blobs(&manifest)?, Vec::new())
            }
            ManifestDocument::Index(_) if depth == 0 => bail!("indexes are nested too deeply"),
            ManifestDocument::Index(index) => {
                // One that is listed over and over is pushed once.
                let mut seen = BTreeSet::new();
                let children = index.manifests.iter();
                let children = children.filter(|child| seen.insert(&child.digest));
                let children = children.map(|child| self.read(child, depth - 1));
                let children = children.collect::<Result<_>>()?;
                (index.media_type.clone(), Vec::new(), children)
            }
        };
        // distribution-spec "Pushing Manifests": what is sent as the type must be what the document says of itself.
        let media_type = media_type.unwrap_or_else(|| descriptor.media_type.clone());
        Ok(Parcel {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes: Bytes::from(bytes),
            blobs,
            children,
        })
    }

    fn blobs(&self, manifest: &Manifest) -> Result<Vec<ParcelBlob>> {
        let listed = manifest.layers.iter().chain([&manifest.config]);
        listed.map(|blob| self.blob(blob)).collect()
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<ParcelBlob> {
        let place = match descriptor.media_type.is_foreign_layer() {
            true => BlobPlace::Elsewhere,
            false => BlobPlace::Here(BlobSource::Part(self.images.blob(descriptor)?.part)),
        };
        Ok(ParcelBlob {
            descriptor: descriptor.clone(),
            place,
        })
    }

    /// Takes an image of `docker save`, whose layers are plain tars as a rule, and makes a manifest of compressed ones.
    fn compressed(&self, descriptor: &Descriptor) -> Result<Parcel> {
        let (_, document) = self.images.document(descriptor)?;
        let ManifestDocument::Image(manifest) = document else {
            bail!("`docker save` lists no indexes");
        };
        let mut blobs = Vec::with_capacity(manifest.layers.len() + 1);
        for layer in &manifest.layers {
            blobs.push(match layer.media_type.layer_compression() {
                Some(LayerCompression::None) => self.compress(layer)?,
                Some(LayerCompression::Gzip | LayerCompression::Zstd) | None => self.blob(layer)?,
            });
        }
        let layers: Vec<Descriptor> = blobs.iter().map(|blob| blob.descriptor.clone()).collect();
        let format = ImageFormat::Docker;
        let bytes = Manifest::new(format, &manifest.config, &layers).to_json()?;
        blobs.push(self.blob(&manifest.config)?);
        Ok(Parcel {
            descriptor: Descriptor::of(MediaType::Manifest(format), &bytes),
            bytes: Bytes::from(bytes),
            blobs,
            children: Vec::new(),
        })
    }

    fn compress(&self, layer: &Descriptor) -> Result<ParcelBlob> {
        let failed = || format!("cannot compress layer {}", layer.digest);
        let reader = Halting::new(self.images.blob(layer)?.open()?, self.halt);
        // It may be compressed in a way that no media type has a word for.
        let (found, reader) = decompress::Compression::detect(reader).with_context(failed)?;
        let mut tar = Decoder::new(reader, found).with_context(failed)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let writer = self.store.writer()?;
        let mut gzip = ParallelGzip::new(writer, Compression::GZIP_LEVEL, threads);
        io::copy(&mut tar, &mut gzip).with_context(failed)?;
        let stored = gzip.finish().with_context(failed)?.commit(None)?;
        let path = self.store.path(&stored.digest);
        let media_type = MediaType::layer(ImageFormat::Docker, LayerCompression::Gzip);
        Ok(ParcelBlob {
            descriptor: Descriptor::new(media_type, stored.digest, stored.size),
            place: BlobPlace::Here(BlobSource::File(path)),
        })
    }
}
