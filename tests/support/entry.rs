//! One file of an image, as a layer's tar says it or as it lies on a disk.

use super::image::{sha256, sha256_of_reader};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use tar::{Entry as TarEntry, EntryType};

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
    pub(super) inode: u64,
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

impl Kind {
    /// A file with these contents.
    pub(crate) fn file(contents: &str) -> Self {
        let size = contents.len() as u64;
        Self::File {
            size,
            sha256: sha256(contents.as_bytes()),
        }
    }
}

impl Entry {
    /// Reads the file as it lies on the disk.
    pub(super) fn on_disk(path: &Path) -> Self {
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
pub(super) enum UpperEntry {
    Own(Entry),
    HardLink { target: String },
}

impl UpperEntry {
    pub(super) fn read(entry: &mut TarEntry<'_, impl Read>) -> Self {
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
pub(super) fn clean(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path).into_owned();
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    parts.join("/")
}
