//! Hashes of contents that passed through our hands. This module knows bytes and inodes, not what they are compared
//! with.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::io::{self, Write};

use super::Metadata;

/// Holes are hashed as the zeros that they read as, up to this many bytes in one file: an archive of a few bytes can
/// describe a file of exabytes.
const HOLES_MAX_BYTES: u64 = 256 * 1024 * 1024;
const ZEROS: [u8; 4096] = [0; 4096];

/// Contents of regular files that were hashed while they were written, so that nobody need read them again: filled
/// by whoever unpacks or copies a tree, used once by the first index of it.
///
/// It goes by inodes: from the first insertion to the index, nobody may write regular files in the tree without
/// inserting them. Files that are missing here are no error. If several layers are unpacked into one tree, one value
/// goes through all of them. About 40 bytes per file. The hashes are of 64 bits under a secret key of this process;
/// never written anywhere.
#[derive(Debug, Default)]
pub struct KnownContents {
    key: RandomState,
    hashes: HashMap<(u64, u64), u64>,
}

impl KnownContents {
    /// Returns the key under which the contents are hashed.
    pub fn key(&self) -> &RandomState {
        &self.key
    }

    /// Begins the hash of one file's contents.
    pub fn hasher(&self) -> ContentHasher {
        ContentHasher {
            hasher: self.key.build_hasher(),
            holes: 0,
        }
    }

    /// Notes what `file` contains: everything that went through `hasher`, in order.
    pub fn insert(&mut self, file: &Metadata, hasher: ContentHasher) {
        let inode = (file.dev, file.ino);
        match hasher.holes > HOLES_MAX_BYTES {
            false => self.hashes.insert(inode, hasher.hasher.finish()),
            // What is known may be of a file that had the number before.
            true => self.hashes.remove(&inode),
        };
    }

    /// Returns the hash of what `file` contains; `None` where nobody knows.
    pub fn hash_of(&self, file: &Metadata) -> Option<u64> {
        self.hashes.get(&(file.dev, file.ino)).copied()
    }
}

/// The hash of contents in the making. Write the file's bytes to it as they pass, in pieces of any size.
#[derive(Debug)]
pub struct ContentHasher {
    hasher: DefaultHasher,
    /// Bytes of holes so far.
    holes: u64,
}

impl ContentHasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    /// Takes in a hole of `count` bytes. With more than 256 MiB of them in one file, its contents stay unknown.
    pub fn update_with_hole(&mut self, count: u64) {
        self.holes = self.holes.saturating_add(count);
        let mut left = match self.holes > HOLES_MAX_BYTES {
            false => count,
            true => 0,
        };
        while left > 0 {
            let piece = left.min(ZEROS.len() as u64);
            self.hasher.write(&ZEROS[..piece as usize]);
            left -= piece;
        }
    }
}

impl Write for ContentHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Dir;
    use std::ffi::OsStr;

    fn any_file() -> Metadata {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        dir.create_file(OsStr::new("f"), 0o600).unwrap();
        dir.metadata_of(OsStr::new("f")).unwrap().unwrap()
    }

    #[test]
    fn a_hole_is_the_zeros_that_it_reads_as() {
        let (mut known, file) = (KnownContents::default(), any_file());
        let mut hasher = known.hasher();
        hasher.write_all(b"a").unwrap();
        hasher.update_with_hole(10_000);
        hasher.write_all(b"z").unwrap();
        known.insert(&file, hasher);
        let with_hole = known.hash_of(&file);
        let mut hasher = known.hasher();
        let bytes = [&b"a"[..], &[0; 10_000], b"z"].concat();
        hasher.write_all(&bytes).unwrap();
        known.insert(&file, hasher);
        assert!(with_hole.is_some());
        assert_eq!(with_hole, known.hash_of(&file));
    }

    #[test]
    fn a_file_of_nearly_nothing_but_holes_is_not_known_nor_is_what_it_replaced() {
        let (mut known, file) = (KnownContents::default(), any_file());
        known.insert(&file, known.hasher());
        let mut hasher = known.hasher();
        for _ in 0..3 {
            hasher.update_with_hole(u64::MAX / 2);
        }
        known.insert(&file, hasher);
        assert_eq!(known.hash_of(&file), None);
    }
}
