//! What several layers say of each path, as far as it is the last word. This module knows names, not contents.

use std::collections::{BTreeMap, HashSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::error::{EntryProblem, MergeError};
use crate::image::archive::{ArchiveReader, Entry, EntryKind, display};
use crate::image::unpack::entry_path::{EntryPath, join, to_path};
use crate::image::unpack::whiteout::Whiteout;

/// An entry of one of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// Number of the layer, from 0: the lowest.
    pub(super) layer: usize,
    /// Number of the entry in it, from 0.
    pub(super) entry: u64,
}

/// What is at a path when all layers are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing, whatever the layers below have there.
    Deleted,
    /// A directory, as the entry says.
    Directory {
        /// The last entry that described it.
        entry: Place,
        /// Nothing of what the layers below have in it shows.
        is_fresh: bool,
    },
    /// Anything else. Names of one file have the same entry.
    File(Place),
}

/// A path that the layers say something of.
#[derive(Debug)]
struct Known {
    /// The last layer that did.
    layer: usize,
    what: What,
}

/// What several layers say of each path.
#[derive(Debug, Default)]
pub struct Names {
    /// Relative to the root; in the order of a layer: parents before children, siblings by the bytes of their names.
    known: BTreeMap<PathBuf, Known>,
    /// Nothing of the layers below shows at all.
    is_root_fresh: bool,
    /// Files that had several names in some layer.
    linked: HashSet<Place>,
    layers: usize,
}

impl Names {
    /// Puts a layer, as an uncompressed tar, on top of those so far.
    pub fn add_layer(&mut self, tar: impl BufRead) -> Result<(), MergeError> {
        let mut archive = ArchiveReader::new(tar);
        let mut place = Place {
            layer: self.layers,
            entry: 0,
        };
        self.layers += 1;
        while let Some(entry) = archive.next_entry()? {
            self.add(&entry, place)
                .map_err(|problem| MergeError::entry(&entry.name, problem))?;
            place.entry += 1;
        }
        Ok(())
    }

    /// Says whether it matters what the layers below have.
    pub fn hides_something(&self) -> bool {
        let hides = |known: &Known| match known.what {
            What::Deleted => true,
            What::Directory { is_fresh, .. } => is_fresh,
            What::File(_) => false,
        };
        self.is_root_fresh || self.known.values().any(hides)
    }

    /// Returns how many layers there are.
    pub(super) fn layers(&self) -> usize {
        self.layers
    }

