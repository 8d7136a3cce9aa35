//! Writing the one layer.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::path::Path;

use super::error::MergeError;
use super::hidden::Hidden;
use super::names::{Names, Place, What};
use super::sources::Sources;
use crate::image::layer_entry::{EntryKind, LayerEntry};
use crate::image::layer_writer::{Content, LayerWriter};

/// Appends to `writer` what the layers of `names` change together, in the order of a layer: parents before children, in
/// each directory first what is deleted and then what is there.
///
/// `open` opens one of the layers, by number, for the second time: an uncompressed tar, the same as before. Contents that
/// a layer has before their turn, as of a file whose first name was replaced, are put into a file in `spool_dir`.
pub fn compose<R: BufRead>(
    names: &Names,
    hidden: &Hidden<'_>,
    open: impl FnMut(usize) -> io::Result<R>,
    spool_dir: &Path,
    writer: &mut LayerWriter,
) -> Result<(), MergeError> {
    let mut sources = Sources::new(names, open, spool_dir);
    let mut first_names = FirstNames::default();
    append_deletions(hidden, Path::new(""), writer)?;
    for (path, what) in names.iter() {
        match what {
            What::Deleted => {}
            What::Directory { entry, .. } => {
                sources.append_to(writer, path, entry)?;
                append_deletions(hidden, path, writer)?;
            }
            What::File(place) => match first_names.link(place, path) {
                Some(link) => writer.append(&link, Content::Empty)?,
                None => {
                    let file = sources.append_to(writer, path, place)?;
                    if names.is_linked(place) {
                        first_names.note(place, file);
                    }
                }
            },
        }
    }
    Ok(())
}

fn append_deletions(
    hidden: &Hidden<'_>,
    dir: &Path,
    writer: &mut LayerWriter,
) -> Result<(), MergeError> {
    for path in hidden.in_dir(dir) {
        writer.append_whiteout(path)?;
    }
    Ok(())
}

/// Files that may have further names, as they stand in the layer.
#[derive(Default)]
struct FirstNames(HashMap<Place, LayerEntry>);

impl FirstNames {
    fn note(&mut self, place: Place, file: LayerEntry) {
        self.0.insert(place, file);
    }

    /// Returns the entry of a further name. `None` for the first.
    fn link(&self, place: Place, path: &Path) -> Option<LayerEntry> {
        let file = self.0.get(&place)?;
        let target = file.path.clone();
        Some(LayerEntry {
            path: path.to_path_buf(),
            kind: EntryKind::HardLink { target },
            ..file.clone()
        })
    }
}
