//! A pack: the objects that a server sent, in one file (git documentation, "gitformat-pack").
//!
//! Nothing in it is believed. Every object is hashed when the pack is read, so that what is found under a name is what the
//! name says. Files that are no delta are never held in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;

use flate2::bufread::ZlibDecoder;
use tokio_util::sync::CancellationToken;

use super::delta;
use super::error::malformed;
use super::object::{ObjectId, ObjectKind};

mod reading;
mod resolving;

use reading::{CountingReader, read_entry, read_header};

/// What a pack may come to.
#[derive(Clone, Copy)]
struct Limits {
    /// What is known of each object is held in memory.
    objects: usize,
    /// The largest file that is held in memory, because it is written as a delta.
    file_bytes: u64,
    /// The largest of all other objects.
    other_bytes: u64,
    /// Objects that are held because further deltas stand on them, together.
    held_bytes: u64,
    /// How many deltas may stand on each other.
    delta_depth: usize,
}

const LIMITS: Limits = Limits {
    objects: 8_000_000,
    // git itself makes no deltas of files beyond this (`core.bigFileThreshold`).
    file_bytes: 512 * 1024 * 1024,
    other_bytes: 32 * 1024 * 1024,
    held_bytes: 64 * 1024 * 1024,
    // git's own maximum (git documentation, "git-pack-objects", `--depth`).
    delta_depth: 4095,
};

impl Limits {
    fn bytes_of(&self, kind: ObjectKind) -> u64 {
        match kind {
            ObjectKind::Blob => self.file_bytes,
            ObjectKind::Commit | ObjectKind::Tree | ObjectKind::Tag => self.other_bytes,
        }
    }
}

/// What is held in memory of a file on its way.
const COPY_BYTES: usize = 128 * 1024;

/// The objects of a pack file.
pub(super) struct Pack {
    file: File,
    entries: Vec<PackEntry>,
    by_id: HashMap<ObjectId, usize>,
    by_offset: HashMap<u64, usize>,
    limits: Limits,
    /// Ends all reading.
    stop: CancellationToken,
    /// The last bytes of the file.
    pub(super) checksum: ObjectId,
}

/// One object in the file.
pub(super) struct PackEntry {
    /// Its name, once known.
    id: Option<ObjectId>,
    kind: StoredKind,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Where its compressed bytes begin.
    data: u64,
    /// Bytes, once decompressed.
    size: u64,
    /// CRC-32 over all of it as it stands in the file.
    pub(super) crc: u32,
}

#[derive(Clone, Copy)]
enum StoredKind {
    Whole(ObjectKind),
    /// A delta on the object at an offset.
    OnOffset(u64),
    /// A delta on an object of the same pack.
    OnId(ObjectId),
}

impl Pack {
    /// Reads a pack and works out the names of its objects. Inflates all of it once, and what deltas stand on again.
    pub(super) fn read(file: File, stop: &CancellationToken) -> io::Result<Self> {
        Self::read_within(file, LIMITS, stop)
    }

    fn read_within(file: File, limits: Limits, stop: &CancellationToken) -> io::Result<Self> {
        let own = file.try_clone()?;
        let start = At {
            file: &own,
            offset: 0,
            stop,
        };
        let mut reader = CountingReader::new(BufReader::with_capacity(COPY_BYTES, start));
        let count = read_header(&mut reader)?;
        if count > limits.objects {
            return Err(malformed(format!("a pack of {count} objects")));
        }
        let mut pack = Self {
            file,
            entries: Vec::new(),
            by_id: HashMap::new(),
            by_offset: HashMap::new(),
            limits,
            stop: stop.clone(),
            checksum: ObjectId::from_bytes(&[0; ObjectId::BYTES])?,
        };
        for index in 0..count {
            let entry = read_entry(&mut reader)?;
            pack.by_offset.insert(entry.offset, index);
            if let Some(id) = entry.id {
                pack.by_id.insert(id, index);
            }
            pack.entries.push(entry);
        }
        let mut checksum = [0; ObjectId::BYTES];
        reader.read_exact(&mut checksum)?;
        pack.checksum = ObjectId::from_bytes(&checksum)?;
        pack.resolve_deltas()?;
        Ok(pack)
    }

    /// Returns the objects with their names, in the order of the names.
    pub(super) fn sorted(&self) -> Vec<(ObjectId, &PackEntry)> {
        let named = self.by_id.iter();
        let mut sorted: Vec<_> = named.map(|(id, at)| (*id, &self.entries[*at])).collect();
        sorted.sort_by_key(|(id, _)| *id);
        sorted
    }

