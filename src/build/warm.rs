//! Filling the cache directory with images before a build needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::cache::{BaseImageCache, FilledImage};
use crate::dockerfile::{self, Dockerfile};
use crate::fs::Root;
use crate::image::{Platform, Reference};
use crate::remote::{Credentials, Fetcher, HttpSource, RemoteOptions};

use super::input::{DOCKERFILE_BYTES_MAX, read_text};
use super::named_images::{NamedImage, NamedImages};
use super::remote_source::redacted;
use super::{DockerfileSource, DockerfileText};

/// Images that are pulled at the same time: while one waits for its registry or the disk, others go on.
const IMAGES_AT_ONCE: usize = 4;

/// What a fetched Dockerfile is called while it is read.
const FETCHED: &str = "Dockerfile";

/// Its mode.
const FETCHED_MODE: u32 = 0o600;

/// What is wanted. Paths are absolute.
#[derive(Debug, Clone)]
pub struct WarmOptions {
    /// Images by their names.
    pub images: Vec<String>,
    /// A Dockerfile, all of whose images are wanted.
    pub dockerfile: Option<DockerfileSource>,
    /// How its server is spoken to, if it is on one.
    pub remote: RemoteOptions,
    /// An empty directory that it may be fetched into.
    pub scratch_dir: PathBuf,
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
    let file = match &options.dockerfile {
        Some(source) => Some(read(source, options).await?),
        None => None,
    };
    let mut named = Vec::new();
    if let Some((text, dockerfile)) = &file {
        for platform in &options.platforms {
            let args = &options.build_args;
            named.push(NamedImages::read(dockerfile, text, args, platform)?);
        }
    }
    let images = wanted(options, &named);
    if images.is_empty() {
        bail!("there is no image to pull: the Dockerfile names none");
    }
    let warmer = Warmer {
        cache,
        pulls_again: options.pulls_again,
        tell,
    };
    let done = warmer.fill_all(&images).await;
    let (more, broken) = warmer.of_triggers(&done, &named);
    let more = &more - &images;
    let done_more = warmer.fill_all(&more).await;
    let failed = broken + failures(&done) + failures(&done_more);
    if failed > 0 {
        let count = images.len() + more.len();
        bail!("{failed} of {count} images could not be pulled");
    }
    Ok(())
}

/// Who pulls.
struct Warmer<'a> {
    cache: &'a BaseImageCache,
    pulls_again: bool,
    tell: &'a (dyn Fn(WarmedImage<'_>) + Sync),
}

/// What came of an image: its triggers, or nothing if it could not be had.
type Done<'a> = (&'a NamedImage, Option<Vec<String>>);

impl Warmer<'_> {
    async fn fill_all<'i>(&self, images: &'i BTreeSet<NamedImage>) -> Vec<Done<'i>> {
        let work = images.iter().map(|image| async move {
            let outcome = self.fill(image).await;
            let triggers = outcome.as_ref().ok().map(|done| done.triggers.clone());
            self.tell(image, outcome);
            (image, triggers)
        });
        let work = stream::iter(work).buffer_unordered(IMAGES_AT_ONCE);
        work.collect().await
    }

    async fn fill(&self, image: &NamedImage) -> Result<FilledImage> {
        let reference = Reference::parse(&image.name)?;
        let filling = self
            .cache
            .fill(&reference, &image.platform, self.pulls_again);
        Ok(filling.await?)
    }

    /// Returns what triggers of images name that are here now, and how many images have triggers that are wrong. What is
    /// copied from has no say in what a stage begins with, so there are no triggers of triggers.
    fn of_triggers(
        &self,
        done: &[Done<'_>],
        named: &[NamedImages<'_>],
    ) -> (BTreeSet<NamedImage>, usize) {
        let mut images = BTreeSet::new();
        let mut broken = 0;
        for (image, triggers) in done {
            let triggers = triggers.as_deref().unwrap_or_default();
            let found: Result<Vec<_>> = named
                .iter()
                .map(|named| named.of_triggers(image, triggers))
                .collect();
            match found {
                Ok(found) => images.extend(found.into_iter().flatten()),
                Err(error) => {
                    broken += 1;
                    self.tell(image, Err(error));
                }
            }
        }
        (images, broken)
    }

    fn tell(&self, image: &NamedImage, outcome: Result<FilledImage>) {
        (self.tell)(WarmedImage {
            name: &image.name,
            platform: &image.platform,
            outcome,
        });
    }
}

fn failures(done: &[Done<'_>]) -> usize {
    let failed = done.iter().filter(|(_, triggers)| triggers.is_none());
    failed.count()
}

/// Returns the images, each once.
fn wanted(options: &WarmOptions, named: &[NamedImages<'_>]) -> BTreeSet<NamedImage> {
    let of_file = named
        .iter()
        .flat_map(|named| named.images().iter().cloned());
    let mut images: BTreeSet<NamedImage> = of_file.collect();
    for platform in &options.platforms {
        images.extend(options.images.iter().map(|name| NamedImage {
            name: name.clone(),
            platform: platform.clone(),
        }));
    }
    images
}

/// Reads and parses the Dockerfile, wherever it is.
async fn read(
    source: &DockerfileSource,
    options: &WarmOptions,
) -> Result<(DockerfileText, Dockerfile)> {
    let (name, content) = match source {
        DockerfileSource::Path(path) => (path.to_string_lossy().into_owned(), read_file(path)?),
        DockerfileSource::Text { name, content } => (name.clone(), content.clone()),
        DockerfileSource::Url(file) => fetch(file.clone(), options).await?,
    };
    let text = DockerfileText::new(&name, &content);
    let dockerfile = dockerfile::parse(&content)
        .map_err(|error| text.error_at(error.span, error.to_string()))?;
    Ok((text, dockerfile))
}

fn read_file(path: &Path) -> Result<String> {
    let failed = || format!("cannot read the Dockerfile `{}`", path.display());
    let size = std::fs::metadata(path).with_context(failed)?.len();
    if size > DOCKERFILE_BYTES_MAX {
        bail!("`{}` is larger than 16 MiB", path.display());
    }
    let bytes = std::fs::read(path).with_context(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Fetches the Dockerfile from its server; returns how it is called, too.
async fn fetch(file: HttpSource, options: &WarmOptions) -> Result<(String, String)> {
    let name = redacted(file.url.as_str());
    let cannot = format!("cannot fetch the Dockerfile `{name}`");
    let credentials = Credentials::new([]);
    // Whoever interrupts the program ends this with it.
    let stop = CancellationToken::new();
    let fetcher = Fetcher::new(options.remote.clone(), credentials, stop);
    let dir = options.scratch_dir.clone();
    let fetching = move || -> Result<Option<String>> {
        let root = Root::open(&dir)?;
        fetcher.download(&file, root.dir(), FETCHED.as_ref(), FETCHED_MODE)?;
        read_text(&root, Path::new(FETCHED))
    };
    let fetched = tokio::task::spawn_blocking(fetching).await;
    let content = fetched.context("fetching stopped")?.context(cannot)?;
    Ok((name, content.unwrap_or_default()))
}
