//! The files of an image, as its layers say, or as a tool has unpacked them: two trees that can be compared.

use super::image::{Layer, sha256_of_reader};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use tar::{Archive, Entry as TarEntry, EntryType};

/// Every path below the root, without leading or trailing slash; the root itself is left out.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<String, Entry>,
    /// The number that the next file of a layer gets.
    next_inode: u64,
}

/// One path's file. Two are equal when nothing but their inode numbers differs.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// Permission bits, 0o7777 only.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// Paths with the same number are hard links of one file.
    inode: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File {
        size: u64,
        sha256: String,
    },
    Symlink {
        target: String,
    },
    Fifo,
    Device {
        is_block: bool,
        major: u32,
        minor: u32,
    },
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

    fn remove_below(&mut self, directory: &str) {
        self.entries.retain(|path, _| !is_below(path, directory));
    }
}

impl Entry {
    fn on_disk(path: &Path) -> Self {
        let metadata = fs::symlink_metadata(path).expect("stat");
        let file_type = metadata.file_type();
        let kind = if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_symlink() {
            let target = fs::read_link(path).expect("read a link");
            Kind::Symlink {
                target: target.to_string_lossy().into_owned(),
            }
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else if file_type.is_file() {
            let (sha256, size) = sha256_of_reader(File::open(path).expect("open a file"));
            Kind::File { size, sha256 }
        } else {
            let (major, minor) = (
                rustix::fs::major(metadata.rdev()),
                rustix::fs::minor(metadata.rdev()),
            );
            Kind::Device {
                is_block: file_type.is_block_device(),
                major,
                minor,
            }
        };
        Self {
            kind,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid().into(),
            gid: metadata.gid().into(),
            mtime: metadata.mtime(),
            xattrs: xattrs_of(path),
            inode: metadata.ino(),
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        // A symlink's mode means nothing: on Linux it is always 0777 on disk, and a tar may say anything.
        let same_mode = self.mode == other.mode || matches!(self.kind, Kind::Symlink { .. });
        self.kind == other.kind
            && same_mode
            && (self.uid, self.gid, self.mtime) == (other.uid, other.gid, other.mtime)
            && self.xattrs == other.xattrs
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {:04o} {}:{} @{} {:?}",
            self.kind, self.mode, self.uid, self.gid, self.mtime, self.xattrs
        )
    }
}

/// An entry of a layer that is not in the tree yet.
enum UpperEntry {
    Own(Entry),
    HardLink { target: String },
}

impl UpperEntry {
    fn read(entry: &mut TarEntry<'_, impl Read>) -> Self {
        let target = entry
            .link_name_bytes()
            .map(|target| target.into_owned())
            .unwrap_or_default();
        let mut mtime = i64::try_from(entry.header().mtime().expect("an mtime"))
            .expect("an mtime before the year 3000");
        let mut xattrs = BTreeMap::new();
        if let Some(records) = entry.pax_extensions().expect("read PAX records") {
            for record in records {
                let record = record.expect("read a PAX record");
                let key = record.key().expect("a PAX key is UTF-8");
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    xattrs.insert(name.to_owned(), record.value_bytes().to_vec());
                } else if key == "mtime" {
                    let value = record.value().expect("a time is UTF-8");
                    mtime = value
                        .split('.')
                        .next()
                        .expect("a first part")
                        .parse()
                        .expect("a time in seconds");
                }
            }
        }
        let header = entry.header().clone();
        let number = || {
            let major = header
                .device_major()
                .expect("a device number")
                .unwrap_or_default();
            (
                major,
                header
                    .device_minor()
                    .expect("a device number")
                    .unwrap_or_default(),
            )
        };
        let kind = match header.entry_type() {
            EntryType::Link => {
                return Self::HardLink {
                    target: clean(&target),
                };
            }
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink {
                target: String::from_utf8_lossy(&target).into_owned(),
            },
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => Kind::Device {
                is_block: false,
                major: number().0,
                minor: number().1,
            },
            EntryType::Block => Kind::Device {
                is_block: true,
                major: number().0,
                minor: number().1,
            },
            _ => {
                let (sha256, size) = sha256_of_reader(entry);
                Kind::File { size, sha256 }
            }
        };
        Self::Own(Entry {
            kind,
            mode: header.mode().expect("a mode") & 0o7777,
            uid: header.uid().expect("a uid"),
            gid: header.gid().expect("a gid"),
            mtime,
            xattrs,
            inode: 0,
        })
    }
}

fn xattrs_of(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    // A file system without attributes has none.
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(path, name, &mut value).expect("read an attribute");
            value.truncate(length);
            (String::from_utf8_lossy(name).into_owned(), value)
        })
        .collect()
}

/// `./a/b/` and `/a/b` are `a/b`.
fn clean(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path).into_owned();
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    parts.join("/")
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
