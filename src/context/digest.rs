//! Digests of what a source of COPY or ADD, or a bind mount, stands for: by content, never by time.
//!
//! A digest is taken over each path that takes part, relative to the source: its kind and mode, a file's size and bytes, a
//! link's text, a device's number, kept extended attributes, which names are the same file; and the owner where a copy keeps
//! it. Of a directory that is itself the source only the contents count, as only they are copied; where it is mounted, its
//! mode and owner as well. The order in which the file system lists names does not show.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fs::{Choice, Dir, FileKind, Metadata, PathError, Root};
use crate::image::Digest;
use crate::image::digest::DigestHasher;

use super::select::Chooser;

mod contents;

pub use contents::ContentDigests;
use contents::FileDigest;

/// Deepest nesting that is looked into, as in copying.
const DEPTH_MAX: usize = 2048;

/// Paths that wait for the digests of their contents. Memory does not grow beyond them, and there are enough to keep all
/// processors busy.
const BATCH_FILES: usize = 512;

/// What counts, apart from contents.
pub struct DigestRules<'a> {
    /// Says of a path, relative to the root, whether it takes part.
    pub choose: &'a Chooser<'a>,
    /// Whether copies keep their owners, so that these count.
    pub keeps_owner: bool,
    /// Which extended attributes are kept, and so count.
    pub keeps_xattr: fn(&OsStr) -> bool,
    /// Whether a directory that is the source is itself seen, as in a mount, so that its mode counts.
    pub shows_itself: bool,
}

/// Returns the digest of what lies at `path` in `root`: a file, or the contents of a directory. Links in `path` are
/// followed inside the root; links found below a directory count as links.
///
/// Reads every file that takes part, unless `contents` has done so before.
pub fn digest(
    root: &Root,
    path: &Path,
    rules: &DigestRules<'_>,
    contents: &ContentDigests,
) -> Result<Digest, PathError> {
    let path = root.resolve(path)?;
    let Some(metadata) = root.symlink_metadata(&path)? else {
        let outside = root.outside_path(&path);
        return Err(PathError::new("hash", outside, rustix::io::Errno::NOENT));
    };
    let mut walk = Walk {
        root,
        rules,
        contents,
        hasher: DigestHasher::default(),
        batch: Vec::new(),
        links: BTreeMap::new(),
    };
    walk.hash_field(&[u8::from(metadata.is_dir()), u8::from(rules.keeps_owner)]);
    if metadata.is_dir() {
        if rules.shows_itself {
            walk.itself(&metadata);
        }
        let dir = root.open_dir(&path)?;
        walk.contents_of(&dir, &path, Path::new(""), &mut Vec::new())?;
    } else {
        let (dir, name) = root.open_parent(&path)?;
        walk.entry(&dir, &name, &path, Path::new(""), &metadata)?;
    }
    walk.finish()
}

struct Walk<'a> {
    root: &'a Root,
    rules: &'a DigestRules<'a>,
    contents: &'a ContentDigests,
    hasher: DigestHasher,
    /// What was found and not yet hashed, in order.
    batch: Vec<Found>,
    /// The first name of each file that has several.
    links: BTreeMap<(u64, u64), PathBuf>,
}

/// A path that takes part, but for the bytes of a file.
struct Found {
    /// All that counts, as it is hashed.
    record: Vec<u8>,
    /// The file whose bytes come behind, relative to the root.
    file: Option<(PathBuf, Metadata)>,
}

/// A directory that takes part only if something below it does.
struct Pending {
    record: Vec<u8>,
}

