//! A pack: the objects that a server sent, in one file (git documentation, "gitformat-pack").
//!
//! Nothing in it is believed. Every object is hashed when the pack is read, so that what is found under a name is what the
//! name says. Files that are no delta are never held in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use flate2::bufread::ZlibDecoder;

use super::delta;
use super::error::malformed;
use super::object::{IdHasher, ObjectId, ObjectKind};

mod reading;

use reading::{CountingReader, read_entry, read_header};

/// The largest object that is held in memory: a tree, or one that is written as a delta. git itself makes no deltas of
/// files beyond this (`core.bigFileThreshold`).
const OBJECT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What is held in memory of a file on its way.
const COPY_BYTES: usize = 128 * 1024;

/// The objects of a pack file.
pub(super) struct Pack {
    file: File,
    entries: Vec<PackEntry>,
    by_id: HashMap<ObjectId, usize>,
    by_offset: HashMap<u64, usize>,
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
    pub(super) fn read(file: File) -> io::Result<Self> {
        let own = file.try_clone()?;
        let start = At {
            file: &own,
            offset: 0,
        };
        let mut reader = CountingReader::new(BufReader::with_capacity(COPY_BYTES, start));
        let count = read_header(&mut reader)?;
        let mut pack = Self {
            file,
            entries: Vec::new(),
            by_id: HashMap::new(),
            by_offset: HashMap::new(),
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
        };
        io::copy(&mut reader, target).map(|_| ())
    }

    /// Returns an object; `None` where the pack does not have it.
    pub(super) fn find(&self, id: &ObjectId) -> io::Result<Option<(ObjectKind, Vec<u8>)>> {
        match self.by_id.get(id) {
            Some(index) => self.object(*index).map(Some),
            None => Ok(None),
        }
    }

    /// Returns an object that must be there and be of this kind.
    pub(super) fn get(&self, id: &ObjectId, kind: ObjectKind) -> io::Result<Vec<u8>> {
        match self.find(id)? {
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

    /// Puts an object together: the whole one that it goes back to, and the deltas from there on.
    fn object(&self, index: usize) -> io::Result<(ObjectKind, Vec<u8>)> {
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
        let mut bytes = self.inflate(&self.entries[index])?;
        for index in deltas.into_iter().rev() {
            let delta = self.inflate(&self.entries[index])?;
            bytes = delta::apply(&bytes, &delta, OBJECT_BYTES_MAX)?;
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

    /// Works out the names of objects that are written as deltas: from each whole object, depth first.
    fn resolve_deltas(&mut self) -> io::Result<()> {
        let mut waiting = Waiting::of(&self.entries);
        let wholes = (0..self.entries.len()).filter_map(|index| match self.entries[index].kind {
            StoredKind::Whole(kind) => Some((index, kind)),
            StoredKind::OnOffset(_) | StoredKind::OnId(_) => None,
        });
        for (index, kind) in wholes.collect::<Vec<_>>() {
            let pending = waiting.take(&self.entries[index]);
            if !pending.is_empty() {
                let bytes = Rc::new(self.inflate(&self.entries[index])?);
                self.resolve_from(Frame { bytes, pending }, kind, &mut waiting)?;
            }
        }
        match self.entries.iter().all(|entry| entry.id.is_some()) {
            true => Ok(()),
            false => Err(no_base()),
        }
    }

    fn resolve_from(
        &mut self,
        first: Frame,
        kind: ObjectKind,
        waiting: &mut Waiting,
    ) -> io::Result<()> {
        let mut stack = vec![first];
        while let Some(frame) = stack.last_mut() {
            let Some(index) = frame.pending.pop() else {
                stack.pop();
                continue;
            };
            let base = Rc::clone(&frame.bytes);
            if frame.pending.is_empty() {
                // So that a long chain of deltas holds two objects and not all.
                stack.pop();
            }
            let delta = self.inflate(&self.entries[index])?;
            let bytes = delta::apply(&base, &delta, OBJECT_BYTES_MAX)?;
            let id = IdHasher::id_of(kind, &bytes)?;
            self.entries[index].id = Some(id);
            self.by_id.entry(id).or_insert(index);
            let pending = waiting.take(&self.entries[index]);
            if !pending.is_empty() {
                stack.push(Frame {
                    bytes: Rc::new(bytes),
                    pending,
                });
            }
        }
        Ok(())
    }

    /// Returns the decompressed bytes of an entry: an object, or a delta.
    fn inflate(&self, entry: &PackEntry) -> io::Result<Vec<u8>> {
        if entry.size > OBJECT_BYTES_MAX {
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
        })
    }
}

/// An object, and the deltas on it that are still to be applied.
struct Frame {
    bytes: Rc<Vec<u8>>,
    pending: Vec<usize>,
}

/// Deltas, by what they stand on.
struct Waiting {
    on_offset: HashMap<u64, Vec<usize>>,
    on_id: HashMap<ObjectId, Vec<usize>>,
}

impl Waiting {
    fn of(entries: &[PackEntry]) -> Self {
        let mut waiting = Self {
            on_offset: HashMap::new(),
            on_id: HashMap::new(),
        };
        for (index, entry) in entries.iter().enumerate() {
            match entry.kind {
                StoredKind::Whole(_) => {}
                StoredKind::OnOffset(base) => {
                    waiting.on_offset.entry(base).or_default().push(index);
                }
                StoredKind::OnId(base) => waiting.on_id.entry(base).or_default().push(index),
            }
        }
        waiting
    }

    fn take(&mut self, base: &PackEntry) -> Vec<usize> {
        let mut found = self.on_offset.remove(&base.offset).unwrap_or_default();
        let on_id = base.id.and_then(|id| self.on_id.remove(&id));
        found.extend(on_id.unwrap_or_default());
        found
    }
}

fn no_base() -> io::Error {
    malformed("a delta whose base is not in the pack")
}

/// A place in a file, without moving the position that handles share.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
