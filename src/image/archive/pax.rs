//! PAX records: what an `x` header says of the entry that follows (POSIX, pax "Extended Header").
//!
//! Each record gives its own length, so that values may hold any byte, line feeds too.

use super::{ArchiveError, display, invalid_field};
use crate::fs::Timestamp;

/// The records that matter for unpacking. All unset where there is no header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxRecords {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// What GNU tar says of a sparse file (GNU tar manual, "Storing Sparse Files").
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    /// The file's name; the entry's own is made up for programs that do not know sparse files.
    pub(super) name: Option<Vec<u8>>,
    /// The size with the holes, in bytes.
    pub(super) real_size: Option<u64>,
    /// Offsets and lengths in turn, in bytes: formats 0.0 and 0.1.
    pub(super) map: Option<Vec<u64>>,
}

/// What the names of records with extended attributes begin with.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

impl PaxRecords {
    /// Reads the contents of an `x` header. The last record of a name counts; an empty value unsets.
    pub(super) fn parse(mut bytes: &[u8], entry: &[u8]) -> Result<Self, ArchiveError> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let malformed = || ArchiveError::MalformedPax {
                entry: display(entry),
            };
            let (key, value, rest) = split_record(bytes).ok_or_else(malformed)?;
            records.take(key, value, entry)?;
            bytes = rest;
        }
        Ok(records)
    }

    fn take(&mut self, key: &[u8], value: &[u8], entry: &[u8]) -> Result<(), ArchiveError> {
        match key {
            b"path" => self.path = text(value, "PAX path", entry)?,
            b"linkpath" => self.link_path = text(value, "PAX link path", entry)?,
            b"size" => self.size = number(value, "PAX size", entry)?,
            b"uid" => self.uid = number(value, "PAX owner", entry)?,
            b"gid" => self.gid = number(value, "PAX group", entry)?,
            b"mtime" => self.mtime = timestamp(value, entry)?,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    self.take_xattr(name, value);
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(name, value, entry)?;
                }
            }
        }
        Ok(())
    }

    fn take_xattr(&mut self, name: &[u8], value: &[u8]) {
        self.xattrs.retain(|(existing, _)| existing != name);
        self.xattrs.push((name.to_vec(), value.to_vec()));
    }
}

impl PaxSparse {
    fn take(&mut self, name: &[u8], value: &[u8], entry: &[u8]) -> Result<(), ArchiveError> {
        const FIELD: &str = "PAX map of holes";
        match name {
            b"major" => self.major = number(value, FIELD, entry)?,
            b"minor" => self.minor = number(value, FIELD, entry)?,
            b"name" => self.name = text(value, FIELD, entry)?,
            b"size" | b"realsize" => self.real_size = number(value, FIELD, entry)?,
            // 0.0 has one record for each number, offset and length in turn.
            b"offset" | b"numbytes" => {
                let map = self.map.get_or_insert_default();
                let is_offset = map.len().is_multiple_of(2);
                if is_offset != (name == b"offset") {
                    return Err(invalid_field(entry, FIELD));
                }
                map.extend(number::<u64>(value, FIELD, entry)?);
            }
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(parse_number);
                let numbers: Option<Vec<u64>> = numbers.collect();
                self.map = Some(numbers.ok_or_else(|| invalid_field(entry, FIELD))?);
            }
            // `numblocks` only repeats what the map says.
            _ => {}
        }
        Ok(())
    }
}

/// Splits off the first record: "length key=value\n", where the length counts all of it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = parse_number(&bytes[..space])?;
    let record = bytes.get(space + 1..length)?;
    let (newline, record) = record.split_last()?;
    if *newline != b'\n' {
        return None;
    }
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let key = &record[..equals];
    if key.is_empty() || key.contains(&0) {
        return None;
    }
    Some((key, &record[equals + 1..], &bytes[length..]))
}

