//! The names in one directory with what `stat` said of them, in little memory. This module knows no directories.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::FileType;

use super::seal::Seal;
use crate::fs::{FileKind, Metadata, Timestamp};

/// The entries of one directory, sorted by the bytes of their names.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All names, one behind the other.
    names: Vec<u8>,
    records: Vec<Record>,
    /// File systems of the entries; nearly always one. Records name them by their place here.
    devices: Vec<u64>,
}

/// One entry. Its order of fields leaves no gaps: an index of a large image holds hundreds of thousands.
#[derive(Debug, Clone, Copy)]
struct Record {
    ino: u64,
    /// Size in bytes; of a device, its number.
    size: u64,
    mtime_seconds: i64,
    ctime_seconds: i64,
    /// Where the name ends among all names; it begins where the one before ends.
    name_end: usize,
    seal: Option<Seal>,
    mtime_nanos: u32,
    ctime_nanos: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    /// Kind and mode bits, as `st_mode` has them.
    mode: u16,
    /// Place in the listing's file systems.
    device: u16,
}

const _: () = assert!(size_of::<Record>() == 72);

impl Listing {
    /// Adds an entry, whose name must sort behind those there are. Returns whether there was room: 65,536 file systems
    /// in one directory are the limit.
    pub(super) fn push(&mut self, name: &OsStr, metadata: &Metadata, seal: Option<Seal>) -> bool {
        let Some(device) = self.place_of_device(metadata.dev) else {
            return false;
        };
        self.names.extend_from_slice(name.as_bytes());
        let (file_type, size) = match metadata.kind {
            FileKind::File => (FileType::RegularFile, metadata.size),
            FileKind::Directory => (FileType::Directory, metadata.size),
            FileKind::Symlink => (FileType::Symlink, metadata.size),
            FileKind::Fifo => (FileType::Fifo, metadata.size),
            FileKind::CharDevice(number) => (FileType::CharacterDevice, number),
            FileKind::BlockDevice(number) => (FileType::BlockDevice, number),
            FileKind::Socket => (FileType::Socket, metadata.size),
        };
        self.records.push(Record {
            ino: metadata.ino,
            size,
            mtime_seconds: metadata.mtime.seconds,
            ctime_seconds: metadata.ctime.seconds,
            name_end: self.names.len(),
            seal,
            mtime_nanos: metadata.mtime.nanos,
            ctime_nanos: metadata.ctime.nanos,
            uid: metadata.uid,
            gid: metadata.gid,
            // The kernel's own count has 32 bits.
            nlink: u32::try_from(metadata.nlink).unwrap_or(u32::MAX),
            // Both parts of `st_mode` fit its lower 16 bits.
            mode: (file_type.as_raw_mode() | metadata.mode) as u16,
            device,
        });
        true
    }

    /// Gives memory back that was taken for entries that did not come.
    pub(super) fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.records.shrink_to_fit();
        self.devices.shrink_to_fit();
    }

    /// Returns how many entries there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns the name of an entry; `position` is below the length.
    pub(super) fn name(&self, position: usize) -> &OsStr {
        let start = match position {
            0 => 0,
            _ => self.records[position - 1].name_end,
        };
        OsStr::from_bytes(&self.names[start..self.records[position].name_end])
    }

    /// Returns the names of all entries, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &OsStr> {
        (0..self.len()).map(|position| self.name(position))
    }

    /// Returns how much memory the listing takes, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let parts = self.names.capacity() + size_of::<Record>() * self.records.capacity();
        size_of::<Self>() + parts + size_of::<u64>() * self.devices.capacity()
    }

    fn metadata(&self, record: &Record) -> Metadata {
        let (kind, size) = match FileType::from_raw_mode(record.mode.into()) {
            FileType::Directory => (FileKind::Directory, record.size),
            FileType::Symlink => (FileKind::Symlink, record.size),
            FileType::Fifo => (FileKind::Fifo, record.size),
            FileType::CharacterDevice => (FileKind::CharDevice(record.size), 0),
            FileType::BlockDevice => (FileKind::BlockDevice(record.size), 0),
            FileType::Socket => (FileKind::Socket, record.size),
            FileType::RegularFile | FileType::Unknown => (FileKind::File, record.size),
        };
        Metadata {
            kind,
            mode: u32::from(record.mode) & 0o7777,
            uid: record.uid,
            gid: record.gid,
            size,
            mtime: Timestamp {
                seconds: record.mtime_seconds,
                nanos: record.mtime_nanos,
            },
            ctime: Timestamp {
                seconds: record.ctime_seconds,
                nanos: record.ctime_nanos,
            },
            dev: self.devices[usize::from(record.device)],
            ino: record.ino,
            nlink: record.nlink.into(),
        }
    }

    fn place_of_device(&mut self, device: u64) -> Option<u16> {
        let known = self.devices.iter().rposition(|known| *known == device);
        let place = known.unwrap_or(self.devices.len());
        let short = u16::try_from(place).ok()?;
        if known.is_none() {
            self.devices.push(device);
        }
        Some(short)
    }
}

impl Record {
    fn is_dir(&self) -> bool {
        FileType::from_raw_mode(self.mode.into()) == FileType::Directory
    }
}

