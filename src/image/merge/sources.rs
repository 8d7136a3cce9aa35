//! The layers, read for the second time: each once from its beginning, as far as something of it is needed.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::error::{EntryProblem, MergeError};
use super::names::{Names, Place, What};
use super::spool::Spool;
use crate::fs::device_number;
use crate::image::archive::{ArchiveReader, Entry, EntryKind};
use crate::image::layer_entry::{self, LayerEntry};
use crate::image::layer_writer::{Content, LayerWriter};
use crate::image::unpack::entry_path::to_path;
use crate::image::unpack::metadata::owner_of;

/// The layers, and what was put aside of them.
pub(super) struct Sources<F, R> {
    open: F,
    streams: Vec<Stream<R>>,
    /// Entries that their layers have before they are needed.
    early: HashSet<Place>,
    spool: Spool,
}

/// One layer.
struct Stream<R> {
    /// Not open before something is needed of it, and not after the last of that.
    archive: Option<ArchiveReader<R>>,
    /// Number of the entry that comes next.
    next: u64,
    /// Entries that are still needed.
    needed: u64,
}

impl<R: BufRead, F: FnMut(usize) -> io::Result<R>> Sources<F, R> {
    /// Finds out what is needed of each layer, and when. `spool_dir` is for contents that must wait.
    pub(super) fn new(names: &Names, open: F, spool_dir: &Path) -> Self {
        let mut needed = vec![0; names.layers()];
        let mut last: Vec<Option<u64>> = vec![None; names.layers()];
        let mut early = HashSet::new();
        for place in places(names) {
            needed[place.layer] += 1;
            let last = &mut last[place.layer];
            match *last {
                Some(last) if place.entry < last => {
                    early.insert(place);
                }
                Some(_) | None => *last = Some(place.entry),
            }
        }
        let stream = |needed| Stream {
            archive: None,
            next: 0,
            needed,
        };
        Self {
            open,
            streams: needed.into_iter().map(stream).collect(),
            early,
            spool: Spool::in_dir(spool_dir),
        }
    }

    /// Appends an entry to the one layer, under the name `path`, and returns it. To be asked in the order of the names,
    /// once for each entry.
    pub(super) fn append_to(
        &mut self,
        writer: &mut LayerWriter,
        path: &Path,
        place: Place,
    ) -> Result<LayerEntry, MergeError> {
        if let Some((entry, contents)) = self.spool.take(place)? {
            return append(writer, path, &entry, contents);
        }
        let stream = &mut self.streams[place.layer];
        let mut archive = match stream.archive.take() {
            Some(archive) => archive,
            None => ArchiveReader::new((self.open)(place.layer).map_err(MergeError::Open)?),
        };
        let appended = loop {
            let entry = archive.next_entry()?.ok_or(MergeError::Changed)?;
            let here = Place {
                layer: place.layer,
                entry: stream.next,
            };
            stream.next += 1;
            let contents = Contents(&mut archive);
            if here == place {
                break append(writer, path, &entry, contents)?;
            }
            if self.early.contains(&here) {
                stream.needed -= 1;
                self.spool.keep(here, entry, contents)?;
            }
        };
        stream.needed -= 1;
        if stream.needed > 0 {
            stream.archive = Some(archive);
        }
        Ok(appended)
    }
}

/// Returns the entries that are needed, each once, in the order in which they are.
fn places(names: &Names) -> impl Iterator<Item = Place> {
    let mut of_links = HashSet::new();
    names.iter().filter_map(move |(_, what)| match what {
        What::Deleted => None,
        What::Directory { entry, .. } => Some(entry),
        What::File(place) if names.is_linked(place) => of_links.insert(place).then_some(place),
        What::File(place) => Some(place),
    })
}

fn append(
    writer: &mut LayerWriter,
    path: &Path,
    entry: &Entry,
    mut contents: impl Read,
) -> Result<LayerEntry, MergeError> {
    let appended =
        layer_entry(path, entry).map_err(|problem| MergeError::entry(&entry.name, problem))?;
    writer.append(&appended, Content::Reader(&mut contents))?;
    Ok(appended)
}

fn layer_entry(path: &Path, entry: &Entry) -> Result<LayerEntry, EntryProblem> {
    use layer_entry::EntryKind as Kind;
    let (uid, gid) = owner_of(entry)?;
    let kind = match &entry.kind {
        EntryKind::File {
            size,
            segments: None,
        } => Kind::File { size: *size },
        EntryKind::File {
            segments: Some(_), ..
        } => return Err(EntryProblem::Sparse),
        EntryKind::Directory => Kind::Directory,
        EntryKind::Symlink { target } => Kind::Symlink {
            target: to_path(target).as_os_str().to_owned(),
        },
        EntryKind::Fifo => Kind::Fifo,
        EntryKind::CharDevice { major, minor } => Kind::CharDevice(device_number(*major, *minor)),
        EntryKind::BlockDevice { major, minor } => Kind::BlockDevice(device_number(*major, *minor)),
        EntryKind::HardLink { .. } => unreachable!("a link stands for the entry of its file"),
    };
    let xattr =
        |(key, value): &(Vec<u8>, Vec<u8>)| (to_path(key).as_os_str().to_owned(), value.clone());
    Ok(LayerEntry {
        path: path.to_path_buf(),
        kind,
        mode: entry.mode,
        uid,
        gid,
        mtime: entry.mtime,
        xattrs: entry.xattrs.iter().map(xattr).collect(),
    })
}

/// The contents of an archive's current entry.
struct Contents<'a, R>(&'a mut ArchiveReader<R>);

impl<R: BufRead> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut contents = self.0.contents().map_err(io::Error::other)?;
        let count = contents.read(buffer)?;
        self.0.consume(count);
        Ok(count)
    }
}
