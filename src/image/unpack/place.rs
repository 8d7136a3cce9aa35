//! Making what an entry says, in place of whatever has its name.

use std::ffi::OsStr;
use std::io::{BufRead, ErrorKind};

use rustix::io::Errno;

use super::entry_path::{self, EntryPath};
use super::metadata::{Attributes, Node};
use super::{EntryError, Form, Parent, Place, Unpacker};
use crate::fs::{
    ContentHasher, Dir, FileKind, NewFile, PathError, Root, device_number, remove_tree,
};
use crate::image::archive::{ArchiveReader, Entry, Segment, display};

/// Something made in place of what had its name.
pub(super) struct Made<T> {
    pub(super) made: T,
    /// What had its name was a whiteout or a file of this layer: nothing of the layers below may show
    /// through a directory in its place.
    pub(super) was_hiding: bool,
}

impl Unpacker<'_> {
    pub(super) fn place_file<R: BufRead>(
        &mut self,
        at: &Place<'_>,
        entry: &Entry,
        contents: (u64, Option<&[Segment]>),
        archive: &mut ArchiveReader<R>,
    ) -> Result<(), EntryError> {
        let mode = entry.mode & 0o777;
        let create = |dir, name| Dir::create_new_file(dir, name, mode);
        let mut file = self.create(at.parent, at.name, at.real_path, create)?.made;
        let mut hasher = self.known.as_ref().map(|known| known.hasher());
        self.unpacked.bytes += match contents {
            (_, None) => write_contents(&mut file, archive, hasher.as_mut())?,
            (size, Some(segments)) => {
                write_segments(&file, size, segments, archive, hasher.as_mut())?
            }
        };
        if let (Some(known), Some(hasher)) = (&mut self.known, hasher) {
            known.insert(&file.metadata()?, hasher);
        }
        self.apply_attributes(&file, entry, at.real_path)?;
        Ok(file.set_mtime(entry.mtime)?)
    }

    pub(super) fn place_dir(
        &mut self,
        at: &Place<'_>,
        entry: &Entry,
        path: &EntryPath,
    ) -> Result<(), EntryError> {
        let was_hiding = match at.parent.dir.create_dir(at.name, entry.mode & 0o777) {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.make_room_for_dir(at)?,
            Err(error) => return Err(error.into()),
        };
        let dir = at.parent.dir.open_dir(at.name)?;
        self.apply_attributes(&dir, entry, at.real_path)?;
        self.times.set(at.real_path, entry.mtime);
        match self.options.form {
            Form::OverlayLayer(xattrs) => {
                if was_hiding {
                    let (key, value) = (xattrs.opaque_key(), xattrs.opaque_value());
                    Attributes::set_xattr(&dir, key, value)?;
                }
                let real_path = entry_path::to_path(at.real_path);
                self.unpacked.implied_dirs.remove(real_path);
            }
            Form::Tree | Form::Archive => {}
        }
        let real_path = at.real_path.to_vec();
        self.enter(
            path.as_bytes(),
            Parent {
                dir,
                path: real_path,
            },
        );
        Ok(())
    }

    pub(super) fn place_symlink(
        &mut self,
        at: &Place<'_>,
        entry: &Entry,
        target: &[u8],
    ) -> Result<(), EntryError> {
        let target = entry_path::to_path(target).as_os_str();
        let create = |dir: &Dir, name: &OsStr| dir.create_symlink(target, name);
        self.create(at.parent, at.name, at.real_path, create)?;
        self.finish_node(at, entry)
    }

    /// Makes another name of the file `target`. Its metadata stay: they are those of the file.
    pub(super) fn place_hard_link(
        &mut self,
        at: &Place<'_>,
        target: &[u8],
    ) -> Result<(), EntryError> {
        let shown = || display(target);
        let missing = || EntryError::MissingLinkTarget { target: shown() };
        let is_directory = || EntryError::LinkToDirectory { target: shown() };
        let path = EntryPath::clean(target).map_err(|source| EntryError::LinkTarget {
            target: shown(),
            source: Box::new(source),
        })?;
        let path = path.ok_or_else(is_directory)?;
        let (dir, real_parent) = open_target_dir(self.root, path.parent())?;
        let real_target = entry_path::join(&real_parent, path.name());
        let found = match &dir {
            Some(dir) => dir.metadata_of(path.name())?,
            None => None,
        };
        match (dir, found, self.options.form) {
            (_, Some(found), _) if found.is_dir() => Err(is_directory()),
            (_, Some(found), Form::OverlayLayer(_)) if found.is_overlay_whiteout() => {
                Err(missing())
            }
            (Some(_), Some(_), _) if real_target == at.real_path => Ok(()),
            (Some(dir), Some(_), _) => {
                let create = |to: &Dir, name: &OsStr| to.create_hard_link(&dir, path.name(), name);
                self.create(at.parent, at.name, at.real_path, create)?;
                Ok(())
            }
            (_, _, Form::OverlayLayer(_)) => {
                self.clear(at.parent, at.name, at.real_path)?;
                self.links.defer(at.real_path, &real_target);
                Ok(())
            }
            (_, _, Form::Tree | Form::Archive) => Err(missing()),
        }
    }

    pub(super) fn place_fifo(&mut self, at: &Place<'_>, entry: &Entry) -> Result<(), EntryError> {
        let create = |dir: &Dir, name: &OsStr| dir.create_node(name, FileKind::Fifo, 0o600);
        self.create(at.parent, at.name, at.real_path, create)?;
        self.finish_node(at, entry)
    }

    /// Makes a device, or counts it where this process may not.
    pub(super) fn place_device(
        &mut self,
        at: &Place<'_>,
        entry: &Entry,
        kind: FileKind,
    ) -> Result<(), EntryError> {
        let is_whiteout = kind == FileKind::CharDevice(device_number(0, 0));
        if is_whiteout && !matches!(self.options.form, Form::Tree) {
            // In an overlay this would not be a device but a deletion.
            self.clear(at.parent, at.name, at.real_path)?;
            self.unpacked.skipped_devices.note(at.real_path);
            return Ok(());
        }
        let create = |dir: &Dir, name: &OsStr| dir.create_node(name, kind, 0o600);
        match self.create(at.parent, at.name, at.real_path, create) {
            Ok(_) => self.finish_node(at, entry),
            Err(EntryError::File(error)) if is_not_permitted(&error) => {
                self.unpacked.skipped_devices.note(at.real_path);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes something where nothing may be; what is there is removed first, with all below.
    pub(super) fn create<'p, T>(
        &mut self,
        parent: &'p Parent,
        name: &'p OsStr,
        real_path: &[u8],
        make: impl Fn(&'p Dir, &'p OsStr) -> Result<T, PathError>,
    ) -> Result<Made<T>, EntryError> {
        // Tried before it is looked up: in most archives nothing is ever in the way.
        match make(&parent.dir, name) {
            Ok(made) => Ok(Made {
                made,
                was_hiding: false,
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let was_hiding = self.clear(parent, name, real_path)?;
                let made = make(&parent.dir, name)?;
                Ok(Made { made, was_hiding })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes `name` with all below and forgets what was to be done there. Returns whether it hid what
    /// the layers below have there. Nothing there is success.
    pub(super) fn clear(
        &mut self,
        parent: &Parent,
        name: &OsStr,
        real_path: &[u8],
    ) -> Result<bool, EntryError> {
        let Some(found) = parent.dir.metadata_of(name)? else {
            return Ok(false);
        };
        if found.is_dir() {
            remove_tree(&parent.dir, name)?;
            self.forget_tree(real_path);
        } else {
            parent.dir.remove_file(name)?;
        }
        if found.is_dir() || found.is_symlink() {
            self.parents.clear();
        }
        Ok(match self.options.form {
            Form::OverlayLayer(_) => !found.is_dir(),
            // What is below is in the same tree, and gone with what was removed.
            Form::Tree | Form::Archive => false,
        })
    }

    fn forget_tree(&mut self, path: &[u8]) {
        self.times.forget_tree(path);
        self.links.forget_tree(path);
        let top = entry_path::to_path(path);
        let implied = &mut self.unpacked.implied_dirs;
        let doomed: Vec<_> = implied
            .range(top.to_path_buf()..)
            .take_while(|path| path.starts_with(top))
            .cloned()
            .collect();
        for path in doomed {
            implied.remove(&path);
        }
    }

    /// Leaves a directory that is there; makes one in place of anything else. Returns whether that hid
    /// what the layers below have there.
    fn make_room_for_dir(&mut self, at: &Place<'_>) -> Result<bool, EntryError> {
        let found = at.parent.dir.metadata_of(at.name)?;
        if found.is_some_and(|found| found.is_dir()) {
            return Ok(false);
        }
        let create = |dir: &Dir, name: &OsStr| dir.create_dir(name, 0o700);
        let made = self.create(at.parent, at.name, at.real_path, create)?;
        Ok(made.was_hiding)
    }

    fn finish_node(&mut self, at: &Place<'_>, entry: &Entry) -> Result<(), EntryError> {
        let node = Node {
            dir: &at.parent.dir,
            name: at.name,
        };
        self.apply_attributes(&node, entry, at.real_path)?;
        Ok(node.set_mtime(entry.mtime)?)
    }
}

/// Opens the directory of a link's target, inside the root, with its real path. `None` where there is
/// none: nothing is made for a target.
fn open_target_dir(root: &Root, parent: &[u8]) -> Result<(Option<Dir>, Vec<u8>), EntryError> {
    if let Some(dir) = root.open_real_dir(entry_path::to_path(parent))? {
        return Ok((Some(dir), parent.to_vec()));
    }
    let real = root.resolve(entry_path::to_path(parent))?;
    let dir = root.open_real_dir(&real)?;
    Ok((dir, real.into_os_string().into_encoded_bytes()))
}

fn write_contents<R: BufRead>(
    file: &mut NewFile<'_>,
    archive: &mut ArchiveReader<R>,
    mut hasher: Option<&mut ContentHasher>,
) -> Result<u64, EntryError> {
    let mut written = 0;
    loop {
        let contents = archive.contents()?;
        if contents.is_empty() {
            return Ok(written);
        }
        file.write_all(contents)?;
        if let Some(hasher) = &mut hasher {
            hasher.update(contents);
        }
        let count = contents.len();
        archive.consume(count);
        written += count as u64;
    }
}

/// Writes what is stored of a sparse file, whose segments ascend.
fn write_segments<R: BufRead>(
    file: &NewFile<'_>,
    size: u64,
    segments: &[Segment],
    archive: &mut ArchiveReader<R>,
    mut hasher: Option<&mut ContentHasher>,
) -> Result<u64, EntryError> {
    let (mut written, mut position) = (0, 0);
    for segment in segments {
        let (mut offset, end) = (segment.offset, segment.offset + segment.length);
        if let Some(hasher) = &mut hasher {
            hasher.update_with_hole(offset - position);
        }
        while offset < end {
            let contents = archive.contents()?;
            let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let count = contents.len().min(wanted);
            file.write_all_at(&contents[..count], offset)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(&contents[..count]);
            }
            archive.consume(count);
            offset += count as u64;
        }
        written += segment.length;
        position = end;
    }
    if let Some(hasher) = hasher {
        hasher.update_with_hole(size - position);
    }
    file.set_size(size)?;
    Ok(written)
}

fn is_not_permitted(error: &PathError) -> bool {
    error.source.raw_os_error() == Some(Errno::PERM.raw_os_error())
}