fn text(value: &[u8], field: &'static str, entry: &[u8]) -> Result<Option<Vec<u8>>, ArchiveError> {
    if value.contains(&0) {
        return Err(invalid_field(entry, field));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn number<T: std::str::FromStr>(
    value: &[u8],
    field: &'static str,
    entry: &[u8],
) -> Result<Option<T>, ArchiveError> {
    if value.is_empty() {
        return Ok(None);
    }
    let number = parse_number(value).ok_or_else(|| invalid_field(entry, field))?;
    Ok(Some(number))
}

fn parse_number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads seconds with any number of decimals; what is finer than nanoseconds is cut off.
fn timestamp(value: &[u8], entry: &[u8]) -> Result<Option<Timestamp>, ArchiveError> {
    if value.is_empty() {
        return Ok(None);
    }
    parse_timestamp(value)
        .map(Some)
        .ok_or_else(|| invalid_field(entry, "PAX modification time"))
}

fn parse_timestamp(value: &[u8]) -> Option<Timestamp> {
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let whole = parts.next()?;
    let decimals = parts.next().unwrap_or_default();
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds: i64 = parse_number(whole)?;
    let digits = decimals.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    if !whole.starts_with(b"-") || nanos == 0 {
        return Some(Timestamp { seconds, nanos });
    }
    // -1.25 is a quarter after -2.
    Some(Timestamp {
        seconds: seconds.checked_sub(1)?,
        nanos: 1_000_000_000 - nanos,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = 1 + key.len() + 1 + value.len() + 1;
        let mut length = rest + 1;
        while length.to_string().len() + rest != length {
            length += 1;
        }
        let mut record = format!("{length} {key}=").into_bytes();
        record.extend(value);
        record.push(b'\n');
        record
    }

    #[test]
    fn values_may_hold_any_byte() {
        let value = [1, b'\n', 0, b'=', 0xff, b'\n'];
        let mut bytes = record("SCHILY.xattr.security.capability", &value);
        bytes.extend(record("path", b"after"));
        let records = PaxRecords::parse(&bytes, b"e").unwrap();
        let expected = (b"security.capability".to_vec(), value.to_vec());
        assert_eq!(records.xattrs, [expected]);
        assert_eq!(records.path.as_deref(), Some(&b"after"[..]));
    }

    #[test]
    fn the_last_record_counts_and_an_empty_one_unsets() {
        let mut bytes = record("path", b"first");
        bytes.extend(record("path", b"second"));
        bytes.extend(record("size", b"7"));
        bytes.extend(record("size", b""));
        let records = PaxRecords::parse(&bytes, b"e").unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"second"[..]));
        assert_eq!(records.size, None);
    }

    #[test]
    fn times_have_nanoseconds_and_may_lie_before_the_epoch() {
        let cases = [
            ("1700000000", 1_700_000_000, 0),
            ("1.5", 1, 500_000_000),
            ("1.0000000019", 1, 1),
            ("-1.25", -2, 750_000_000),
            ("-0.5", -1, 500_000_000),
        ];
        for (text, seconds, nanos) in cases {
            let expected = Some(Timestamp { seconds, nanos });
            assert_eq!(parse_timestamp(text.as_bytes()), expected, "{text}");
        }
        for text in ["", "x", "1.x", "1e9", "99999999999999999999"] {
            assert_eq!(parse_timestamp(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let cases: [&[u8]; 8] = [
            b"5 path=x\n",
            b"99 path=x\n",
            b"0 path=x\n",
            b"-1 path=x\n",
            b"18446744073709551615 path=x\n",
            b"path=x\n",
            b"9 path=xy",
            b"5 =x\n",
        ];
        for bytes in cases {
            let error = PaxRecords::parse(bytes, b"e").unwrap_err();
            assert!(
                matches!(error, ArchiveError::MalformedPax { .. }),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn names_with_nul_and_numbers_with_letters_are_refused() {
        for bytes in [
            record("path", b"a\0b"),
            record("uid", b"7x"),
            record("size", b"-1"),
        ] {
            let error = PaxRecords::parse(&bytes, b"e").unwrap_err();
            assert!(
                matches!(error, ArchiveError::InvalidField { .. }),
                "{error}"
            );
        }
    }
}
