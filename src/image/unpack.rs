//! Unpacking: a tar stream becomes files below one directory.
//!
//! The stream is not trusted. Every entry is placed through the directory that holds it, names that
//! climb out are refused, and symbolic links on the way lead nowhere but inside. This module knows
//! tar and directories; it must not know where a layer comes from, nor how layers are mounted.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::fs::{FileKind, KnownContents, Root, device_number};
use crate::image::archive::{ArchiveReader, Entry, EntryKind};
use crate::image::overlay::OverlayXattrs;

mod dir_times;
pub(in crate::image) mod entry_path;
mod error;
mod links;
mod lowers;
pub(in crate::image) mod metadata;
mod parents;
mod place;
pub(in crate::image) mod whiteout;
mod written;

use dir_times::DirTimes;
use entry_path::EntryPath;
pub use error::{EntryError, UnpackError};
use links::DeferredLinks;
pub use lowers::complete;
use parents::{Parent, Parents};
use whiteout::Whiteout;
use written::Written;

/// What the tar stream is, and so what its special names mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A layer, unpacked alone into an empty directory that an overlay mount will stack: whiteouts
    /// become overlayfs's own marks.
    OverlayLayer(OverlayXattrs),
    /// A layer, applied to a directory that has the layers below: whiteouts delete what those had,
    /// never what the same layer brings, whatever their order.
    Tree,
    /// An archive that ADD unpacks: all names are ordinary.
    Archive,
}

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct UnpackOptions {
    /// What the tar stream is.
    pub form: Form,
    /// User and group that every entry gets; `None` keeps those of the archive. Directories that no
    /// entry names belong to root either way, as in Docker's `go-archive`.
    pub owner: Option<(u32, u32)>,
}

/// What unpacking did.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Entries placed, whiteouts included.
    pub entries: u64,
    /// Bytes written as contents of files.
    pub bytes: u64,
    /// The latest time of a regular file, in seconds since the Unix epoch; `None` without one.
    pub newest_file: Option<i64>,
    /// Directories that no entry describes but that something lies in, relative to the root; only for
    /// [`Form::OverlayLayer`]. They are 0755 and root's until [`complete`] makes them like those below.
    pub implied_dirs: BTreeSet<PathBuf>,
    /// Directories with marks that a name is deleted, relative to the root; only for
    /// [`Form::OverlayLayer`]. [`complete`] removes the marks that hide nothing.
    pub whiteout_dirs: BTreeSet<PathBuf>,
    /// Hard links whose target this layer does not have, in the layer's order; only for
    /// [`Form::OverlayLayer`]. [`complete`] makes them.
    pub deferred_links: Vec<DeferredLink>,
    /// The layer says that nothing of the layers below shows at all; only for
    /// [`Form::OverlayLayer`]. overlayfs does not heed that mark on the root of a layer: whoever
    /// stacks the layers must leave those below out.
    pub is_root_opaque: bool,
    /// Devices that this process may not make, or that overlayfs would read as a whiteout.
    pub skipped_devices: Skipped,
    /// Files whose `user.*` attributes the file system does not take.
    pub skipped_xattrs: Skipped,
}

/// A hard link to a file of a layer below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferredLink {
    /// The new name, relative to the root, without symbolic links on the way.
    pub path: PathBuf,
    /// The existing name, relative to the root, without symbolic links of this layer on the way.
    pub target: PathBuf,
}

/// Things left out, without keeping a list that a hostile archive could grow.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first few, relative to the root.
    pub first: Vec<PathBuf>,
}

impl Skipped {
    /// Names kept: enough to recognise what it is about.
    const SHOWN_MAX: usize = 5;

    fn note(&mut self, path: &[u8]) {
        self.count += 1;
        if self.first.len() < Self::SHOWN_MAX {
            self.first.push(entry_path::to_path(path).to_path_buf());
        }
    }
}

/// Unpacks a decompressed tar stream into `root`, up to the end of the archive; what follows it in the
/// stream is left there, and a stream given by reference can be read on.
///
/// Needs the rights of root in this user namespace, or a `root` with a ledger. Costs one creation per
/// entry and memory for the directories only. After an error the directory holds a part of the
/// entries: drop it.
pub fn unpack(
    archive: impl BufRead,
    root: &Root,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    Unpacker::new(root, options)?.unpack(archive)
}

/// Unpacks as [`unpack`] does, and notes what each regular file contains.
pub fn unpack_and_note(
    archive: impl BufRead,
    root: &Root,
    options: &UnpackOptions,
    known: &mut KnownContents,
) -> Result<Unpacked, UnpackError> {
    let mut unpacker = Unpacker::new(root, options)?;
    unpacker.known = Some(known);
    unpacker.unpack(archive)
}