/// One entry as a cursor finds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a OsStr,
    pub(super) metadata: Metadata,
    pub(super) seal: Option<Seal>,
    /// Number of the directory's own listing; `None` for anything but a directory.
    pub(super) child: Option<usize>,
}

/// Reads a listing from its first entry to its last, and counts the numbers of its directories on the way.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    listing: &'a Listing,
    position: usize,
    next_child: usize,
}

impl<'a> Cursor<'a> {
    /// Stands before the first entry of `listing`, whose directories are numbered from `first_child` on.
    pub(super) fn new(listing: &'a Listing, first_child: usize) -> Self {
        Self {
            listing,
            position: 0,
            next_child: first_child,
        }
    }

    /// Says whether both read one listing.
    pub(super) fn is_of_same_listing(&self, other: &Self) -> bool {
        std::ptr::eq(self.listing, other.listing)
    }

    /// Moves forward to the next directory, or to the end.
    pub(super) fn skip_to_directory(&mut self) {
        let rest = &self.listing.records[self.position..];
        let skipped = rest.iter().take_while(|record| !record.is_dir());
        self.position += skipped.count();
    }

    /// Moves forward to `name` and returns its entry, if there is one. Names must come in order.
    pub(super) fn seek(&mut self, name: &OsStr) -> Option<Entry<'a>> {
        while self.position < self.listing.len() && self.listing.name(self.position) < name {
            self.next();
        }
        if self.position < self.listing.len() && self.listing.name(self.position) == name {
            return self.next();
        }
        None
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let position = self.position;
        let record = self.listing.records.get(position)?;
        self.position += 1;
        let metadata = self.listing.metadata(record);
        let child = metadata.is_dir().then(|| {
            self.next_child += 1;
            self.next_child - 1
        });
        Some(Entry {
            name: self.listing.name(position),
            metadata,
            seal: record.seal,
            child,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(kind: FileKind, number: u32) -> Metadata {
        let time = Timestamp {
            seconds: -5,
            nanos: 999_999_999,
        };
        Metadata {
            kind,
            mode: 0o7654,
            uid: u32::MAX - 1,
            gid: number,
            size: 0,
            mtime: time,
            ctime: Timestamp::from_seconds(i64::from(u32::MAX) + 1),
            dev: u64::from(number) << 40,
            ino: u64::MAX,
            nlink: 3,
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let big = Metadata {
            size: u64::MAX,
            ..metadata(FileKind::File, 2)
        };
        let entries = [
            ("", metadata(FileKind::Directory, 1)),
            ("a", big),
            ("b\u{fc}", metadata(FileKind::Symlink, 1)),
            ("c", metadata(FileKind::CharDevice(0x103), 1)),
            ("d", metadata(FileKind::BlockDevice(u64::MAX), 3)),
            ("e", metadata(FileKind::Fifo, 2)),
            ("f", metadata(FileKind::Socket, 1)),
        ];
        let mut listing = Listing::default();
        for (name, metadata) in &entries {
            assert!(listing.push(OsStr::new(name), metadata, None));
        }
        let found: Vec<_> = Cursor::new(&listing, 0)
            .map(|entry| (entry.name.to_str().unwrap(), entry.metadata))
            .collect();
        assert_eq!(found, entries);
    }

    #[test]
    fn a_cursor_numbers_directories_also_those_that_it_passes_by() {
        let mut listing = Listing::default();
        let kinds = [
            ("a", FileKind::Directory),
            ("b", FileKind::File),
            ("c", FileKind::Directory),
            ("e", FileKind::Directory),
        ];
        for (name, kind) in kinds {
            listing.push(OsStr::new(name), &metadata(kind, 0), None);
        }
        let mut cursor = Cursor::new(&listing, 7);
        let mut child = |name: &str| cursor.seek(OsStr::new(name)).map(|entry| entry.child);
        assert_eq!(child("b"), Some(None));
        assert_eq!(child("c"), Some(Some(8)));
        assert_eq!(child("d"), None);
        assert_eq!(child("e"), Some(Some(9)));
        assert_eq!(child("z"), None);
    }

    #[test]
    fn files_are_skipped_on_the_way_to_the_next_directory() {
        let mut listing = Listing::default();
        let kinds = [FileKind::File, FileKind::Directory, FileKind::Symlink];
        for (name, kind) in ["a", "b", "c"].iter().zip(kinds) {
            listing.push(OsStr::new(name), &metadata(kind, 0), None);
        }
        let mut cursor = Cursor::new(&listing, 0);
        for expected in [Some("b"), None, None] {
            cursor.skip_to_directory();
            let found = cursor.next().map(|entry| entry.name.to_str().unwrap());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn more_file_systems_than_an_entry_can_name_are_refused() {
        // As if an entry of each were there: pushing them compares each with all before it, 2^31 times.
        let mut listing = Listing {
            devices: (0..u64::from(u16::MAX))
                .map(|number| number << 40)
                .collect(),
            ..Listing::default()
        };
        let last = metadata(FileKind::File, u32::from(u16::MAX));
        assert!(listing.push(OsStr::new("x"), &last, None));
        let entry = metadata(FileKind::File, 1 << 16);
        assert!(!listing.push(OsStr::new("x"), &entry, None));
        // What is known has its number.
        assert!(listing.push(OsStr::new("y"), &last, None));
        assert_eq!(listing.len(), 2);
    }
}
