//! Joining images that were built apart, each on a machine of its own, into one index.
//!
//! The images stay as they are, byte for byte, and so does what is said of them where they are listed. What an index lists besides images (attestations are marked
//! `unknown/unknown`) is left out: it says something of an index that is not this one, and confuses registries' pages.

mod found;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::image::{Annotations, AssembledIndex, Digest, ImageFormat, MediaType, Reference};

use super::layer_blobs::LayerBlobs;
use found::{FoundImage, Images, images_in_files, images_in_registry};

/// What is joined.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Images, and indexes whose images are meant, in the order that the new index has.
    pub sources: Vec<ImageSource>,
    /// The family that the images must have. `None` for that of the first.
    pub format: Option<ImageFormat>,
    /// What the index says of itself and of its images. Their manifests stay as they are.
    pub annotations: Annotations,
}

/// Where images are.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// What a name in a registry stands for.
    Registry(Reference),
    /// A layout, or an archive. With neither tag nor digest, all images in it.
    Files {
        /// The directory or file, absolute.
        path: PathBuf,
        /// The name that it has for the image.
        tag: Option<String>,
        /// The digest of the manifest or index.
        digest: Option<Digest>,
    },
}

impl fmt::Display for ImageSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, tag, digest) = match self {
            Self::Registry(reference) => return reference.fmt(formatter),
            Self::Files { path, tag, digest } => (path, tag, digest),
        };
        write!(formatter, "{}", path.display())?;
        if let Some(tag) = tag {
            write!(formatter, ":{tag}")?;
        }
        match digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// An index of images that were there before.
#[derive(Debug)]
pub struct JoinedIndex {
    /// To be delivered as one of a build is.
    pub index: AssembledIndex,
    /// How many things were left out that the sources list and that are no images.
    pub left_out: usize,
}

/// Joins images. Layers that are in files are lent to the store; those in registries are not fetched.
pub async fn join(options: &JoinOptions, blobs: &LayerBlobs) -> Result<JoinedIndex> {
    let mut joined: Vec<(String, FoundImage)> = Vec::new();
    let mut left_out = 0;
    for source in &options.sources {
        let name = source.to_string();
        let images = find(source, blobs).await;
        let images = images.with_context(|| format!("cannot use `{name}`"))?;
        left_out += images.left_out;
        if images.images.is_empty() {
            bail!("`{name}` lists no image");
        }
        for image in images.images {
            check_against(&joined, &name, &image)?;
            // Found twice, it is one image all the same.
            if joined
                .iter()
                .all(|(_, other)| other.digest() != image.digest())
            {
                joined.push((name.clone(), image));
            }
        }
    }
    let format = format_of(options, &joined)?;
    if format == ImageFormat::Docker && options.annotations.need_oci() {
        bail!("a manifest list of Docker's cannot be annotated, and these are Docker images");
    }
    check_platforms(&options.annotations, &joined)?;
    let images = joined.into_iter();
    let images = images.map(|(_, found)| {
        let mut image = found.image;
        let annotations = options.annotations.of_image(&found.platform);
        let said = &mut image.manifest_descriptor.annotations;
        if format == ImageFormat::Docker {
            // A layout's list may say something of a Docker image; Docker's list has no place for it.
            said.clear();
        }
        said.extend(annotations.descriptor);
        (found.platform, image)
    });
    let index = AssembledIndex::new(format, &options.annotations, images.collect())?;
    Ok(JoinedIndex { index, left_out })
}

/// Fails for what is said of an image that is none of these.
fn check_platforms(annotations: &Annotations, joined: &[(String, FoundImage)]) -> Result<()> {
    for platform in annotations.of_platforms.keys() {
        let mut found = joined.iter();
        if !found.any(|(_, found)| found.platform.without_os_details() == *platform) {
            bail!("an annotation is for {platform}, and none of the images is");
        }
    }
    Ok(())
}

async fn find(source: &ImageSource, blobs: &LayerBlobs) -> Result<Images> {
    match source {
        ImageSource::Registry(reference) => images_in_registry(reference, &blobs.registries).await,
        ImageSource::Files { path, tag, digest } => {
            let (path, tag, digest) = (path.clone(), tag.clone(), digest.clone());
            let blobs = blobs.clone();
            let read = move || images_in_files(&path, tag.as_deref(), digest.as_ref(), &blobs);
            let reading = tokio::task::spawn_blocking(read).await;
            reading.context("reading stopped")?
        }
    }
}

/// Fails if an image cannot be listed beside others.
fn check_against(joined: &[(String, FoundImage)], name: &str, image: &FoundImage) -> Result<()> {
    for (other_name, other) in joined {
        if other.platform == image.platform && other.digest() != image.digest() {
            bail!(
                "`{other_name}` and `{name}` are both for {}: {} and {}",
                image.platform,
                other.digest(),
                image.digest()
            );
        }
        if other.format()? != image.format()? {
            bail!(
                "`{other_name}` has the media types of {}, and `{name}` those of {}: registries refuse an index of both, \
                 so build them with the same --image-format",
                family(other.format()?),
                family(image.format()?)
            );
        }
    }
    Ok(())
}

fn format_of(options: &JoinOptions, joined: &[(String, FoundImage)]) -> Result<ImageFormat> {
    let (name, first) = joined.first().context("there is nothing to join")?;
    let format = first.format()?;
    match options.format {
        Some(wanted) if wanted != format => bail!(
            "`{name}` has the media types of {}: with other ones it would be another image, so build it with --image-format",
            family(format)
        ),
        Some(_) | None => Ok(format),
    }
}

fn family(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Oci => "OCI",
        ImageFormat::Docker => "Docker",
    }
}

impl FoundImage {
    fn digest(&self) -> &Digest {
        self.image.digest()
    }

    fn format(&self) -> Result<ImageFormat> {
        match &self.image.manifest_descriptor.media_type {
            MediaType::Manifest(format) => Ok(*format),
            other @ (MediaType::Index(_)
            | MediaType::Config(_)
            | MediaType::Layer { .. }
            | MediaType::Other(_)) => bail!("`{other}` is no image"),
        }
    }
}
