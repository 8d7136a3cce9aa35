//! What an archive says of one file.

use super::sparse::Segment;
use crate::fs::Timestamp;

/// One entry, with what its extended headers say already applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the archive has it, uncleaned: may be absolute, empty or climb.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Unix mode bits, 0o7777 only.
    pub mode: u32,
    /// Owner; any number that the format can express.
    pub uid: i64,
    /// Group; any number that the format can express.
    pub gid: i64,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Extended attributes in the order of the archive. Binary values.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Size in bytes once it is unpacked, holes included.
        size: u64,
        /// Where the stored bytes belong, ascending; the rest is holes. `None` for a file without holes.
        segments: Option<Vec<Segment>>,
    },
    /// Another name of a file.
    HardLink {
        /// The other name, as the archive has it.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// The text of the link.
        target: Vec<u8>,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}
