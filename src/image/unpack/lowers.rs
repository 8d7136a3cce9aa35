//! What an unpacked layer needs from the layers below before they are stacked: the files that its
//! hard links lead to, and what the directories it does not describe are like.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{DeferredLink, UnpackError, Unpacked, parent_of};
use crate::fs::{Dir, FileKind, Metadata, PathError, Root};
use crate::image::overlay::OverlayXattrs;

/// Completes a layer that was unpacked as [`Form::OverlayLayer`](super::Form::OverlayLayer).
///
/// `lowers` are the layers below, the nearest first, each complete itself: layers may be unpacked in
/// any order and at the same time, but are completed from the base upwards.
///
/// A hard link's target is copied into this layer, as overlayfs does when such a link is made, and
/// directories without an entry get owner, mode, attributes and time of what the layers below show.
pub fn complete(
    unpacked: &Unpacked,
    layer: &Root,
    xattrs: OverlayXattrs,
    lowers: &[&Root],
) -> Result<(), UnpackError> {
    let stack = Stack {
        layer,
        xattrs,
        lowers: if unpacked.is_root_opaque { &[] } else { lowers },
    };
    let mut implied = unpacked.implied_dirs.clone();
    let mut made = BTreeSet::new();
    for link in &unpacked.deferred_links {
        stack.make_link(link, &mut made, &mut implied)?;
    }
    for path in &implied {
        stack.adopt_dir(path)?;
    }
    Ok(())
}

struct Stack<'a> {
    layer: &'a Root,
    xattrs: OverlayXattrs,
    lowers: &'a [&'a Root],
}

/// A file of a layer below.
struct Found {
    dir: Dir,
    name: OsString,
    metadata: Metadata,
}

/// What one layer says of a path.
enum Sighting {
    /// It is there, and lies in nothing but directories.
    Found(Found),
    /// Nothing: what is further below counts.
    Absent,
    /// It is deleted here, or what lies below is hidden.
    Hidden,
}

