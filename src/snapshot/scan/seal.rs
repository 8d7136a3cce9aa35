//! A seal stands for what `stat` does not tell of a file: its contents, the text of a link, and the attributes that a
//! layer keeps. This module knows bytes and files, not when they changed.
//!
//! A tree that is changed in place does not have what a file was before. Where a step leaves a file with everything
//! that `stat` tells but another change time (`chmod` to the mode it had, a file unpacked again, one renamed away and
//! back), only the seal from before says whether the layer needs it again.

use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;

use crate::fs::{Dir, FileKind, KnownContents, Metadata, PathContext, PathError};
use crate::snapshot::change::is_kept_xattr;

/// A file is read this much at a time.
const READ_BYTES: usize = 128 * 1024;

/// What a file is beyond its metadata, in 64 bits under a secret key of this process: two that differ are taken for
/// the same once in 2^64 comparisons, and nobody can make two such files on purpose. Never written anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal(NonZeroU64);

/// Makes seals.
pub(super) struct Sealer<'a> {
    key: &'a RandomState,
    contents: Contents<'a>,
}

/// Where the contents of regular files come from.
enum Contents<'a> {
    Known(&'a KnownContents),
    Read,
}

impl<'a> Sealer<'a> {
    /// Seals files without reading them: those with known contents only.
    pub(super) fn of_known(known: &'a KnownContents) -> Self {
        Self {
            key: known.key(),
            contents: Contents::Known(known),
        }
    }

    /// Seals every file by reading it.
    pub(super) fn reading(key: &'a RandomState) -> Self {
        Self {
            key,
            contents: Contents::Read,
        }
    }

    /// Returns the seal of `name` in `dir`; `None` for a file whose contents are not known.
    pub(super) fn seal(
        &self,
        dir: &Dir,
        name: &OsStr,
        metadata: &Metadata,
    ) -> Result<Option<Seal>, PathError> {
        let contents = match metadata.kind {
            FileKind::File => self.hash_of_file(dir, name, metadata)?,
            FileKind::Symlink => Some(self.hash_of(dir.read_link(name)?.as_bytes())),
            FileKind::Directory
            | FileKind::Fifo
            | FileKind::CharDevice(_)
            | FileKind::BlockDevice(_)
            | FileKind::Socket => Some(0),
        };
        let Some(contents) = contents else {
            return Ok(None);
        };
        let xattrs = dir.xattrs_where(name, is_kept_xattr)?;
        let hash = self.key.hash_one((contents, xattrs));
        Ok(Some(Seal(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))))
    }

    fn hash_of_file(
        &self,
        dir: &Dir,
        name: &OsStr,
        metadata: &Metadata,
    ) -> Result<Option<u64>, PathError> {
        if metadata.size == 0 {
            return Ok(Some(self.hash_of(b"")));
        }
        match self.contents {
            Contents::Known(known) => Ok(known.hash_of(metadata)),
            Contents::Read => self.read(dir, name).map(Some),
        }
    }

    fn read(&self, dir: &Dir, name: &OsStr) -> Result<u64, PathError> {
        let mut file = dir.open_known_file(name)?;
        let mut hasher = self.key.build_hasher();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match file.read(&mut bytes) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.write(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).on("read", dir.path_of(name)),
            }
        }
    }

    fn hash_of(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.key.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn known(pieces: &[&str], dir: &Dir, name: &OsStr) -> (KnownContents, Metadata) {
        let mut known = KnownContents::default();
        let mut hasher = known.hasher();
        for piece in pieces {
            hasher.write_all(piece.as_bytes()).unwrap();
        }
        let metadata = dir.metadata_of(name).unwrap().unwrap();
        known.insert(&metadata, hasher);
        (known, metadata)
    }

    #[test]
    fn contents_in_pieces_and_contents_read_have_one_seal() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("f"), "one two three").unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let name = OsStr::new("f");
        for pieces in [&["one two three"][..], &["o", "ne two", "", " three"]] {
            let (known, metadata) = known(pieces, &dir, name);
            let told = Sealer::of_known(&known).seal(&dir, name, &metadata);
            let read = Sealer::reading(known.key()).seal(&dir, name, &metadata);
            let told = told.unwrap();
            assert!(told.is_some());
            assert_eq!(told, read.unwrap(), "{pieces:?}");
        }
        let (other, metadata) = known(&["one two tree!"], &dir, name);
        let told = Sealer::of_known(&other).seal(&dir, name, &metadata);
        let read = Sealer::reading(other.key()).seal(&dir, name, &metadata);
        assert_ne!(told.unwrap(), read.unwrap());
    }

    #[test]
    fn a_file_with_unknown_contents_has_no_seal_unless_it_is_empty() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("full"), "x").unwrap();
        std::fs::write(temp.path().join("empty"), "").unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let known = KnownContents::default();
        let seal = |name: &str| {
            let name = OsStr::new(name);
            let metadata = dir.metadata_of(name).unwrap().unwrap();
            Sealer::of_known(&known)
                .seal(&dir, name, &metadata)
                .unwrap()
        };
        assert_eq!(seal("full"), None);
        assert!(seal("empty").is_some());
    }
}