impl Walk<'_> {
    /// Adds the directory that is the source.
    fn itself(&mut self, metadata: &Metadata) {
        let Metadata { mode, uid, gid, .. } = *metadata;
        let (uid, gid) = if self.rules.keeps_owner {
            (uid, gid)
        } else {
            (0, 0)
        };
        for number in [mode, uid, gid] {
            self.hash_field(&number.to_le_bytes());
        }
    }

    /// Goes through a directory. `path` is relative to the root, `relative` to the source.
    fn contents_of(
        &mut self,
        dir: &Dir,
        path: &Path,
        relative: &Path,
        pending: &mut Vec<Pending>,
    ) -> Result<(), PathError> {
        if relative.iter().count() > DEPTH_MAX {
            let errno = rustix::io::Errno::NAMETOOLONG;
            return Err(PathError::new("hash", dir.path(), errno));
        }
        for name in dir.names()? {
            let Some(metadata) = dir.metadata_of(&name)? else {
                continue;
            };
            let (path, relative) = (path.join(&name), relative.join(&name));
            let choice = (self.rules.choose)(&path, &metadata);
            let takes_part = match choice {
                Choice::Skip => continue,
                Choice::Descend | Choice::Pass if !metadata.is_dir() => continue,
                Choice::Descend | Choice::Pass => false,
                Choice::Take => true,
            };
            if takes_part {
                self.take_pending(pending)?;
            }
            if !metadata.is_dir() {
                self.entry(dir, &name, &path, &relative, &metadata)?;
                continue;
            }
            let mut record = self.record(dir, &name, &relative, &metadata)?;
            if choice == Choice::Pass {
                // A directory that is there already keeps its owner and attributes then.
                push_field(&mut record, b"way");
            }
            let waiting = pending.len();
            if takes_part {
                self.found(Found { record, file: None })?;
            } else {
                pending.push(Pending { record });
            }
            self.contents_of(&dir.open_dir(&name)?, &path, &relative, pending)?;
            pending.truncate(waiting);
        }
        Ok(())
    }

    /// Adds the directories on the way to something that takes part.
    fn take_pending(&mut self, pending: &mut Vec<Pending>) -> Result<(), PathError> {
        for Pending { record } in pending.drain(..) {
            self.found(Found { record, file: None })?;
        }
        Ok(())
    }

    /// Adds anything but a directory.
    fn entry(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        path: &Path,
        relative: &Path,
        metadata: &Metadata,
    ) -> Result<(), PathError> {
        let mut record = self.record(dir, name, relative, metadata)?;
        if let Some(first) = self.first_name(metadata, relative) {
            push_field(&mut record, first.as_os_str().as_bytes());
            return self.found(Found { record, file: None });
        }
        let file = metadata.is_file().then(|| (path.to_path_buf(), *metadata));
        self.found(Found { record, file })
    }

    /// Returns what counts of a path, but for the bytes of a file.
    fn record(
        &self,
        dir: &Dir,
        name: &OsStr,
        relative: &Path,
        metadata: &Metadata,
    ) -> Result<Vec<u8>, PathError> {
        let mut record = Vec::with_capacity(128);
        push_field(&mut record, relative.as_os_str().as_bytes());
        let (kind, device) = match metadata.kind {
            FileKind::File => (b'f', 0),
            FileKind::Directory => (b'd', 0),
            FileKind::Symlink => (b'l', 0),
            FileKind::Fifo => (b'p', 0),
            FileKind::CharDevice(device) => (b'c', device),
            FileKind::BlockDevice(device) => (b'b', device),
            FileKind::Socket => (b's', 0),
        };
        push_field(&mut record, &[kind]);
        push_field(&mut record, &device.to_le_bytes());
        // The mode of a link is the kernel's, not the user's.
        let mode = if metadata.is_symlink() {
            0
        } else {
            metadata.mode
        };
        push_field(&mut record, &mode.to_le_bytes());
        if self.rules.keeps_owner {
            push_field(&mut record, &metadata.uid.to_le_bytes());
            push_field(&mut record, &metadata.gid.to_le_bytes());
        }
        if metadata.is_symlink() {
            push_field(&mut record, dir.read_link(name)?.as_bytes());
        }
        // Copying keeps the attributes of files and directories.
        if metadata.is_file() || metadata.is_dir() {
            let xattrs = dir.xattrs_where(name, self.rules.keeps_xattr)?;
            push_field(&mut record, &(xattrs.len() as u64).to_le_bytes());
            for (key, value) in xattrs {
                push_field(&mut record, key.as_bytes());
                push_field(&mut record, &value);
            }
        }
        Ok(record)
    }

    /// Returns the name that the same file had before, and remembers this one.
    fn first_name(&mut self, metadata: &Metadata, relative: &Path) -> Option<PathBuf> {
        if metadata.nlink < 2 {
            return None;
        }
        let inode = (metadata.dev, metadata.ino);
        if let Some(first) = self.links.get(&inode) {
            return Some(first.clone());
        }
        self.links.insert(inode, relative.to_path_buf());
        None
    }

    fn found(&mut self, found: Found) -> Result<(), PathError> {
        self.batch.push(found);
        if self.batch.len() >= BATCH_FILES {
            self.hash_batch()?;
        }
        Ok(())
    }

    fn hash_batch(&mut self) -> Result<(), PathError> {
        let batch = std::mem::take(&mut self.batch);
        let files: Vec<&(PathBuf, Metadata)> = batch
            .iter()
            .filter_map(|found| found.file.as_ref())
            .collect();
        let mut digests = self.contents.of_files(self.root, &files)?.into_iter();
        for found in &batch {
            self.hash_field(&found.record);
            // What has no bytes is followed by an empty field, which no size is.
            let contents = match &found.file {
                Some(_) => digests.next(),
                None => None,
            };
            match contents {
                Some(FileDigest { size, sha256 }) => {
                    self.hash_field(&size.to_le_bytes());
                    self.hash_field(&sha256);
                }
                None => self.hash_field(&[]),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Digest, PathError> {
        self.hash_batch()?;
        Ok(self.hasher.finish())
    }

    fn hash_field(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

/// Adds bytes behind their length.
fn push_field(record: &mut Vec<u8>, bytes: &[u8]) {
    record.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    record.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
