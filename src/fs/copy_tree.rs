//! Copying a whole tree exactly as it is, for somebody who goes on from it while it is still needed.
//!
//! Unlike COPY (see [`copy`](super::copy)), nothing is chosen, changed or left out but what belongs to the host.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::recorded::CAPABILITY;
use super::{
    Descent, Dir, FileKind, KnownContents, Metadata, NewFile, PathContext, PathError, Root,
    stored_range,
};

/// Contents pass through a buffer of this size.
const BUFFER_BYTES: usize = 128 * 1024;
/// Files below this size are not searched for holes, as in `file`.
const SPARSE_MIN_BYTES: u64 = 1024 * 1024;

/// Copies all of `from` into the empty directory `to`, and what that directory itself is: contents with their holes,
/// names of one file as names of one file, owners, modes, extended attributes, modification times, special files and
/// sockets. Each side reads and writes through its ledger, if it has one. Labels of the host's security modules stay
/// where they are: the host gives its own to the copies.
///
/// What the copies contain is noted in `known`, so that an index of `to` knows as much as one of `from`. Nobody may
/// change either tree meanwhile. Reads and writes every file; holds one path per file with several names.
pub fn copy_tree(from: &Root, to: &Root, known: &mut KnownContents) -> Result<(), PathError> {
    let mut copier = TreeCopier {
        root: to,
        from: Descent::new(from.dir())?,
        to: Descent::new(to.dir())?,
        path: PathBuf::new(),
        links: HashMap::new(),
        known,
        buffer: vec![0; BUFFER_BYTES],
    };
    copier.copy_all()
}

struct TreeCopier<'a> {
    root: &'a Root,
    from: Descent,
    to: Descent,
    /// Where both stand, relative to the roots.
    path: PathBuf,
    /// The first name of each file with several, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    known: &'a mut KnownContents,
    buffer: Vec<u8>,
}

impl TreeCopier<'_> {
    fn copy_all(&mut self) -> Result<(), PathError> {
        let mut levels = vec![self.names()?];
        while let Some(names) = levels.last_mut() {
            let Some(name) = names.next() else {
                self.finish_dir()?;
                levels.pop();
                self.leave()?;
                continue;
            };
            let Some(metadata) = self.from.dir().metadata_of(&name)? else {
                continue;
            };
            if metadata.is_dir() {
                self.to.dir().create_dir(&name, 0o700)?;
                self.enter(&name)?;
                levels.push(self.names()?);
            } else {
                self.copy_leaf(&name, &metadata)?;
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<std::vec::IntoIter<OsString>, PathError> {
        Ok(self.from.dir().names()?.into_iter())
    }

    fn enter(&mut self, name: &OsStr) -> Result<(), PathError> {
        self.from.enter(name)?;
        self.to.enter(name)?;
        self.path.push(name);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), PathError> {
        self.from.leave()?;
        self.to.leave()?;
        self.path.pop();
        Ok(())
    }

    /// Makes the directory itself what it is to be, once all is in it.
    fn finish_dir(&self) -> Result<(), PathError> {
        let (from, to) = (self.from.dir(), self.to.dir());
        let metadata = from.metadata()?;
        to.set_own_owner(metadata.uid, metadata.gid)?;
        to.set_own_mode(metadata.mode)?;
        for (key, value) in from.own_xattrs()? {
            if is_copied(&key) {
                to.set_own_xattr(&key, &value)?;
            }
        }
        to.set_own_mtime(metadata.mtime)
    }

    /// Copies anything but a directory.
    fn copy_leaf(&mut self, name: &OsStr, metadata: &Metadata) -> Result<(), PathError> {
        let (from, to) = (self.from.dir(), self.to.dir());
        if metadata.nlink > 1 {
            let inode = (metadata.dev, metadata.ino);
            if let Some(first) = self.links.get(&inode) {
                let (dir, first) = self.root.open_parent(first)?;
                return to.create_hard_link(&dir, &first, name);
            }
            self.links.insert(inode, self.path.join(name));
        }
        match metadata.kind {
            FileKind::File => return self.copy_file(name, metadata),
            FileKind::Symlink => to.create_symlink(&from.read_link(name)?, name)?,
            FileKind::Directory
            | FileKind::Fifo
            | FileKind::CharDevice(_)
            | FileKind::BlockDevice(_)
            | FileKind::Socket => to.create_node(name, metadata.kind, 0o600)?,
        }
        to.set_owner(name, metadata.uid, metadata.gid)?;
        if !metadata.is_symlink() {
            to.set_mode(name, metadata.mode)?;
        }
        for (key, value) in from.xattrs_where(name, is_copied)? {
            to.set_xattr(name, &key, &value)?;
        }
        to.set_mtime(name, metadata.mtime)
    }

    fn copy_file(&mut self, name: &OsStr, metadata: &Metadata) -> Result<(), PathError> {
        let (from, to) = (self.from.dir(), self.to.dir());
        let source = from.open_known_file(name)?;
        let mut copy = Contents {
            dir: from,
            name,
            file: to.create_new_file(name, 0o600)?,
            hasher: self.known.hasher(),
            buffer: &mut self.buffer,
        };
        match metadata.size < SPARSE_MIN_BYTES {
            true => copy.take_range(&source, 0, metadata.size)?,
            false => copy.take_stored(&source, metadata.size)?,
        }
        let Contents { file, hasher, .. } = copy;
        file.set_owner(metadata.uid, metadata.gid)?;
        file.set_mode(metadata.mode)?;
        for (key, value) in from.xattrs_where(name, is_copied)? {
            file.set_xattr(&key, &value)?;
        }
        file.set_mtime(metadata.mtime)?;
        self.known.insert(&file.metadata()?, hasher);
        Ok(())
    }
}

/// One file's contents on their way.
struct Contents<'a> {
    dir: &'a Dir,
    name: &'a OsStr,
    file: NewFile<'a>,
    hasher: super::ContentHasher,
    buffer: &'a mut [u8],
}

impl Contents<'_> {
    /// Copies what is stored of the first `size` bytes, and leaves the holes between.
    fn take_stored(&mut self, source: &File, size: u64) -> Result<(), PathError> {
        let path = self.dir.path_of(self.name);
        let mut position = 0;
        while let Some((start, end)) = stored_range(source, position, &path)? {
            self.hasher.update_with_hole(start - position);
            self.take_range(source, start, end)?;
            position = end;
        }
        self.hasher.update_with_hole(size.saturating_sub(position));
        self.file.set_size(size)
    }

    fn take_range(&mut self, source: &File, start: u64, end: u64) -> Result<(), PathError> {
        let mut position = start;
        while position < end {
            let wanted = usize::try_from(end - position).unwrap_or(usize::MAX);
            let wanted = wanted.min(self.buffer.len());
            let count =
                read_at(source, &mut self.buffer[..wanted], position).on("read", self.path())?;
            let bytes = &self.buffer[..count];
            self.file.write_all_at(bytes, position)?;
            self.hasher.update(bytes);
            position += count as u64;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.dir.path_of(self.name)
    }
}

/// Reads at least one byte. A file that has become shorter is an error.
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, position) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Says whether an extended attribute goes with the file.
fn is_copied(key: &OsStr) -> bool {
    key == CAPABILITY || !key.as_bytes().starts_with(b"security.")
}

#[cfg(test)]
mod tests;
