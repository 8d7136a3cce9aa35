//! The numbers in tar headers: octal text, or GNU's base 256 for what octal text cannot hold.

/// Reads a numeric field. Blank is zero, as Go's reader has it; `None` for what is no number or does
/// not fit.
pub(super) fn read_number(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => read_base_256(bytes),
        Some(_) | None => read_octal(bytes),
    }
}

fn read_octal(bytes: &[u8]) -> Option<i64> {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let Some(start) = bytes.iter().position(|byte| !is_blank(byte)) else {
        return Some(0);
    };
    let digits = bytes[start..].split(is_blank).next().unwrap_or_default();
    let mut number = 0_i64;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') {
            return None;
        }
        number = number
            .checked_mul(8)?
            .checked_add(i64::from(digit - b'0'))?;
    }
    Some(number)
}

/// Two's complement, big endian; the first bit only says that the field is in base 256.
fn read_base_256(bytes: &[u8]) -> Option<i64> {
    let is_negative = bytes.first()? & 0x40 != 0;
    let mut number: i64 = if is_negative { -1 } else { 0 };
    for (index, byte) in bytes.iter().enumerate() {
        let byte = match (index, is_negative) {
            (0, true) => byte | 0x80,
            (0, false) => byte & 0x7f,
            (_, true | false) => *byte,
        };
        let shifted = number.checked_mul(256)?;
        number = shifted | i64::from(byte);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_text_may_be_padded_with_spaces_or_nuls() {
        for field in [
            &b"0000644\0"[..],
            b"   644 \0",
            b"644\0\0\0\0\0",
            b"00000644",
        ] {
            assert_eq!(read_number(field), Some(0o644), "{field:?}");
        }
        assert_eq!(read_number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(read_number(b"        "), Some(0));
    }

    #[test]
    fn base_256_holds_large_and_negative_numbers() {
        let large = [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
        assert_eq!(read_number(&large), Some(2 << 32));
        let minus_one = [0xff; 12];
        assert_eq!(read_number(&minus_one), Some(-1));
        let uid = [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(read_number(&uid), Some(i64::from(u32::MAX)));
    }

    #[test]
    fn nonsense_is_no_number() {
        let too_large = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let too_small = [0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for field in [&b"0009"[..], b"-1", b"abc", &too_large, &too_small] {
            assert_eq!(read_number(field), None, "{field:?}");
        }
    }
}