    /// Returns every path, in the order of a layer.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, What)> {
        let known = self.known.iter();
        known.map(|(path, known)| (path.as_path(), known.what))
    }

    /// Says whether a file may have other names.
    pub(super) fn is_linked(&self, place: Place) -> bool {
        self.linked.contains(&place)
    }

    /// Returns what must be deleted for `path`, which the layers below have, not to show: itself or a directory that it
    /// lies in. `None` where it shows, or where an entry takes its place anyway.
    pub(super) fn hidden_part<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        let mut is_fresh = self.is_root_fresh;
        let parts: Vec<&Path> = path.ancestors().collect();
        // Without the root, which comes last.
        for part in parts[..parts.len() - 1].iter().rev() {
            match self.what(part) {
                None => return is_fresh.then_some(part),
                Some(What::Deleted) => return Some(part),
                Some(What::File(_)) => return None,
                Some(What::Directory { is_fresh: here, .. }) => is_fresh |= here,
            }
        }
        None
    }

    fn what(&self, path: &Path) -> Option<What> {
        self.known.get(path).map(|known| known.what)
    }

    fn add(&mut self, entry: &Entry, place: Place) -> Result<(), EntryProblem> {
        let Some(path) = EntryPath::clean(&entry.name)? else {
            // The root belongs to whoever made it: as for unpacking.
            return Ok(());
        };
        let parent = to_path(path.parent());
        self.check_directory(parent, place.layer)?;
        match Whiteout::of(&path)? {
            Some(Whiteout::Ignored) => {}
            Some(Whiteout::Opaque) => self.make_fresh(parent, place.layer),
            Some(Whiteout::Of(name)) => {
                self.delete(to_path(&join(path.parent(), name)), place.layer);
            }
            None => self.put(to_path(path.as_bytes()), entry, place)?,
        }
        Ok(())
    }

    /// As tests hold of every layer of ours, and so what is written here will have it too.
    fn check_directory(&self, parent: &Path, layer: usize) -> Result<(), EntryProblem> {
        if parent.as_os_str().is_empty() {
            return Ok(());
        }
        match self.known.get(parent) {
            Some(Known {
                layer: described,
                what: What::Directory { .. },
            }) if *described == layer => Ok(()),
            Some(_) | None => Err(EntryProblem::NoDirectory),
        }
    }

    fn put(&mut self, path: &Path, entry: &Entry, place: Place) -> Result<(), EntryProblem> {
        let what = match &entry.kind {
            EntryKind::Directory => What::Directory {
                entry: place,
                is_fresh: match self.what(path) {
                    None => false,
                    Some(What::Directory { is_fresh, .. }) => is_fresh,
                    // What was there hid all that the layers below have.
                    Some(What::Deleted | What::File(_)) => true,
                },
            },
            EntryKind::HardLink { target } => What::File(self.linked_file(target)?),
            EntryKind::File { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::Fifo
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. } => What::File(place),
        };
        match what {
            What::Directory { .. } => {}
            What::File(_) | What::Deleted => self.forget_below(path, |_| true),
        }
        let layer = place.layer;
        self.known.insert(path.to_path_buf(), Known { layer, what });
        Ok(())
    }

    fn linked_file(&mut self, target: &[u8]) -> Result<Place, EntryProblem> {
        let path = EntryPath::clean(target)?;
        let what = path.and_then(|path| self.what(to_path(path.as_bytes())));
        match what {
            Some(What::File(place)) => {
                self.linked.insert(place);
                Ok(place)
            }
            Some(What::Directory { .. } | What::Deleted) | None => {
                let target = display(target);
                Err(EntryProblem::NoLinkTarget { target })
            }
        }
    }

    /// Deletes what lower layers have at `path`, never what the same layer has, in whatever order (OCI image-spec,
    /// layer.md "Whiteouts").
    fn delete(&mut self, path: &Path, layer: usize) {
        self.forget_below(path, |known| known < layer);
        match self.known.get_mut(path) {
            Some(known) if known.layer == layer => match &mut known.what {
                What::Directory { is_fresh, .. } => *is_fresh = true,
                What::File(_) | What::Deleted => {}
            },
            Some(_) | None => {
                let what = What::Deleted;
                self.known.insert(path.to_path_buf(), Known { layer, what });
            }
        }
    }

    /// Deletes all that lower layers have in a directory, which the same layer describes.
    fn make_fresh(&mut self, dir: &Path, layer: usize) {
        self.forget_below(dir, |known| known < layer);
        match self.known.get_mut(dir).map(|known| &mut known.what) {
            Some(What::Directory { is_fresh, .. }) => *is_fresh = true,
            Some(What::File(_) | What::Deleted) | None => self.is_root_fresh = true,
        }
    }

    /// Forgets what lies below `top`, as far as a layer said it last of which `is_doomed` says so.
    fn forget_below(&mut self, top: &Path, is_doomed: impl Fn(usize) -> bool) {
        let doomed: Vec<PathBuf> = self
            .known
            .range(top.to_path_buf()..)
            .take_while(|(path, _)| path.starts_with(top))
            .filter(|(path, known)| path.as_path() != top && is_doomed(known.layer))
            .map(|(path, _)| path.clone())
            .collect();
        for path in doomed {
            self.known.remove(&path);
        }
    }
}
