//! When the files of an archive were changed last. This module knows archives, not what they are for.

use std::fs::File;
use std::io::BufReader;

use crate::image::archive::{ArchiveReader, EntryKind};
use crate::image::decompress::{Compression, Decoder};

/// Returns the latest time of a regular file in an archive, in seconds since the Unix epoch; `None` for what is none, or
/// cannot be read to its end. Reads all of it.
pub(super) fn newest_file(file: File) -> Option<i64> {
    let (compression, reader) = Compression::detect(file).ok()?;
    let decoder = Decoder::new(BufReader::new(reader), compression).ok()?;
    let mut archive = ArchiveReader::new(BufReader::new(decoder));
    let mut newest = None;
    while let Some(entry) = archive.next_entry().ok()? {
        if let EntryKind::File { .. } = entry.kind {
            newest = newest.max(Some(entry.mtime.seconds));
        }
    }
    newest
}