    /// Copies the file itself.
    pub(super) fn copy_file_to(&self, target: &mut dyn Write) -> io::Result<()> {
        let mut reader = At {
            file: &self.file,
            offset: 0,
            stop: &self.stop,
        };
        io::copy(&mut reader, target).map(|_| ())
    }

    /// Returns an object; `None` where the pack does not have it.
    pub(super) fn find(&self, id: &ObjectId) -> io::Result<Option<(ObjectKind, Vec<u8>)>> {
        self.find_within(id, self.limits.file_bytes)
    }

    fn find_within(&self, id: &ObjectId, limit: u64) -> io::Result<Option<(ObjectKind, Vec<u8>)>> {
        match self.by_id.get(id) {
            Some(index) => self.object(*index, limit).map(Some),
            None => Ok(None),
        }
    }

    /// Returns an object that must be there and be of this kind.
    pub(super) fn get(&self, id: &ObjectId, kind: ObjectKind) -> io::Result<Vec<u8>> {
        self.get_within(id, kind, self.limits.file_bytes)
    }

    /// Returns an object of at most `limit` bytes.
    pub(super) fn get_within(
        &self,
        id: &ObjectId,
        kind: ObjectKind,
        limit: u64,
    ) -> io::Result<Vec<u8>> {
        match self.find_within(id, limit)? {
            Some((found, bytes)) if found == kind => Ok(bytes),
            Some((found, _)) => Err(malformed(format!(
                "{id} is a {found:?} instead of a {kind:?}"
            ))),
            None => Err(malformed(format!("{kind:?} {id} is missing"))),
        }
    }

    /// Hands the bytes of a file to `target`, piece by piece, and returns how many they are.
    pub(super) fn copy_blob(
        &self,
        id: &ObjectId,
        mut target: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        let Some(index) = self.by_id.get(id) else {
            return Err(malformed(format!("Blob {id} is missing")));
        };
        let entry = &self.entries[*index];
        if !matches!(entry.kind, StoredKind::Whole(ObjectKind::Blob)) {
            let bytes = self.get(id, ObjectKind::Blob)?;
            target(&bytes)?;
            return Ok(bytes.len() as u64);
        }
        let mut reader = ZlibDecoder::new(self.at(entry.data));
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                return Ok(entry.size);
            }
            target(&buffer[..read])?;
        }
    }

    /// Puts an object of at most `limit` bytes together: the whole one that it goes back to, and the deltas from there
    /// on.
    fn object(&self, index: usize, limit: u64) -> io::Result<(ObjectKind, Vec<u8>)> {
        let mut deltas = Vec::new();
        let mut index = index;
        let kind = loop {
            let entry = &self.entries[index];
            if let StoredKind::Whole(kind) = entry.kind {
                break kind;
            }
            deltas.push(index);
            index = self.base_of(entry).ok_or_else(no_base)?;
        };
        // What others stand on may be larger.
        let largest = self.limits.bytes_of(kind);
        let limit_at = |is_last: bool| if is_last { limit.min(largest) } else { largest };
        let mut bytes = self.inflate(&self.entries[index], limit_at(deltas.is_empty()))?;
        for (left, index) in deltas.into_iter().enumerate().rev() {
            let delta = self.inflate(&self.entries[index], largest)?;
            bytes = delta::apply(&bytes, &delta, limit_at(left == 0))?;
        }
        Ok((kind, bytes))
    }

    fn base_of(&self, entry: &PackEntry) -> Option<usize> {
        match entry.kind {
            StoredKind::Whole(_) => None,
            StoredKind::OnOffset(offset) => self.by_offset.get(&offset).copied(),
            StoredKind::OnId(id) => self.by_id.get(&id).copied(),
        }
    }

    /// Returns the decompressed bytes of an entry: an object, or a delta.
    fn inflate(&self, entry: &PackEntry, limit: u64) -> io::Result<Vec<u8>> {
        if entry.size > limit {
            return Err(malformed(format!("an object of {} bytes", entry.size)));
        }
        let mut bytes = Vec::new();
        let reader = ZlibDecoder::new(self.at(entry.data));
        reader.take(entry.size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn at(&self, offset: u64) -> BufReader<At<'_>> {
        BufReader::new(At {
            file: &self.file,
            offset,
            stop: &self.stop,
        })
    }
}

fn no_base() -> io::Error {
    malformed("a delta whose base is not in the pack")
}

/// A place in a file, without moving the position that handles share. Reading ends when somebody asks for it.
struct At<'a> {
    file: &'a File,
    offset: u64,
    stop: &'a CancellationToken,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests;