struct Unpacker<'a> {
    root: &'a Root,
    options: UnpackOptions,
    top: Rc<Parent>,
    parents: Parents,
    times: DirTimes,
    written: Written,
    links: DeferredLinks,
    /// Where the contents of files are noted, if anybody wants to know.
    known: Option<&'a mut KnownContents>,
    unpacked: Unpacked,
}

impl<'a> Unpacker<'a> {
    fn new(root: &'a Root, options: &UnpackOptions) -> Result<Self, UnpackError> {
        let mut unpacker = Self {
            root,
            options: *options,
            top: Rc::new(Parent {
                dir: root.dir().try_clone()?,
                path: Vec::new(),
            }),
            parents: Parents::default(),
            times: DirTimes::default(),
            written: Written::for_form(options.form),
            links: DeferredLinks::default(),
            known: None,
            unpacked: Unpacked::default(),
        };
        unpacker.keep_time_of(&unpacker.top.clone())?;
        Ok(unpacker)
    }

    fn unpack(mut self, archive: impl BufRead) -> Result<Unpacked, UnpackError> {
        let mut archive = ArchiveReader::new(archive);
        while let Some(entry) = archive.next_entry().map_err(UnpackError::Archive)? {
            self.entry(&entry, &mut archive)
                .map_err(|source| UnpackError::entry(&entry.name, source))?;
        }
        self.finish()
    }

    fn entry<R: BufRead>(
        &mut self,
        entry: &Entry,
        archive: &mut ArchiveReader<R>,
    ) -> Result<(), EntryError> {
        let Some(path) = EntryPath::clean(&entry.name)? else {
            // The root belongs to whoever made it: as containerd and go-archive.
            return Ok(());
        };
        self.unpacked.entries += 1;
        match self.options.form {
            Form::OverlayLayer(xattrs) => {
                if let Some(whiteout) = Whiteout::of(&path)? {
                    return self.mark_in_overlay(&path, &whiteout, xattrs);
                }
            }
            Form::Tree => {
                if let Some(whiteout) = Whiteout::of(&path)? {
                    return self.delete_from_tree(&path, &whiteout);
                }
            }
            Form::Archive => {}
        }
        self.place(entry, &path, archive)
    }

    fn place<R: BufRead>(
        &mut self,
        entry: &Entry,
        path: &EntryPath,
        archive: &mut ArchiveReader<R>,
    ) -> Result<(), EntryError> {
        let parent = self.open_parent(path.parent())?;
        let real_path = entry_path::join(&parent.path, path.name());
        self.written.note_entry(&real_path);
        self.links.forget(&real_path);
        let at = Place {
            parent: &parent,
            name: path.name(),
            real_path: &real_path,
        };
        match &entry.kind {
            EntryKind::File { segments, size } => {
                let newest = self.unpacked.newest_file;
                self.unpacked.newest_file = newest.max(Some(entry.mtime.seconds));
                self.place_file(&at, entry, (*size, segments.as_deref()), archive)
            }
            EntryKind::HardLink { target } => self.place_hard_link(&at, target),
            EntryKind::Symlink { target } => self.place_symlink(&at, entry, target),
            EntryKind::Directory => self.place_dir(&at, entry, path),
            EntryKind::Fifo => self.place_fifo(&at, entry),
            EntryKind::CharDevice { major, minor } => {
                let device = device_number(*major, *minor);
                self.place_device(&at, entry, FileKind::CharDevice(device))
            }
            EntryKind::BlockDevice { major, minor } => {
                let device = device_number(*major, *minor);
                self.place_device(&at, entry, FileKind::BlockDevice(device))
            }
        }
    }

    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        self.times.apply(self.root)?;
        self.unpacked.deferred_links = self.links.into_list();
        let devices = &self.unpacked.skipped_devices;
        if devices.count > 0 {
            let (count, first) = (devices.count, &devices.first);
            tracing::warn!(count, ?first, "left out devices that cannot be made here");
        }
        let xattrs = &self.unpacked.skipped_xattrs;
        if xattrs.count > 0 {
            let (count, first) = (xattrs.count, &xattrs.first);
            tracing::warn!(
                count,
                ?first,
                "left out attributes that the file system does not take"
            );
        }
        Ok(self.unpacked)
    }
}

/// Where an entry goes.
struct Place<'p> {
    parent: &'p Parent,
    name: &'p std::ffi::OsStr,
    /// Relative to the root, without symbolic links on the way.
    real_path: &'p [u8],
}

/// Returns the directory part of a path inside the root; empty for what lies right in the root.
fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests;
