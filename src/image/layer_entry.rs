//! One entry of a layer: a file as its tar describes it. This module knows names and owners, not bytes on disk.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::fs::{FileKind, Metadata, Timestamp, Xattrs};

/// What marks a name as deleted (OCI image-spec, layer.md "Whiteouts").
pub const WHITEOUT_PREFIX: &str = ".wh.";

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Relative to the image's root: no leading or trailing slash, no `.`, no `..`, never empty.
    pub path: PathBuf,
    /// What the entry is, with what only this kind has.
    pub kind: EntryKind,
    /// Unix mode bits, 0o7777 only.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Last change of the contents; a layer keeps whole seconds, rounded down.
    pub mtime: Timestamp,
    /// Extended attributes to write, already filtered. Ignored on a hard link: the file has them.
    pub xattrs: Xattrs,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file with exactly this many bytes of contents.
    File {
        /// Size in bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// The link's text, as it is.
        target: OsString,
    },
    /// Another name of a file that stands earlier in the same layer.
    HardLink {
        /// The path of that earlier entry.
        target: PathBuf,
    },
    /// A named pipe.
    Fifo,
    /// A character device with its device number.
    CharDevice(u64),
    /// A block device with its device number.
    BlockDevice(u64),
}

impl LayerEntry {
    /// Makes the entry that deletes `path` from the layers below: `.wh.<name>`, empty, mode 0, owner 0:0, of the epoch.
    /// `None` where `path` has no name.
    pub fn whiteout(path: &Path) -> Option<Self> {
        let mut name = OsString::from(WHITEOUT_PREFIX);
        name.push(path.file_name()?);
        Some(Self {
            path: path.with_file_name(name),
            kind: EntryKind::File { size: 0 },
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Xattrs::new(),
        })
    }

    /// Makes the entry of a file found on disk; `target` is the text of a symbolic link and unused for other kinds.
    /// `None` for a socket, which no layer holds.
    pub fn from_metadata(
        path: PathBuf,
        metadata: &Metadata,
        target: OsString,
        xattrs: Xattrs,
    ) -> Option<Self> {
        let kind = match metadata.kind {
            FileKind::File => EntryKind::File {
                size: metadata.size,
            },
            FileKind::Directory => EntryKind::Directory,
            FileKind::Symlink => EntryKind::Symlink { target },
            FileKind::Fifo => EntryKind::Fifo,
            FileKind::CharDevice(device) => EntryKind::CharDevice(device),
            FileKind::BlockDevice(device) => EntryKind::BlockDevice(device),
            FileKind::Socket => return None,
        };
        Some(Self {
            path,
            kind,
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: metadata.mtime,
            xattrs,
        })
    }

    /// Returns how many bytes of contents follow the entry's header: none but for regular files.
    pub fn size(&self) -> u64 {
        match self.kind {
            EntryKind::File { size } => size,
            EntryKind::Directory
            | EntryKind::Symlink { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::Fifo
            | EntryKind::CharDevice(_)
            | EntryKind::BlockDevice(_) => 0,
        }
    }

    /// Returns the name as the tar has it: a directory's ends with a slash.
    pub(super) fn tar_name(&self) -> Vec<u8> {
        let mut name = self.path.clone().into_os_string().into_vec();
        if self.kind == EntryKind::Directory {
            name.push(b'/');
        }
        name
    }

    /// Returns what the entry links to; empty for kinds that link to nothing.
    pub(super) fn tar_link_name(&self) -> &[u8] {
        match &self.kind {
            EntryKind::Symlink { target } => target.as_bytes(),
            EntryKind::HardLink { target } => target.as_os_str().as_bytes(),
            EntryKind::File { .. }
            | EntryKind::Directory
            | EntryKind::Fifo
            | EntryKind::CharDevice(_)
            | EntryKind::BlockDevice(_) => b"",
        }
    }
}
