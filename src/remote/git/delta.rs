//! Deltas: an object written as pieces of another one and new bytes (git documentation, "gitformat-pack").

use std::io;

use super::error::malformed;

/// Returns what `delta` makes of `base`. Fails before it has made more than `limit` bytes.
pub(super) fn apply(base: &[u8], delta: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut rest = delta;
    let base_size = size(&mut rest)?;
    let result_size = size(&mut rest)?;
    if base_size != base.len() as u64 {
        return Err(malformed("a delta of another object than its base"));
    }
    if result_size > limit {
        return Err(malformed(format!("a delta that makes {result_size} bytes")));
    }
    let mut result = Vec::new();
    while let Some(instruction) = take(&mut rest, 1)?.map(|bytes| bytes[0]) {
        let piece = match instruction {
            0 => return Err(malformed("a delta with a reserved instruction")),
            count @ 1..0x80 => take(&mut rest, count.into())?,
            copy => Some(copied(base, copy, &mut rest)?),
        };
        let piece = piece.ok_or_else(cut_off)?;
        if (result.len() + piece.len()) as u64 > result_size {
            return Err(malformed("a delta that makes more than it says"));
        }
        result.extend_from_slice(piece);
    }
    match result.len() as u64 == result_size {
        true => Ok(result),
        false => Err(malformed("a delta that makes less than it says")),
    }
}

/// Which bytes of offset and size follow is said by the bits of the instruction.
fn copied<'a>(base: &'a [u8], instruction: u8, rest: &mut &[u8]) -> io::Result<&'a [u8]> {
    let mut number = |bits: std::ops::Range<u32>| -> io::Result<usize> {
        let mut value = 0;
        for (place, bit) in bits.enumerate() {
            if instruction & (1 << bit) != 0 {
                let byte = take(rest, 1)?.ok_or_else(cut_off)?[0];
                value |= usize::from(byte) << (8 * place);
            }
        }
        Ok(value)
    };
    let offset = number(0..4)?;
    let size = match number(4..7)? {
        0 => 0x10000,
        size => size,
    };
    let end = offset.checked_add(size);
    end.and_then(|end| base.get(offset..end))
        .ok_or_else(|| malformed("a delta that copies from beyond its base"))
}

/// Takes `count` bytes; `None` at the end.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> io::Result<Option<&'a [u8]>> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (taken, after) = rest.split_at_checked(count).ok_or_else(cut_off)?;
    *rest = after;
    Ok(Some(taken))
}

/// Seven bits in each byte, the lowest first.
fn size(rest: &mut &[u8]) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = take(rest, 1)?.ok_or_else(cut_off)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("a delta with a size that has no end"))
}

fn cut_off() -> io::Error {
    malformed("a delta that is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_of_the_base_and_new_bytes_are_put_together() {
        // Base of 10, result of 8: copy 4 from offset 2, then 4 new bytes.
        let delta = [&[10, 8, 0b1001_0001, 2, 4, 4][..], b"wxyz"].concat();
        assert_eq!(apply(b"0123456789", &delta, 100).unwrap(), b"2345wxyz");
        assert!(apply(b"012345678", &delta, 100).is_err());
        assert!(apply(b"0123456789", &delta, 7).is_err());
    }

    #[test]
    fn what_reaches_beyond_its_bounds_is_refused() {
        for delta in [
            &[4, 4, 0b1001_0001, 2, 4][..],
            &[4, 9, 0b1001_0001, 0, 4],
            &[4, 1, 2, b'a', b'b'],
            &[4, 1, 0],
            &[4, 4, 0b1001_0001, 0],
            &[4, 2, 3, b'a'],
            &[0x80; 12],
            &[],
        ] {
            assert!(apply(b"0123", delta, 1000).is_err(), "{delta:?}");
        }
    }

    proptest! {
        #[test]
        fn no_delta_panics(base in any::<Vec<u8>>(), delta in any::<Vec<u8>>()) {
            let _ = apply(&base, &delta, 1 << 16);
        }
    }
}
