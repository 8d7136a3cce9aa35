//! Makes tar archives by hand, sound and unsound ones, for the tests of this room.

use tar::{EntryType, Header};

use super::BLOCK_BYTES;

/// An archive under construction. Entries belong to root, with mode 0644 (directories 0755).
#[derive(Default)]
pub(crate) struct TestArchive {
    bytes: Vec<u8>,
    /// PAX records for the next entry.
    records: Vec<u8>,
}

impl TestArchive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Ends the archive with its two blocks of zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend([0; 2 * BLOCK_BYTES]);
        self.bytes
    }

    /// Returns the bytes so far, without an end.
    pub(crate) fn cut_off(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn file(self, name: &str, contents: &str) -> Self {
        self.entry(EntryType::Regular, name, "", contents.as_bytes(), |_| {})
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        let set = |header: &mut Header| header.set_mode(0o755);
        self.entry(EntryType::Directory, name, "", b"", set)
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, b"", |_| {})
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, b"", |_| {})
    }

    pub(crate) fn char_device(self, name: &str, major: u32, minor: u32) -> Self {
        self.entry(EntryType::Char, name, "", b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    /// Adds a PAX record to the next entry.
    pub(crate) fn pax(mut self, key: &str, value: &[u8]) -> Self {
        let rest = 1 + key.len() + 1 + value.len() + 1;
        let mut length = rest + 1;
        while length.to_string().len() + rest != length {
            length += 1;
        }
        self.records.extend(format!("{length} {key}=").bytes());
        self.records.extend(value);
        self.records.push(b'\n');
        self
    }

    /// Adds an entry whose header `set` may change at will; the checksum is right in the end.
    pub(crate) fn entry(
        mut self,
        entry_type: EntryType,
        name: &str,
        link: &str,
        contents: &[u8],
        set: impl FnOnce(&mut Header),
    ) -> Self {
        let records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            let mut header = new_header(EntryType::XHeader, "records", "", &records);
            self.append(&mut header, &records);
        }
        let mut header = new_header(entry_type, name, link, contents);
        set(&mut header);
        self.append(&mut header, contents);
        self
    }

    fn append(&mut self, header: &mut Header, contents: &[u8]) {
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(contents);
        let end = self.bytes.len().next_multiple_of(BLOCK_BYTES);
        self.bytes.resize(end, 0);
    }
}

fn new_header(entry_type: EntryType, name: &str, link: &str, contents: &[u8]) -> Header {
    let mut header = Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(entry_type);
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    header
}
