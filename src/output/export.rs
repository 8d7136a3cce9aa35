//! An image as files: the forms that one is written in without a registry.
//!
//! Whatever is written appears whole or not at all, but for streams. This module knows the forms; where
//! their bytes come from is the caller's part.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fs::KnownContents;
use crate::image::docker_archive::{self, ArchivedImage, ArchivedLayer};
use crate::image::layer_writer::{Compression, LayerOptions, LayerWriter};
use crate::image::layout::{self, Layout};
use crate::image::oci_archive::{self, LayoutImage};
use crate::image::{AssembledImage, Descriptor, LayerCompression, Reference};
use crate::snapshot::Excluded;
use crate::snapshot::{Index, ScanDiff, write_layer};

use super::archive_place::ArchivePlace;
use super::file_tree::{FileTree, Owners};
use super::files_dir::fill_dir;

/// The name that kaniko gives an image in an archive where nobody names it.
const UNNAMED: &str = "docker.io/unset-repo/unset-image-name:latest";

/// One form, and where it goes.
#[derive(Debug, Clone)]
pub enum Export {
    /// The files of the image's root directory, in a directory. They are the user's.
    Files(PathBuf),
    /// The files of the image's root directory, as a tar that has their owners.
    FilesTar(ArchivePlace),
    /// An image layout that has this image and no other.
    Layout(PathBuf),
    /// An image layout that the image is added to, in place of what has its names there.
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
        /// What the image is called there.
        names: Vec<Reference>,
    },
    /// A tar as `docker save` writes it.
    DockerTar {
        /// The tar.
        place: ArchivePlace,
        /// What the image will be called where it is loaded.
        names: Vec<Reference>,
        /// Whether an image without names gets the one that kaniko gives it.
        names_unnamed: bool,
    },
}

/// An image whose layers are all here.
pub(super) struct LocalImage<'a> {
    pub(super) image: &'a AssembledImage,
    /// The layers' bytes, base first.
    pub(super) files: &'a [PathBuf],
    /// For what is thrown away again.
    pub(super) temp_dir: &'a Path,
}

impl LocalImage<'_> {
    /// Writes the image in one form.
    pub(super) fn write(&self, export: &Export) -> Result<()> {
        match export {
            Export::Files(dir) => self
                .write_files(dir)
                .with_context(|| format!("cannot write the image's files to `{}`", dir.display())),
            Export::FilesTar(place) => self
                .write_files_tar(place)
                .with_context(|| format!("cannot write the image's files to {place}")),
            Export::Layout(dir) => self
                .write_layout(Layout::create(dir), &[])
                .with_context(|| format!("cannot write the image layout `{}`", dir.display())),
            Export::NamedLayout { dir, names } => self
                .write_layout(Layout::open_or_create(dir), names)
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

    fn write_files(&self, dir: &Path) -> Result<()> {
        fill_dir(dir, Owners::User, |tree| self.unpack_into(tree))
    }

    fn write_files_tar(&self, place: &ArchivePlace) -> Result<()> {
        let temp = tempfile::tempdir_in(self.temp_dir).context("cannot make a directory")?;
        let tree = FileTree::new(temp.path(), Owners::Recorded)?;
        self.unpack_into(&tree)?;
        let nothing = Excluded::new();
        let known = KnownContents::default();
        let (before, after) = (
            Index::of_nothing(),
            Index::take(tree.root(), &nothing, &known)?,
        );
        let everything = ScanDiff {
            before: &before,
            after: &after,
            root: tree.root(),
            excluded: &nothing,
        };
        let options = LayerOptions {
            compression: Compression::None,
            clamp_mtime: None,
            threads: 1,
        };
        place.write(|file| {
            let file = file.try_clone().context("cannot open it twice")?;
            let writer = LayerWriter::onto(file, Path::new("the tar"), options)?;
            write_layer(&everything, writer)?;
            Ok(())
        })?;
        tree.remove()
    }

    fn unpack_into(&self, tree: &FileTree) -> Result<()> {
        for (layer, path) in self.image.layers.iter().zip(self.files) {
            let digest = &layer.descriptor.digest;
            let failed = || format!("cannot unpack the layer {digest}");
            let file = std::fs::File::open(path).with_context(failed)?;
            tree.add_layer(file, &layer.diff_id).with_context(failed)?;
        }
        Ok(())
    }

    fn write_layout(
        &self,
        layout: Result<Layout, layout::LayoutError>,
        names: &[Reference],
    ) -> Result<()> {
        let mut layout = layout?;
        for (layer, file) in self.image.layers.iter().zip(self.files) {
            layout.add_file(file, &layer.descriptor.digest)?;
        }
        layout.add_bytes(&self.image.config)?;
        layout.add_bytes(&self.image.manifest)?;
        for listed in self.listed(names) {
            layout.add_manifest(listed)?;
        }
        Ok(())
    }

    fn write_layout_tar(&self, place: &ArchivePlace, names: &[Reference]) -> Result<()> {
        let layers = self.image.layers.iter();
        let digests = layers.map(|layer| layer.descriptor.digest.clone());
        let layers: Vec<_> = digests.zip(self.files.iter().cloned()).collect();
        let image = LayoutImage {
            listed: &self.listed(names),
            documents: [&self.image.manifest, &self.image.config],
            layers: &layers,
        };
        place.write(|file| Ok(oci_archive::write(file, &image)?))
    }

    /// Returns what a layout lists: the image under each of its names, or once without one.
    fn listed(&self, names: &[Reference]) -> Vec<Descriptor> {
        let image = &self.image.manifest_descriptor;
        let named = |name| layout::named_as(image.clone(), name);
        match names.is_empty() {
            true => vec![image.clone()],
            false => names.iter().map(named).collect(),
        }
    }

    fn write_docker_tar(
        &self,
        place: &ArchivePlace,
        names: &[Reference],
        names_unnamed: bool,
    ) -> Result<()> {
        let archived = |(layer, file): (&crate::image::AssembledLayer, &PathBuf)| ArchivedLayer {
            digest: layer.descriptor.digest.clone(),
            compression: compression(layer.descriptor.media_type.layer_compression()),
            file: file.clone(),
        };
        let layers: Vec<_> = self
            .image
            .layers
            .iter()
            .zip(self.files)
            .map(archived)
            .collect();
        let mut tags: Vec<String> = names.iter().map(Reference::to_string).collect();
        if tags.is_empty() && names_unnamed {
            tags.push(UNNAMED.to_owned());
        }
        let image = ArchivedImage {
            config: &self.image.config,
            layers: &layers,
            tags: &tags,
        };
        place.write(|file| Ok(docker_archive::write(file, &image)?))
    }
}

/// A layer of a type that we do not know is what all layers once were.
fn compression(known: Option<LayerCompression>) -> LayerCompression {
    known.unwrap_or(LayerCompression::Gzip)
}
