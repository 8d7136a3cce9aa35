//! The fields of one header block.

use std::ops::Range;

use tar::Header;

use super::error::display;
use super::number::read_number;
use super::{ArchiveError, BLOCK_BYTES};

/// Says whether `head` begins with a sound tar header, so that the stream it is the beginning of can
/// be an archive. Less than [`BLOCK_BYTES`] never do.
pub fn is_header(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<BLOCK_BYTES>() else {
        return false;
    };
    !is_zero(block) && has_valid_checksum(block)
}

/// Where a header says what its entry is.
pub(super) const TYPE_OFFSET: usize = 156;
/// Where a header has its checksum.
pub(super) const CHECKSUM_FIELD: Range<usize> = 148..156;

pub(super) fn is_zero(block: &[u8; BLOCK_BYTES]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

pub(super) fn has_valid_checksum(block: &[u8; BLOCK_BYTES]) -> bool {
    let mut unsigned = 0_i64;
    // Some old programs added signed bytes.
    let mut signed = 0_i64;
    for (offset, byte) in block.iter().enumerate() {
        let byte = if CHECKSUM_FIELD.contains(&offset) {
            b' '
        } else {
            *byte
        };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    let written = read_number(&block[CHECKSUM_FIELD]);
    written == Some(unsigned) || written == Some(signed)
}

pub(super) fn size_field(header: &Header, name: &[u8]) -> Result<u64, ArchiveError> {
    let size = field(&header.as_old().size, "size", name)?;
    u64::try_from(size).map_err(|_| invalid_field(name, "size"))
}

pub(super) fn device_fields(header: &Header, name: &[u8]) -> Result<(u32, u32), ArchiveError> {
    let (major, minor) = if let Some(ustar) = header.as_ustar() {
        (&ustar.dev_major, &ustar.dev_minor)
    } else if let Some(gnu) = header.as_gnu() {
        (&gnu.dev_major, &gnu.dev_minor)
    } else {
        return Err(invalid_field(name, "device number"));
    };
    let number = |bytes: &[u8]| {
        let number = field(bytes, "device number", name)?;
        u32::try_from(number).map_err(|_| invalid_field(name, "device number"))
    };
    Ok((number(major)?, number(minor)?))
}

pub(super) fn field(bytes: &[u8], field: &'static str, name: &[u8]) -> Result<i64, ArchiveError> {
    read_number(bytes).ok_or_else(|| invalid_field(name, field))
}

pub(super) fn invalid_field(name: &[u8], field: &'static str) -> ArchiveError {
    let entry = display(name);
    ArchiveError::InvalidField { entry, field }
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}