impl Stack<'_> {
    fn make_link(
        &self,
        link: &DeferredLink,
        made: &mut BTreeSet<PathBuf>,
        implied: &mut BTreeSet<PathBuf>,
    ) -> Result<(), UnpackError> {
        if self.exists(&link.path)? {
            // Something that came later in the layer.
            return Ok(());
        }
        if !made.contains(&link.target) {
            let found = self.find_target(link)?;
            if self.exists(&link.target)? {
                // The layer has replaced the target after the link: the link is to the old one.
                self.copy(&found, &link.path)?;
                made.insert(link.path.clone());
                return Ok(());
            }
            self.make_dirs(parent_of(&link.target), implied)?;
            self.copy(&found, &link.target)?;
            made.insert(link.target.clone());
        }
        if link.path != link.target {
            let (from, source) = self.layer.open_parent(&link.target)?;
            let (to, name) = self.layer.open_parent(&link.path)?;
            keep_mtime(&to, || to.create_hard_link(&from, &source, &name))?;
            made.insert(link.path.clone());
        }
        Ok(())
    }

    fn find_target(&self, link: &DeferredLink) -> Result<Found, UnpackError> {
        let (link, target) = (link.path.clone(), link.target.clone());
        match self.find(&target)? {
            Some(found) if found.metadata.is_dir() => {
                Err(UnpackError::LinkToDirectory { link, target })
            }
            Some(found) => Ok(found),
            None => Err(UnpackError::MissingLinkTarget { link, target }),
        }
    }

    fn adopt_dir(&self, path: &Path) -> Result<(), PathError> {
        let Some(found) = self.find(path)?.filter(|found| found.metadata.is_dir()) else {
            return Ok(());
        };
        let Some(dir) = self.layer.open_real_dir(path)? else {
            return Ok(());
        };
        let metadata = &found.metadata;
        dir.set_own_owner(metadata.uid, metadata.gid)?;
        dir.set_own_mode(metadata.mode)?;
        for (key, value) in found.dir.xattrs(&found.name)? {
            if !self.is_mark(&key) {
                dir.set_own_xattr(&key, &value)?;
            }
        }
        dir.set_own_mtime(metadata.mtime)
    }

    /// Says whether this layer has something at `path`, which has no symbolic link on the way.
    fn exists(&self, path: &Path) -> Result<bool, PathError> {
        Ok(self.layer.symlink_metadata(path)?.is_some())
    }

    /// Returns what the layers below show at `path` through the marks of this one.
    fn find(&self, path: &Path) -> Result<Option<Found>, PathError> {
        let mut is_hidden = false;
        let here = self.look(self.layer, path, &mut is_hidden)?;
        match here {
            Sighting::Hidden => return Ok(None),
            Sighting::Found(_) | Sighting::Absent => {}
        }
        for lower in self.lowers {
            if is_hidden {
                return Ok(None);
            }
            match self.look(lower, path, &mut is_hidden)? {
                Sighting::Found(found) => return Ok(Some(found)),
                Sighting::Hidden => return Ok(None),
                Sighting::Absent => {}
            }
        }
        Ok(None)
    }

    /// Looks for `path` in one layer. Sets `is_hidden` where a directory that it lies in is opaque:
    /// what is further below does not count.
    fn look(&self, layer: &Root, path: &Path, is_hidden: &mut bool) -> Result<Sighting, PathError> {
        let Some(name) = path.file_name() else {
            return Ok(Sighting::Absent);
        };
        let mut dir = layer.dir().try_clone()?;
        for component in parent_of(path) {
            match dir.metadata_of(component)? {
                None => return Ok(Sighting::Absent),
                Some(found) if !found.is_dir() => return Ok(Sighting::Hidden),
                Some(_) => {}
            }
            *is_hidden |= dir.xattr(component, self.xattrs.opaque_key())?.is_some();
            dir = dir.open_dir(component)?;
        }
        match dir.metadata_of(name)? {
            None => Ok(Sighting::Absent),
            Some(found) if found.is_overlay_whiteout() => Ok(Sighting::Hidden),
            Some(metadata) => Ok(Sighting::Found(Found {
                dir,
                name: name.to_os_string(),
                metadata,
            })),
        }
    }

    /// Makes the directories of `path` that this layer does not have, and notes them as implied.
    fn make_dirs(&self, path: &Path, implied: &mut BTreeSet<PathBuf>) -> Result<(), PathError> {
        let mut dir = self.layer.dir().try_clone()?;
        let mut real = PathBuf::new();
        for component in path {
            real.push(component);
            if dir.metadata_of(component)?.is_none() {
                keep_mtime(&dir, || dir.create_dir(component, 0o755))?;
                implied.insert(real.clone());
            }
            dir = dir.open_dir(component)?;
        }
        Ok(())
    }

    /// Copies a file of a layer below to `path` in this one.
    fn copy(&self, from: &Found, path: &Path) -> Result<(), PathError> {
        let (to, name) = self.layer.open_parent(path)?;
        keep_mtime(&to, || {
            create_like(from, &to, &name)?;
            let metadata = &from.metadata;
            to.set_owner(&name, metadata.uid, metadata.gid)?;
            if !metadata.is_symlink() {
                to.set_mode(&name, metadata.mode)?;
            }
            for (key, value) in from.dir.xattrs(&from.name)? {
                if !self.is_mark(&key) {
                    to.set_xattr(&name, &key, &value)?;
                }
            }
            to.set_mtime(&name, metadata.mtime)
        })
    }

    fn is_mark(&self, key: &OsStr) -> bool {
        let prefix = self.xattrs.prefix().as_bytes();
        key.as_encoded_bytes().starts_with(prefix)
    }
}

fn create_like(from: &Found, to: &Dir, name: &OsStr) -> Result<(), PathError> {
    match from.metadata.kind {
        FileKind::File => {
            let source = from.dir.open_file(&from.name)?;
            to.create_new_file(name, 0o600)?.copy_from(&source)
        }
        FileKind::Symlink => to.create_symlink(&from.dir.read_link(&from.name)?, name),
        FileKind::Directory => to.create_dir(name, 0o700),
        FileKind::Fifo | FileKind::CharDevice(_) | FileKind::BlockDevice(_) | FileKind::Socket => {
            to.create_node(name, from.metadata.kind, 0o600)
        }
    }
}

/// Does something in `dir` that must not show in its time.
fn keep_mtime(dir: &Dir, change: impl FnOnce() -> Result<(), PathError>) -> Result<(), PathError> {
    let mtime = dir.metadata()?.mtime;
    change()?;
    dir.set_own_mtime(mtime)
}
