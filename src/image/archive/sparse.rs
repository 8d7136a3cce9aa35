//! The maps of sparse files: which bytes are stored, and where they belong.

use std::io::BufRead;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::number::read_number;
use super::pax::PaxSparse;
use super::{ArchiveError, ArchiveReader, BLOCK_BYTES, display, field};

/// Segments that one file may have: their map is held in memory.
const SEGMENTS_MAX: usize = 1024 * 1024;

/// Bytes of a sparse file that are stored, one after the other with those of the other segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where they belong, in bytes from the file's start.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
}

/// The map of one file.
#[derive(Debug, Default)]
pub(super) struct SparseMap {
    /// With the holes, in bytes.
    pub(super) size: u64,
    pub(super) segments: Vec<Segment>,
}

impl SparseMap {
    /// Reads the map of GNU tar's own format (type `S`): in the header and, where that has no room,
    /// in the blocks that follow. They come before the contents and are not counted by their size.
    pub(super) fn from_gnu_header<R: BufRead>(
        archive: &mut ArchiveReader<R>,
        header: &Header,
        name: &[u8],
    ) -> Result<Self, ArchiveError> {
        let Some(gnu) = header.as_gnu() else {
            return Err(invalid(name));
        };
        let size = field(&gnu.realsize, "size", name)?;
        let mut map = Self {
            size: u64::try_from(size).map_err(|_| invalid(name))?,
            segments: Vec::new(),
        };
        map.take_gnu(&gnu.sparse, name)?;
        let mut is_extended = gnu.isextended[0] != 0;
        while is_extended {
            let block = archive.read_block()?.ok_or(ArchiveError::Truncated)?;
            let mut more = GnuExtSparseHeader::new();
            more.as_mut_bytes().copy_from_slice(&block);
            map.take_gnu(more.sparse(), name)?;
            is_extended = more.is_extended();
        }
        Ok(map)
    }

    /// Reads the map of a PAX sparse file, formats 0.0, 0.1 and 1.0. `None` where the file is not
    /// sparse. The map of 1.0 is taken from the beginning of the contents.
    pub(super) fn from_pax<R: BufRead>(
        archive: &mut ArchiveReader<R>,
        pax: &PaxSparse,
        name: &[u8],
    ) -> Result<Option<Self>, ArchiveError> {
        let version = (pax.major.unwrap_or(0), pax.minor.unwrap_or(0));
        let numbers = match (version, &pax.map) {
            ((1, 0), _) => read_decimal_map(archive, name)?,
            ((0, 0 | 1), Some(map)) => map.clone(),
            ((0, 0), None) if pax.real_size.is_none() && pax.name.is_none() => return Ok(None),
            _ => return Err(invalid(name)),
        };
        let Some(size) = pax.real_size else {
            return Err(invalid(name));
        };
        let (pairs, []) = numbers.as_chunks::<2>() else {
            return Err(invalid(name));
        };
        let mut map = Self {
            size,
            segments: Vec::new(),
        };
        for [offset, length] in pairs {
            map.push(*offset, *length, name)?;
        }
        Ok(Some(map))
    }

    /// Checks that the segments ascend, lie inside the file, and that `stored` bytes are theirs.
    pub(super) fn check(&self, stored: u64, name: &[u8]) -> Result<(), ArchiveError> {
        let mut end = 0;
        let mut sum = 0_u64;
        for segment in &self.segments {
            let next_end = segment.offset.checked_add(segment.length);
            match next_end {
                Some(next_end) if segment.offset >= end && next_end <= self.size => end = next_end,
                Some(_) | None => return Err(invalid(name)),
            }
            // Cannot overflow: the segments do not overlap.
            sum += segment.length;
        }
        if sum == stored && self.size <= i64::MAX as u64 {
            Ok(())
        } else {
            Err(invalid(name))
        }
    }

    fn take_gnu(&mut self, fields: &[GnuSparseHeader], name: &[u8]) -> Result<(), ArchiveError> {
        for entry in fields {
            if entry.is_empty() {
                return Ok(());
            }
            let number = |bytes: &[u8]| {
                let number = read_number(bytes).and_then(|number| u64::try_from(number).ok());
                number.ok_or_else(|| invalid(name))
            };
            self.push(number(&entry.offset)?, number(&entry.numbytes)?, name)?;
        }
        Ok(())
    }

    fn push(&mut self, offset: u64, length: u64, name: &[u8]) -> Result<(), ArchiveError> {
        if self.segments.len() == SEGMENTS_MAX {
            return Err(invalid(name));
        }
        self.segments.push(Segment { offset, length });
        Ok(())
    }
}

/// Reads the map of format 1.0: decimal numbers, one a line, first how many pairs there are; filled
/// up with zeros to whole blocks.
fn read_decimal_map<R: BufRead>(
    archive: &mut ArchiveReader<R>,
    name: &[u8],
) -> Result<Vec<u64>, ArchiveError> {
    let mut reader = DecimalReader {
        archive,
        name,
        taken: 0,
    };
    let pairs = usize::try_from(reader.number()?).map_err(|_| invalid(name))?;
    if pairs > SEGMENTS_MAX {
        return Err(invalid(name));
    }
    let mut numbers = Vec::new();
    for _ in 0..pairs * 2 {
        numbers.push(reader.number()?);
    }
    reader.skip_to_block()?;
    Ok(numbers)
}

struct DecimalReader<'a, R> {
    archive: &'a mut ArchiveReader<R>,
    name: &'a [u8],
    taken: usize,
}

impl<R: BufRead> DecimalReader<'_, R> {
    fn number(&mut self) -> Result<u64, ArchiveError> {
        let mut number = None;
        loop {
            match (self.byte()?, number) {
                (b'\n', Some(number)) => return Ok(number),
                (digit @ b'0'..=b'9', so_far) => {
                    let so_far = so_far.unwrap_or(0_u64).checked_mul(10);
                    let next = so_far.and_then(|sum| sum.checked_add(u64::from(digit - b'0')));
                    number = Some(next.ok_or_else(|| invalid(self.name))?);
                }
                (_, _) => return Err(invalid(self.name)),
            }
        }
    }

    fn skip_to_block(&mut self) -> Result<(), ArchiveError> {
        while !self.taken.is_multiple_of(BLOCK_BYTES) {
            self.byte()?;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, ArchiveError> {
        let Some(byte) = self.archive.contents()?.first().copied() else {
            return Err(invalid(self.name));
        };
        self.archive.consume(1);
        self.taken += 1;
        Ok(byte)
    }
}

fn invalid(name: &[u8]) -> ArchiveError {
    ArchiveError::InvalidSparseMap {
        entry: display(name),
    }
}
