//! The objects of a pack, one after the other as they stand in the file.

use std::io::{self, BufRead, Read};

use flate2::Crc;
use flate2::bufread::ZlibDecoder;

use super::super::error::malformed;
use super::super::object::{IdHasher, ObjectId, ObjectKind};
use super::{COPY_BYTES, PackEntry, StoredKind};

/// `PACK`, version, number of objects.
const HEADER_BYTES: usize = 12;

pub(super) fn read_header(reader: &mut impl Read) -> io::Result<usize> {
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header)?;
    let [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, count @ ..] = header else {
        return Err(malformed("what came is no pack"));
    };
    Ok(u32::from_be_bytes(count) as usize)
}

/// Reads one object; hashes it if it is whole.
pub(super) fn read_entry(reader: &mut CountingReader<impl BufRead>) -> io::Result<PackEntry> {
    let offset = reader.offset;
    reader.crc.reset();
    let first = byte(reader)?;
    let mut size = u64::from(first & 0x0f);
    let (mut last, mut shift) = (first, 4);
    while last & 0x80 != 0 {
        last = byte(reader)?;
        if shift > 57 {
            return Err(malformed("an object with a size that has no end"));
        }
        size |= u64::from(last & 0x7f) << shift;
        shift += 7;
    }
    let kind = match (first >> 4) & 0x07 {
        1 => StoredKind::Whole(ObjectKind::Commit),
        2 => StoredKind::Whole(ObjectKind::Tree),
        3 => StoredKind::Whole(ObjectKind::Blob),
        4 => StoredKind::Whole(ObjectKind::Tag),
        6 => StoredKind::OnOffset(base_offset(reader, offset)?),
        7 => {
            let mut id = [0; ObjectId::BYTES];
            reader.read_exact(&mut id)?;
            StoredKind::OnId(ObjectId::from_bytes(&id)?)
        }
        other => return Err(malformed(format!("an object of kind {other}"))),
    };
    let data = reader.offset;
    let id = read_data(reader, kind, size)?;
    Ok(PackEntry {
        id,
        kind,
        offset,
        data,
        size,
        crc: reader.crc.sum(),
    })
}

fn read_data(
    reader: &mut impl BufRead,
    kind: StoredKind,
    size: u64,
) -> io::Result<Option<ObjectId>> {
    let mut hasher = match kind {
        StoredKind::Whole(kind) => Some(IdHasher::new(kind, size)),
        StoredKind::OnOffset(_) | StoredKind::OnId(_) => None,
    };
    let mut inflated = ZlibDecoder::new(reader);
    let mut buffer = vec![0; size.saturating_add(1).min(COPY_BYTES as u64) as usize];
    let mut total = 0;
    loop {
        let read = inflated.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        total += read as u64;
        if total > size {
            return Err(malformed("an object that is larger than it says"));
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer[..read]);
        }
    }
    if total != size {
        return Err(malformed("an object that is smaller than it says"));
    }
    hasher.map(IdHasher::finish).transpose()
}

/// How far before `offset` the base is: seven bits in each byte, the highest first, one added for each further byte.
fn base_offset(reader: &mut impl Read, offset: u64) -> io::Result<u64> {
    let mut byte_read = byte(reader)?;
    let mut distance = u64::from(byte_read & 0x7f);
    while byte_read & 0x80 != 0 {
        byte_read = byte(reader)?;
        let higher = distance.checked_add(1).filter(|value| *value < 1 << 56);
        let higher = higher.ok_or_else(|| malformed("a delta with a base that is too far"))?;
        distance = (higher << 7) | u64::from(byte_read & 0x7f);
    }
    let base = offset.checked_sub(distance).filter(|_| distance > 0);
    base.ok_or_else(|| malformed("a delta with a base outside of the pack"))
}

fn byte(reader: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A reader that knows how far it is, and the checksum since it was last set back.
pub(super) struct CountingReader<R> {
    inner: R,
    offset: u64,
    crc: Crc,
}

impl<R> CountingReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            offset: 0,
            crc: Crc::new(),
        }
    }
}

impl<R: BufRead> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for CountingReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed is what `fill_buf` still shows.
        if let Ok(bytes) = self.inner.fill_buf() {
            self.crc.update(&bytes[..amount.min(bytes.len())]);
        }
        self.offset += amount as u64;
        self.inner.consume(amount);
    }
}
