//! The files of an image, as its layers say, or as a tool has unpacked them: two trees that can be compared.

use super::entry::{Entry, Kind, UpperEntry, clean};
use super::image::Layer;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use tar::Archive;

/// Every path below the root, without leading or trailing slash; the root itself is left out.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<String, Entry>,
    /// The number that the next file of a layer gets.
    next_inode: u64,
}

impl Tree {
    /// Applies layers one over the other, base first.
    pub(crate) fn of_layers(layers: &[Layer]) -> Self {
        let mut tree = Self::default();
        for layer in layers {
            tree.apply(layer.open());
        }
        tree
    }

    /// Reads a directory as it lies on the disk.
    pub(crate) fn of_directory(root: &Path) -> Self {
        let mut tree = Self::default();
        for found in walkdir::WalkDir::new(root).min_depth(1) {
            let found = found.expect("walk a directory");
            let path = found.path().strip_prefix(root).expect("below the root");
            tree.entries.insert(
                path.to_string_lossy().into_owned(),
                Entry::on_disk(found.path()),
            );
        }
        tree
    }

    /// Applies one layer: first what it deletes from the layers below, whatever the order in the tar, then its entries.
    pub(crate) fn apply(&mut self, layer: impl Read) {
        let mut upper = Vec::new();
        let mut archive = Archive::new(layer);
        for entry in archive.entries().expect("read a layer") {
            let mut entry = entry.expect("read a layer");
            let path = clean(&entry.path_bytes());
            if path.is_empty() {
                continue;
            }
            let (parent, name) = split(&path);
            // OCI image-spec, layer.md "Whiteouts".
            if name == ".wh..wh..opq" {
                self.remove_below(parent);
            } else if let Some(deleted) = name.strip_prefix(".wh.") {
                self.remove(&join(parent, deleted));
            } else {
                let read = UpperEntry::read(&mut entry);
                upper.push((path, read));
            }
        }
        for (path, entry) in upper {
            self.put(path, entry);
        }
    }

    /// Returns the entry; a missing one fails the test with its neighbours' names.
    pub(crate) fn get(&self, path: &str) -> &Entry {
        self.entries.get(path).unwrap_or_else(|| {
            let (parent, _) = split(path);
            panic!(
                "no `{path}` in the image; its directory has {:?}",
                self.names_in(parent)
            )
        })
    }

    /// The entry, where there is one.
    pub(crate) fn find(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Every path, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// How many paths there are below `directory`, at any depth.
    pub(crate) fn count_below(&self, directory: &str) -> usize {
        self.entries
            .keys()
            .filter(|path| is_below(path, directory))
            .count()
    }

    /// The names directly in a directory, sorted; empty where there is none.
    pub(crate) fn names_in(&self, directory: &str) -> Vec<&str> {
        let paths = self.entries.keys().map(|path| split(path));
        paths
            .filter(|(parent, _)| *parent == directory)
            .map(|(_, name)| name)
            .collect()
    }

    pub(crate) fn are_hard_links(&self, one: &str, other: &str) -> bool {
        self.get(one).inode == self.get(other).inode
    }

    /// The first path, by name, of the file that `path` is a name of: `path` itself but for hard links.
    pub(crate) fn first_name_of(&self, path: &str) -> &str {
        let inode = self.get(path).inode;
        let mut names = self.entries.iter();
        let first = names.find(|(_, entry)| entry.inode == inode);
        first.expect("at least this one").0
    }

    /// What differs, a line for each path; empty for equal trees.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (path, entry) in &self.entries {
            match other.entries.get(path) {
                None => differences.push(format!("{path}: only in the first")),
                Some(counterpart) if counterpart != entry => {
                    differences.push(format!(
                        "{path}: {entry:?} in the first, {counterpart:?} in the second"
                    ));
                }
                Some(_) => {}
            }
        }
        let only_there = other
            .entries
            .keys()
            .filter(|path| !self.entries.contains_key(*path));
        differences.extend(only_there.map(|path| format!("{path}: only in the second")));
        differences
    }

    /// The same tree with every time at zero, for builds of which each has its own.
    pub(crate) fn without_times(mut self) -> Self {
        for entry in self.entries.values_mut() {
            entry.mtime = 0;
        }
        self
    }

    /// The same tree with every file of one owner, and without what only root could give it: as an ordinary user has it
    /// who unpacks it.
    pub(crate) fn of_user(mut self, uid: u64, gid: u64) -> Self {
        for entry in self.entries.values_mut() {
            (entry.uid, entry.gid) = (uid, gid);
            entry.xattrs.remove("security.capability");
        }
        self.entries
            .retain(|_, entry| !matches!(entry.kind, Kind::Device { .. }));
        self
    }

    fn put(&mut self, path: String, entry: UpperEntry) {
        let entry = match entry {
            UpperEntry::HardLink { target } => self.get(&target).clone(),
            UpperEntry::Own(mut entry) => {
                self.next_inode += 1;
                entry.inode = self.next_inode;
                entry
            }
        };
        let (parent, _) = split(&path);
        let parent_kind = self.entries.get(parent).map(|entry| &entry.kind);
        let is_in_directory =
            parent.is_empty() || matches!(parent_kind, None | Some(Kind::Directory));
        assert!(
            is_in_directory,
            "`{path}` lies in something that is no directory: {parent_kind:?}"
        );
        if entry.kind != Kind::Directory {
            self.remove_below(&path);
        }
        self.entries.insert(path, entry);
    }

    fn remove(&mut self, path: &str) {
        self.entries.remove(path);
        self.remove_below(path);
    }

    /// Costs what is removed: this is asked for each file of each layer.
    fn remove_below(&mut self, directory: &str) {
        if directory.is_empty() {
            self.entries.clear();
            return;
        }
        let start = format!("{directory}/");
        let from_there = self.entries.range(start.clone()..);
        let below: Vec<String> = from_there
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&start))
            .cloned()
            .collect();
        for path in below {
            self.entries.remove(&path);
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

/// Whether `path` is something inside `directory`; the empty directory is the root.
fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
}
