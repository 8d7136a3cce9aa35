//! Which names of the layers below do not show any more: each gets a whiteout. This module knows names, not contents.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

use super::error::{EntryProblem, MergeError};
use super::names::Names;
use crate::image::archive::{ArchiveReader, Entry, EntryKind};
use crate::image::unpack::entry_path::{EntryPath, join, to_path};
use crate::image::unpack::whiteout::Whiteout;

/// Links that are followed on the way to one name, as by the kernel (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Names of the layers below that are hidden.
pub struct Hidden<'n> {
    names: &'n Names,
    /// What is to be deleted, with the last of the layers below that has it. A directory counts as had by all that lies in
    /// it.
    found: BTreeMap<PathBuf, usize>,
    /// Symbolic links of the layers below, with what they lead to: other builders write names that lead through them.
    links: BTreeMap<PathBuf, Link>,
    layers: usize,
}

/// A symbolic link of a layer below.
struct Link {
    target: PathBuf,
    layer: usize,
}

impl<'n> Hidden<'n> {
    /// Begins with no layer below: then nothing is hidden.
    pub fn by(names: &'n Names) -> Self {
        Self {
            names,
            found: BTreeMap::new(),
            links: BTreeMap::new(),
            layers: 0,
        }
    }

    /// Looks at a layer below, as an uncompressed tar; the lowest comes first.
    pub fn see_layer(&mut self, tar: impl BufRead) -> Result<(), MergeError> {
        let mut archive = ArchiveReader::new(tar);
        while let Some(entry) = archive.next_entry()? {
            self.see(&entry)
                .map_err(|problem| MergeError::entry(&entry.name, problem))?;
        }
        self.layers += 1;
        Ok(())
    }

    /// Returns what is to be deleted in a directory, sorted.
    pub(super) fn in_dir(&self, dir: &Path) -> impl Iterator<Item = &Path> {
        // All that lies in the directory stands together.
        let below = self.found.range(dir.to_path_buf()..);
        let below = below.take_while(move |(path, _)| path.starts_with(dir));
        below
            .map(|(path, _)| path.as_path())
            .filter(move |path| path.parent() == Some(dir))
    }

    fn see(&mut self, entry: &Entry) -> Result<(), EntryProblem> {
        let Some(path) = EntryPath::clean(&entry.name)? else {
            return Ok(());
        };
        match Whiteout::of(&path)? {
            Some(Whiteout::Ignored) => {}
            Some(Whiteout::Opaque) => self.forget_lower(to_path(path.parent()), false),
            Some(Whiteout::Of(name)) => {
                self.forget_lower(to_path(&join(path.parent(), name)), true);
            }
            None => self.see_name(to_path(path.as_bytes()), &entry.kind),
        }
        Ok(())
    }

    fn see_name(&mut self, path: &Path, kind: &EntryKind) {
        self.links.remove(path);
        match kind {
            EntryKind::Directory => {}
            EntryKind::Symlink { target } => {
                self.forget_below(path);
                let link = Link {
                    target: to_path(target).to_path_buf(),
                    layer: self.layers,
                };
                self.links.insert(path.to_path_buf(), link);
            }
            EntryKind::File { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::Fifo
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. } => self.forget_below(path),
        }
        self.note(path);
        // A deletion too many harms less than a file that shows again: the name counts as it is written, too.
        if let Some(real) = self.behind_links(path) {
            self.note(&real);
        }
    }

    fn note(&mut self, path: &Path) {
        if let Some(part) = self.names.hidden_part(path) {
            self.found.insert(part.to_path_buf(), self.layers);
        }
    }

    /// Returns where a name is that leads through links. `None` where no directory on the way is one.
    fn behind_links(&self, path: &Path) -> Option<PathBuf> {
        if self.links.is_empty() {
            return None;
        }
        let name = path.file_name()?;
        let mut dir = path.parent()?.to_path_buf();
        let mut is_behind = false;
        for _ in 0..LINKS_MAX {
            let Some(link) = self.first_link_of(&dir) else {
                break;
            };
            let rest = dir.strip_prefix(link).ok()?;
            let target = link.parent()?.join(&self.links[link].target).join(rest);
            dir = within_root(&target);
            is_behind = true;
        }
        is_behind.then(|| dir.join(name))
    }

    fn first_link_of<'p>(&self, dir: &'p Path) -> Option<&'p Path> {
        let links = dir
            .ancestors()
            .filter(|part| self.links.contains_key(*part));
        links.last()
    }

    /// Forgets what the layers below the present one have below `top`, or there too.
    fn forget_lower(&mut self, top: &Path, there_too: bool) {
        let present = self.layers;
        let is_doomed = |path: &Path, layer| layer < present && (there_too || path != top);
        forget(&mut self.found, top, |path, layer| is_doomed(path, *layer));
        forget(&mut self.links, top, |path, link| {
            is_doomed(path, link.layer)
        });
    }

    /// Forgets what lies below a name that is no directory.
    fn forget_below(&mut self, top: &Path) {
        forget(&mut self.found, top, |path, _| path != top);
        forget(&mut self.links, top, |path, _| path != top);
    }
}

/// Returns where `path` leads from the root directory, which is its own parent.
fn within_root(path: &Path) -> PathBuf {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            // At the root there is nothing to leave.
            Component::ParentDir => drop(inside.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    inside
}

/// Forgets what is known of `top` and all below it, as far as `is_doomed` says so.
fn forget<T>(known: &mut BTreeMap<PathBuf, T>, top: &Path, is_doomed: impl Fn(&Path, &T) -> bool) {
    let doomed: Vec<PathBuf> = known
        .range(top.to_path_buf()..)
        .take_while(|(path, _)| path.starts_with(top))
        .filter(|(path, value)| is_doomed(path, value))
        .map(|(path, _)| path.clone())
        .collect();
    for path in doomed {
        known.remove(&path);
    }
}
