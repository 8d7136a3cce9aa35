//! An image, or an index of images, as files: the forms that one is written in without a registry.
//!
//! Whatever is written appears whole or not at all, but for streams. This module knows the forms; where
//! their bytes come from is the caller's part.

mod files;
mod layouts;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use crate::fs::{Halting, go_on};
use crate::image::docker_archive::{self, ArchivedImage, ArchivedLayer};
use crate::image::{AssembledImage, AssembledLayer, Digest, LayerCompression, Reference};

use super::archive_place::ArchivePlace;
use super::finished::Finished;

/// The name that kaniko gives an image in an archive where nobody names it.
const UNNAMED: &str = "docker.io/unset-repo/unset-image-name:latest";

/// One form, and where it goes.
#[derive(Debug, Clone)]
pub enum Export {
    /// The files of each image's root directory, in a directory. They are the user's.
    Files {
        /// The directory.
        dir: PathBuf,
        /// Whether each platform has a directory of its own in it. `None`: if there is an index.
        split: Option<bool>,
    },
    /// The files of each image's root directory, as a tar that has their owners.
    FilesTar {
        /// The tar.
        place: ArchivePlace,
        /// As in a directory.
        split: Option<bool>,
    },
    /// An image layout that has this and nothing else.
    Layout(PathBuf),
    /// An image layout that this is added to, in place of what has its names there.
    NamedLayout {
        /// The directory.
        dir: PathBuf,
        /// What it is called there.
        names: Vec<Reference>,
    },
    /// A tar of an image layout.
    LayoutTar {
        /// The tar.
        place: ArchivePlace,
        /// What it is called there.
        names: Vec<Reference>,
    },
    /// A tar as `docker save` writes it. It holds no index.
    DockerTar {
        /// The tar.
        place: ArchivePlace,
        /// What the image will be called where it is loaded.
        names: Vec<Reference>,
        /// Whether an image without names gets the one that kaniko gives it.
        names_unnamed: bool,
    },
}

/// What is written, with all layers here.
pub(super) struct Exporter<'a> {
    pub(super) finished: &'a Finished,
    /// The layers' bytes, base first, of each image.
    pub(super) files: &'a [Vec<PathBuf>],
    /// For what is thrown away again.
    pub(super) temp_dir: &'a Path,
    /// The wish that it all end.
    pub(super) halt: &'a CancellationToken,
}

impl Exporter<'_> {
    /// Writes one form.
    pub(super) fn write(&self, export: &Export) -> Result<()> {
        go_on(self.halt)?;
        match export {
            Export::Files { dir, split } => self
                .write_files(dir, *split)
                .with_context(|| format!("cannot write the image's files to `{}`", dir.display())),
            Export::FilesTar { place, split } => self
                .write_files_tar(place, *split)
                .with_context(|| format!("cannot write the image's files to {place}")),
            Export::Layout(dir) => self
                .write_layout(dir)
                .with_context(|| format!("cannot write the image layout `{}`", dir.display())),
            Export::NamedLayout { dir, names } => self
                .add_to_layout(dir, names)
                .with_context(|| format!("cannot write the image layout `{}`", dir.display())),
            Export::LayoutTar { place, names } => self
                .write_layout_tar(place, names)
                .with_context(|| format!("cannot write the archive {place}")),
            Export::DockerTar {
                place,
                names,
                names_unnamed,
            } => self
                .write_docker_tar(place, names, *names_unnamed)
                .with_context(|| format!("cannot write the archive {place}")),
        }
    }

    /// Returns each image with the files of its layers.
    fn images(&self) -> impl Iterator<Item = (&AssembledImage, &[PathBuf])> {
        let files = self.files.iter().map(Vec::as_slice);
        self.finished.images().iter().zip(files)
    }

    /// Returns all layers with their files. One that several images have comes more than once.
    fn layers(&self) -> impl Iterator<Item = (&Digest, &PathBuf)> {
        self.images().flat_map(|(image, files)| {
            let digests = image.layers.iter().map(|layer| &layer.descriptor.digest);
            digests.zip(files)
        })
    }

    fn write_docker_tar(
        &self,
        place: &ArchivePlace,
        names: &[Reference],
        names_unnamed: bool,
    ) -> Result<()> {
        // BuildKit's exporter refuses it too.
        let (Finished::Image(image), [files]) = (self.finished, self.files) else {
            bail!("an archive of `docker save` cannot hold an index");
        };
        let archived = |(layer, file): (&AssembledLayer, &PathBuf)| ArchivedLayer {
            digest: layer.descriptor.digest.clone(),
            compression: compression(layer.descriptor.media_type.layer_compression()),
            file: file.clone(),
        };
        let layers: Vec<_> = image.layers.iter().zip(files).map(archived).collect();
        let mut tags: Vec<String> = names.iter().map(Reference::to_string).collect();
        if tags.is_empty() && names_unnamed {
            tags.push(UNNAMED.to_owned());
        }
        let image = ArchivedImage {
            config: &image.config,
            layers: &layers,
            tags: &tags,
        };
        self.write_archive(place, |file| Ok(docker_archive::write(file, &image)?))
    }

    /// Has an archive written. One that is no longer wanted does not appear.
    fn write_archive(
        &self,
        place: &ArchivePlace,
        write: impl FnOnce(&mut Halting<&mut File>) -> Result<()>,
    ) -> Result<()> {
        place.write(|file| {
            write(&mut Halting::new(file, self.halt))?;
            Ok(go_on(self.halt)?)
        })
    }
}

/// A layer of a type that we do not know is what all layers once were.
fn compression(known: Option<LayerCompression>) -> LayerCompression {
    known.unwrap_or(LayerCompression::Gzip)
}
