//! The tar header of a layer entry, byte for byte. This module knows headers, not contents.
//!
//! The bytes are those of Go's `archive/tar` when containerd's `ChangeWriter` asks it for the PAX format:
//! a plain ustar header where every field fits one, otherwise an `x` header with sorted records before it.
//! A long ASCII name is first split into ustar prefix and name. User and group names stay empty, times are
//! whole seconds, and access and change times are never written.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use super::layer_entry::{EntryKind, LayerEntry};

/// Size of a tar block in bytes: headers and padded contents are whole blocks.
pub(super) const BLOCK_BYTES: usize = 512;

/// Records by key, in the order in which they are written.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A field of the ustar header: where it starts and how long it is (POSIX pax, "ustar Interchange Format").
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    length: usize,
}

const fn field(start: usize, length: usize) -> Field {
    Field { start, length }
}

const NAME: Field = field(0, 100);
const MODE: Field = field(100, 8);
const UID: Field = field(108, 8);
const GID: Field = field(116, 8);
const SIZE: Field = field(124, 12);
const MTIME: Field = field(136, 12);
const CHECKSUM: Field = field(148, 8);
const TYPE: Field = field(156, 1);
const LINK_NAME: Field = field(157, 100);
const MAGIC: Field = field(257, 8);
const DEVICE_MAJOR: Field = field(329, 8);
const DEVICE_MINOR: Field = field(337, 8);
const PREFIX: Field = field(345, 155);

/// Returns the header blocks of `entry`, or `None` for a device number that tar has no room for.
///
/// An attribute whose name holds `=` cannot be written as a record and is left out.
pub(super) fn encode(entry: &LayerEntry) -> Option<Vec<u8>> {
    let name = entry.tar_name();
    let split = split_name(&name);
    let records = records(entry, &name, split.is_some());
    let mut header = Header::new();
    let mut bytes = Vec::new();
    match split {
        Some((prefix, suffix)) if records.is_empty() => {
            header.put(PREFIX, prefix);
            header.put(NAME, suffix);
        }
        Some(_) | None => header.put_name(NAME, &ascii_only(&name)),
    }
    if !records.is_empty() {
        append_extended_header(&mut bytes, &name, &with_long_name(records, &name));
    }
    header.put_name(LINK_NAME, &ascii_only(entry.tar_link_name()));
    header.put_octal(MODE, i64::from(entry.mode));
    header.put_octal(UID, i64::from(entry.uid));
    header.put_octal(GID, i64::from(entry.gid));
    header.put_octal(SIZE, i64::try_from(entry.size()).unwrap_or(i64::MAX));
    header.put_octal(MTIME, entry.mtime.seconds);
    header.put(TYPE, &[type_flag(&entry.kind)]);
    let (major, minor) = device(&entry.kind);
    if !fits_octal(DEVICE_MAJOR, major) || !fits_octal(DEVICE_MINOR, minor) {
        return None;
    }
    header.put_octal(DEVICE_MAJOR, major);
    header.put_octal(DEVICE_MINOR, minor);
    bytes.extend_from_slice(&header.sealed());
    Some(bytes)
}

/// Returns what the ustar header cannot say. A name that splits is no reason for a record.
fn records(entry: &LayerEntry, name: &[u8], name_splits: bool) -> Records {
    let mut records = Records::new();
    let mut add = |key: &str, value: &[u8]| {
        records.insert(key.as_bytes().to_vec(), value.to_vec());
    };
    if needs_record(name, NAME) && !name_splits {
        add("path", name);
    }
    let link_name = entry.tar_link_name();
    if needs_record(link_name, LINK_NAME) {
        add("linkpath", link_name);
    }
    let numbers = [
        ("uid", UID, i64::from(entry.uid)),
        ("gid", GID, i64::from(entry.gid)),
        (
            "size",
            SIZE,
            i64::try_from(entry.size()).unwrap_or(i64::MAX),
        ),
        ("mtime", MTIME, entry.mtime.seconds),
    ];
    for (key, field, number) in numbers {
        if !fits_octal(field, number) {
            add(key, number.to_string().as_bytes());
        }
    }
    if !matches!(entry.kind, EntryKind::HardLink { .. }) {
        for (key, value) in &entry.xattrs {
            if is_writable_xattr(key.as_bytes()) {
                records.insert([b"SCHILY.xattr.", key.as_bytes()].concat(), value.clone());
            }
        }
    }
    records
}

/// Says whether a record can carry the attribute: its key ends at the first `=`.
pub(super) fn is_writable_xattr(key: &[u8]) -> bool {
    !key.contains(&b'=')
}

/// A header that has records has its long name among them: Go does not use the prefix then.
fn with_long_name(mut records: Records, name: &[u8]) -> Records {
    if needs_record(name, NAME) {
        records.insert(b"path".to_vec(), name.to_vec());
    }
    records
}

