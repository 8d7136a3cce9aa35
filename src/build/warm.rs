//! Filling the cache directory with images before a build needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream;

use crate::cache::{BaseImageCache, FilledImage};
use crate::dockerfile;
use crate::image::{Platform, Reference};

use super::DockerfileText;
use super::input::DOCKERFILE_BYTES_MAX;
use super::named_images::{NamedImage, named_images};

/// Images that are pulled at the same time: while one waits for its registry or the disk, others go on.
const IMAGES_AT_ONCE: usize = 4;

/// What is wanted. Paths are absolute.
#[derive(Debug, Clone)]
pub struct WarmOptions {
    /// Images by their names.
    pub images: Vec<String>,
    /// A Dockerfile, all of whose images are wanted.
    pub dockerfile: Option<PathBuf>,
    /// Values of `--build-arg` by name, for the Dockerfile.
    pub build_args: BTreeMap<String, String>,
    /// Which of an index's images are wanted, where the Dockerfile says nothing else.
    pub platforms: Vec<Platform>,
    /// Pulls also what is there and fresh.
    pub pulls_again: bool,
}

/// What came of one image.
#[derive(Debug)]
pub struct WarmedImage<'a> {
    /// As it was asked for.
    pub name: &'a str,
    /// The platform it was asked for.
    pub platform: &'a Platform,
    /// What was done, or why it is not there.
    pub outcome: Result<FilledImage>,
}

/// Fills the directory of `cache` with what `options` want. `tell` hears of each image as it is done. One that fails does not
/// keep the others away, and is an error in the end.
pub async fn warm(
    options: &WarmOptions,
    cache: &BaseImageCache,
    tell: &(dyn Fn(WarmedImage<'_>) + Sync),
) -> Result<()> {
    let images = wanted(options)?;
    if images.is_empty() {
        bail!("there is no image to pull: the Dockerfile names none");
    }
    let count = images.len();
    let work = images.into_iter().map(|image| async move {
        let outcome = fill(cache, &image, options.pulls_again).await;
        let failed = outcome.is_err();
        tell(WarmedImage {
            name: &image.name,
            platform: &image.platform,
            outcome,
        });
        failed
    });
    let outcomes: Vec<bool> = stream::iter(work)
        .buffer_unordered(IMAGES_AT_ONCE)
        .collect()
        .await;
    let failed = outcomes.into_iter().filter(|failed| *failed).count();
    if failed > 0 {
        bail!("{failed} of {count} images could not be pulled");
    }
    Ok(())
}

async fn fill(
    cache: &BaseImageCache,
    image: &NamedImage,
    pulls_again: bool,
) -> Result<FilledImage> {
    let reference = Reference::parse(&image.name)?;
    Ok(cache.fill(&reference, &image.platform, pulls_again).await?)
}

/// Returns the images, each once.
fn wanted(options: &WarmOptions) -> Result<BTreeSet<NamedImage>> {
    let mut images = match &options.dockerfile {
        Some(path) => images_of_file(path, options)?,
        None => BTreeSet::new(),
    };
    for platform in &options.platforms {
        images.extend(options.images.iter().map(|name| NamedImage {
            name: name.clone(),
            platform: platform.clone(),
        }));
    }
    Ok(images)
}

fn images_of_file(path: &Path, options: &WarmOptions) -> Result<BTreeSet<NamedImage>> {
    let failed = || format!("cannot read the Dockerfile `{}`", path.display());
    let size = std::fs::metadata(path).with_context(failed)?.len();
    if size > DOCKERFILE_BYTES_MAX {
        bail!("`{}` is larger than 16 MiB", path.display());
    }
    let bytes = std::fs::read(path).with_context(failed)?;
    let content = String::from_utf8_lossy(&bytes);
    let text = DockerfileText::new(&path.to_string_lossy(), &content);
    let dockerfile = dockerfile::parse(&content)
        .map_err(|error| text.error_at(error.span, error.to_string()))?;
    let mut images = BTreeSet::new();
    for platform in &options.platforms {
        let args = &options.build_args;
        images.append(&mut named_images(&dockerfile, &text, args, platform)?);
    }
    Ok(images)
}
