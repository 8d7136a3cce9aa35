//! Image layouts, in a directory or in a tar.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;

use crate::fs::{Dir, go_on, remove_tree};
use crate::image::layout::{self, Layout};
use crate::image::oci_archive::{self, LayoutImage};
use crate::image::{Descriptor, Reference};

use super::Exporter;
use crate::output::archive_place::ArchivePlace;

impl Exporter<'_> {
    /// Writes a layout of our own. After an error there is none where there was none before, and a directory that was
    /// empty is empty.
    pub(super) fn write_layout(&self, dir: &Path) -> Result<()> {
        let was_there = dir.symlink_metadata().is_ok();
        let was_empty = std::fs::read_dir(dir).is_ok_and(|mut names| names.next().is_none());
        let written = Layout::create(dir).map_err(Into::into);
        let written = written.and_then(|layout| self.fill_layout(layout, &[]));
        if let (Err(_), false, Some(parent), Some(name)) =
            (&written, was_there, dir.parent(), dir.file_name())
        {
            // An error here would hide the first one.
            let _ = remove(parent, name);
        } else if written.is_err() && was_empty && !dir.join("index.json").exists() {
            // With an index, it has become somebody else's meanwhile: ours comes last.
            for name in ["oci-layout", "blobs"] {
                let _ = remove(dir, OsStr::new(name));
            }
        }
        written
    }

    /// Adds to a layout that others may add to at the same time. After an error, a layout may be there that was only
    /// begun, with blobs that it does not list: somebody else may need them.
    pub(super) fn add_to_layout(&self, dir: &Path, names: &[Reference]) -> Result<()> {
        self.fill_layout(Layout::open_or_create(dir)?, names)
    }

    fn fill_layout(&self, layout: Layout, names: &[Reference]) -> Result<()> {
        let mut layout = layout.halted_by(self.halt);
        for (digest, file) in self.layers() {
            layout.add_file(file, digest)?;
        }
        for document in self.finished.documents() {
            layout.add_bytes(document)?;
        }
        go_on(self.halt)?;
        for listed in self.listed(names) {
            layout.add_manifest(listed)?;
        }
        Ok(())
    }

    pub(super) fn write_layout_tar(&self, place: &ArchivePlace, names: &[Reference]) -> Result<()> {
        let layers = self.layers();
        let layers = layers.map(|(digest, file)| (digest.clone(), file.clone()));
        let image = LayoutImage {
            listed: &self.listed(names),
            documents: &self.finished.documents(),
            layers: &layers.collect::<Vec<_>>(),
        };
        self.write_archive(place, |file| Ok(oci_archive::write(file, &image)?))
    }

    /// Returns what a layout lists: the image or index under each of its names, or once without one.
    fn listed(&self, names: &[Reference]) -> Vec<Descriptor> {
        let image = self.finished.descriptor();
        let named = |name| layout::named_as(image.clone(), name);
        match names.is_empty() {
            true => vec![image.clone()],
            false => names.iter().map(named).collect(),
        }
    }
}

fn remove(parent: &Path, name: &OsStr) -> Result<()> {
    Ok(remove_tree(&Dir::open(parent)?, name)?)
}