fn append_extended_header(bytes: &mut Vec<u8>, name: &[u8], records: &Records) {
    let mut body = Vec::new();
    for (key, value) in records {
        append_record(&mut body, key, value);
    }
    let mut header = Header::new();
    let mut name = ascii_only(&extended_name(name));
    name.truncate(NAME.length);
    while name.last() == Some(&b'/') {
        name.pop();
    }
    header.put(NAME, &name);
    for field in [MODE, UID, GID, MTIME] {
        header.put_octal(field, 0);
    }
    header.put_octal(SIZE, i64::try_from(body.len()).unwrap_or(i64::MAX));
    header.put(TYPE, b"x");
    bytes.extend_from_slice(&header.sealed());
    bytes.extend_from_slice(&body);
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
}

/// Appends `<length> <key>=<value>\n`, where the length counts its own digits.
fn append_record(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + b" =\n".len();
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() != rest.to_string().len() {
        length = rest + length.to_string().len();
    }
    body.extend_from_slice(format!("{length} ").as_bytes());
    body.extend_from_slice(key);
    body.push(b'=');
    body.extend_from_slice(value);
    body.push(b'\n');
}

/// Returns the name of an `x` header: `<directory>/PaxHeaders.0/<name>`; a directory's own name counts as directory.
fn extended_name(name: &[u8]) -> Vec<u8> {
    let cut = name
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |i| i + 1);
    let (directory, file) = name.split_at(cut);
    let mut extended = directory.to_vec();
    extended.extend_from_slice(b"PaxHeaders.0");
    if !file.is_empty() {
        extended.push(b'/');
        extended.extend_from_slice(file);
    }
    extended
}

/// Splits a long ASCII name at a slash into ustar prefix and name, as late as possible.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME.length || !name.is_ascii() {
        return None;
    }
    let end = if name.len() > PREFIX.length + 1 {
        PREFIX.length + 1
    } else {
        name.len() - usize::from(name.ends_with(b"/"))
    };
    let slash = name[..end].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, suffix) = (&name[..slash], &name[slash + 1..]);
    let fits = !prefix.is_empty() && !suffix.is_empty() && suffix.len() <= NAME.length;
    fits.then_some((prefix, suffix))
}

fn needs_record(text: &[u8], field: Field) -> bool {
    text.len() > field.length || !text.is_ascii()
}

/// Old readers that know no records get what is ASCII of a name.
fn ascii_only(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(u8::is_ascii).collect()
}

/// One digit less than the field is long: the last byte is NUL.
fn fits_octal(field: Field, number: i64) -> bool {
    number >= 0 && number < 1_i64 << ((field.length - 1) * 3)
}

fn type_flag(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } => b'0',
        EntryKind::HardLink { .. } => b'1',
        EntryKind::Symlink { .. } => b'2',
        EntryKind::CharDevice(_) => b'3',
        EntryKind::BlockDevice(_) => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

fn device(kind: &EntryKind) -> (i64, i64) {
    match kind {
        EntryKind::CharDevice(device) | EntryKind::BlockDevice(device) => (
            i64::from(rustix::fs::major(*device)),
            i64::from(rustix::fs::minor(*device)),
        ),
        EntryKind::File { .. }
        | EntryKind::HardLink { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::Directory
        | EntryKind::Fifo => (0, 0),
    }
}

/// One header block in the making.
struct Header([u8; BLOCK_BYTES]);

impl Header {
    fn new() -> Self {
        Self([0; BLOCK_BYTES])
    }

    fn put(&mut self, field: Field, text: &[u8]) {
        let length = text.len().min(field.length);
        self.0[field.start..][..length].copy_from_slice(&text[..length]);
    }

    /// Puts a name that may be cut. A cut right after a slash would make a file look like a directory to readers
    /// that do not know the record.
    fn put_name(&mut self, field: Field, name: &[u8]) {
        self.put(field, name);
        if name.len() > field.length {
            let end = field.start + field.length;
            let kept = self.0[field.start..end]
                .iter()
                .rposition(|byte| *byte != b'/')
                .map_or(0, |i| i + 1);
            if kept < field.length {
                self.0[field.start + kept] = 0;
            }
        }
    }

    /// Puts a number as zero-padded octal and a NUL; zero where it does not fit, which a record makes good.
    fn put_octal(&mut self, field: Field, number: i64) {
        let number = if fits_octal(field, number) { number } else { 0 };
        let text = format!("{number:0width$o}", width = field.length - 1);
        self.put(field, text.as_bytes());
    }

    /// Adds magic, version and checksum: the sum of all bytes with the checksum's own read as spaces.
    fn sealed(mut self) -> [u8; BLOCK_BYTES] {
        self.put(MAGIC, b"ustar\x0000");
        self.put(CHECKSUM, &[b' '; 8]);
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.put(CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests;
