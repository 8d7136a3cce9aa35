//! Files by name, in a directory or in a tar.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::super::decompress::{Compression, HEAD_BYTES};
use super::error::StoredImageError;
use super::part::FilePart;
use crate::fs::{PathContext, PathError};

/// Entries of a tar that are remembered: an image has at most a few hundred blobs, and a tar of one
/// image hardly three entries for each.
const ENTRIES_MAX: usize = 1 << 17;

/// What an entry for a long name or for PAX records may have.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Links that one name may pass before it counts as a loop, as in Linux.
const LINKS_MAX: usize = 40;

/// Files that have names.
#[derive(Debug)]
pub(super) enum Files {
    /// Those below a directory.
    Dir(PathBuf),
    /// Those in a tar.
    Tar {
        path: PathBuf,
        entries: BTreeMap<Vec<String>, Entry>,
    },
}

/// What a tar has under a name.
#[derive(Debug)]
pub(super) enum Entry {
    File {
        start: u64,
        size: u64,
    },
    /// A link to another name: older versions of `docker save` store a layer once.
    Link(Vec<String>),
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Self, StoredImageError> {
        let found = std::fs::metadata(path).on("open", path)?;
        if found.is_dir() {
            return Ok(Self::Dir(path.to_path_buf()));
        }
        Ok(Self::Tar {
            entries: entries(path)?,
            path: path.to_path_buf(),
        })
    }

    /// Returns the directory or the tar.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Dir(path) | Self::Tar { path, .. } => path,
        }
    }

    /// Returns where the file of a name is. In a directory, the name must be one of ours.
    pub(super) fn find(&self, name: &str) -> Result<Option<FilePart>, PathError> {
        match self {
            Self::Dir(dir) => whole_file(&dir.join(name)),
            Self::Tar { path, entries } => Ok(in_tar(entries, name).map(|(start, size)| {
                let path = path.clone();
                FilePart { path, start, size }
            })),
        }
    }
}

fn whole_file(path: &Path) -> Result<Option<FilePart>, PathError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(FilePart {
            path: path.to_path_buf(),
            start: 0,
            size: found.len(),
        })),
        Ok(_) => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).on("open", path),
    }
}

fn in_tar(entries: &BTreeMap<Vec<String>, Entry>, name: &str) -> Option<(u64, u64)> {
    let mut name = clean(&[], name)?;
    for _ in 0..LINKS_MAX {
        match entries.get(&name)? {
            Entry::File { start, size } => return Some((*start, *size)),
            Entry::Link(target) => name.clone_from(target),
        }
    }
    None
}

/// Reads the headers of a tar, and nothing else of it. What is found is hashed before it is used, so a
/// wrong reading of them can do no harm. Of entries with one name, the last counts.
fn entries(path: &Path) -> Result<BTreeMap<Vec<String>, Entry>, StoredImageError> {
    let in_tar = |source| StoredImageError::Tar {
        path: path.to_path_buf(),
        source,
    };
    refuse_compressed(path)?;
    check_extensions(path).map_err(in_tar)?;
    let mut archive = tar::Archive::new(File::open(path).on("open", path)?);
    let mut entries = BTreeMap::new();
    for entry in archive.entries_with_seek().map_err(in_tar)? {
        let entry = entry.map_err(in_tar)?;
        let name = entry.path_bytes();
        let Some(name) = clean(&[], &String::from_utf8_lossy(&name)) else {
            continue;
        };
        let kind = entry.header().entry_type();
        let target = entry.link_name_bytes();
        let target = target.map(|target| String::from_utf8_lossy(&target).into_owned());
        let found = match target {
            Some(target) if kind.is_symlink() => {
                let dir = &name[..name.len().saturating_sub(1)];
                clean(dir, &target).map(Entry::Link)
            }
            Some(target) if kind.is_hard_link() => clean(&[], &target).map(Entry::Link),
            Some(_) | None => kind.is_file().then(|| Entry::File {
                start: entry.raw_file_position(),
                size: entry.size(),
            }),
        };
        if let Some(found) = found {
            entries.insert(name, found);
        }
        if entries.len() > ENTRIES_MAX {
            return Err(StoredImageError::TooManyEntries {
                path: path.to_path_buf(),
                limit: ENTRIES_MAX,
            });
        }
    }
    Ok(entries)
}

/// Names that are too long for a header stand in entries of their own, which are held in memory.
fn check_extensions(path: &Path) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry?;
        let kind = entry.header().entry_type();
        let is_extension = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if is_extension && entry.size() > EXTENSION_BYTES_MAX {
            let problem = "an entry for a long name is longer than any name";
            return Err(std::io::Error::new(ErrorKind::InvalidData, problem));
        }
    }
    Ok(())
}

fn refuse_compressed(path: &Path) -> Result<(), StoredImageError> {
    let mut head = Vec::new();
    let file = File::open(path).on("open", path)?;
    let mut file = file.take(HEAD_BYTES as u64);
    file.read_to_end(&mut head).on("read", path)?;
    match Compression::of_head(&head) {
        Compression::None => Ok(()),
        other @ (Compression::Gzip | Compression::Zstd | Compression::Bzip2 | Compression::Xz) => {
            Err(StoredImageError::Compressed {
                path: path.to_path_buf(),
                compression: other.name(),
            })
        }
    }
}

/// Returns the parts of a name that is read from `dir` on. `None` for one that climbs out of the tar.
fn clean(dir: &[String], name: &str) -> Option<Vec<String>> {
    let mut parts = match name.starts_with('/') {
        true => Vec::new(),
        false => dir.to_vec(),
    };
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name.to_owned()),
        }
    }
    Some(parts)
}
