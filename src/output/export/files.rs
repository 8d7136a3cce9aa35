//! The files of an image's root directory. Those of several images are told apart by directories, as with BuildKit's
//! exporters (exporter/local/export.go): `linux_amd64` and so on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fs::{KnownContents, go_on};
use crate::image::layer_writer::{Compression, LayerOptions, LayerWriter};
use crate::image::{AssembledImage, ImageConfig};
use crate::output::archive_place::ArchivePlace;
use crate::output::file_tree::{FileTree, Owners};
use crate::output::files_dir::fill_dir;
use crate::output::finished::Finished;
use crate::snapshot::Excluded;
use crate::snapshot::{Index, ScanDiff, write_layer};

use super::Exporter;

impl Exporter<'_> {
    pub(super) fn write_files(&self, dir: &Path, split: Option<bool>) -> Result<()> {
        fill_dir(dir, Owners::User, self.halt, |tree| {
            self.unpack_into(tree, split)
        })
    }

    pub(super) fn write_files_tar(&self, place: &ArchivePlace, split: Option<bool>) -> Result<()> {
        let temp = tempfile::tempdir_in(self.temp_dir).context("cannot make a directory")?;
        let tree = FileTree::new(temp.path(), Owners::Recorded, self.halt)?;
        self.unpack_into(&tree, split)?;
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
            write_layer(&everything, writer.halted_by(self.halt))?;
            Ok(go_on(self.halt)?)
        })?;
        tree.remove()
    }

    /// Unpacks each image into a directory of its own, or all into one, where no two may have the same file.
    fn unpack_into(&self, tree: &FileTree, split: Option<bool>) -> Result<()> {
        let is_split = split.unwrap_or(match self.finished {
            Finished::Image(_) => false,
            Finished::Index(_) => true,
        });
        for (number, (image, files)) in self.images().enumerate() {
            match (is_split, number) {
                (true, _) => {
                    let name = directory_of(image)?;
                    tree.fill_part(name.as_ref(), |part| unpack(image, files, part))?;
                }
                (false, 0) => unpack(image, files, tree)?,
                (false, _) => {
                    let name = directory_of(image)?;
                    let added = tree.add_another(|other| unpack(image, files, other));
                    added.with_context(|| format!("cannot add the files of {name}"))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns what the directory of an image's platform is called.
fn directory_of(image: &AssembledImage) -> Result<String> {
    let config = ImageConfig::parse(&image.config).context("cannot read our own config")?;
    Ok(config.platform().normalised().to_string().replace('/', "_"))
}

fn unpack(image: &AssembledImage, files: &[PathBuf], tree: &FileTree) -> Result<()> {
    for (layer, path) in image.layers.iter().zip(files) {
        let digest = &layer.descriptor.digest;
        let failed = || format!("cannot unpack the layer {digest}");
        let file = std::fs::File::open(path).with_context(failed)?;
        tree.add_layer(file, &layer.diff_id).with_context(failed)?;
    }
    Ok(())
}
