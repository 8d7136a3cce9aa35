//! Whiteouts: names in a layer that delete (OCI image-spec, layer.md "Whiteouts"). They concern the
//! layers below only, so that their order among the entries of their own layer does not matter.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::entry_path::{EntryPath, join, to_path};
use super::metadata::{Attributes, apply_plain};
use super::parents::IMPLIED_MODE;
use super::{EntryError, Parent, Unpacker};
use crate::fs::{FileKind, Timestamp, device_number};
use crate::image::overlay::OverlayXattrs;

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What AUFS kept in its own directories, and old versions of Docker put into layers.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// What a name in a layer deletes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::image) enum Whiteout<'p> {
    /// One name beside it.
    Of(&'p OsStr),
    /// All that the layers below have in the directory it lies in.
    Opaque,
    /// Nothing, and it is no file either.
    Ignored,
}

impl<'p> Whiteout<'p> {
    /// Returns `None` for an ordinary name.
    pub(in crate::image) fn of(path: &'p EntryPath) -> Result<Option<Self>, EntryError> {
        let name = path.name().as_bytes();
        if name == OPAQUE {
            return Ok(Some(Self::Opaque));
        }
        if name.starts_with(AUFS_PREFIX) || path.as_bytes().starts_with(AUFS_PREFIX) {
            return Ok(Some(Self::Ignored));
        }
        match name.strip_prefix(PREFIX) {
            None => Ok(None),
            Some(b"" | b"." | b"..") => Err(EntryError::InvalidWhiteout),
            Some(deleted) => Ok(Some(Self::Of(OsStr::from_bytes(deleted)))),
        }
    }
}

impl Unpacker<'_> {
    /// Writes down a deletion as overlayfs reads it.
    pub(super) fn mark_in_overlay(
        &mut self,
        path: &EntryPath,
        whiteout: &Whiteout<'_>,
        xattrs: OverlayXattrs,
    ) -> Result<(), EntryError> {
        match whiteout {
            Whiteout::Ignored => Ok(()),
            Whiteout::Opaque => {
                let parent = self.open_parent(path.parent())?;
                if parent.path.is_empty() {
                    self.unpacked.is_root_opaque = true;
                    return Ok(());
                }
                Ok(parent
                    .dir
                    .set_own_xattr(xattrs.opaque_key(), xattrs.opaque_value())?)
            }
            Whiteout::Of(name) => {
                let parent = self.open_parent(path.parent())?;
                self.mark_deleted(&parent, name, xattrs)
            }
        }
    }

    fn mark_deleted(
        &mut self,
        parent: &Parent,
        name: &OsStr,
        xattrs: OverlayXattrs,
    ) -> Result<(), EntryError> {
        let Some(found) = parent.dir.metadata_of(name)? else {
            let kind = FileKind::CharDevice(device_number(0, 0));
            parent.dir.create_node(name, kind, 0o000)?;
            let dir = to_path(&parent.path).to_path_buf();
            self.unpacked.whiteout_dirs.insert(dir);
            return Ok(());
        };
        if !found.is_dir() {
            // A file of this layer hides the one below; a mark that is there already does too.
            return Ok(());
        }
        // This layer has brought a directory: what is below must not show through it.
        let dir = parent.dir.open_dir(name)?;
        Attributes::set_xattr(&dir, xattrs.opaque_key(), xattrs.opaque_value())?;
        let path = join(&parent.path, name);
        self.unpacked.implied_dirs.remove(to_path(&path));
        Ok(())
    }

    /// Deletes what the layers below have left in the tree.
    pub(super) fn delete_from_tree(
        &mut self,
        path: &EntryPath,
        whiteout: &Whiteout<'_>,
    ) -> Result<(), EntryError> {
        match whiteout {
            Whiteout::Ignored => Ok(()),
            Whiteout::Opaque => {
                let parent = self.open_parent(path.parent())?;
                self.written.note_dir(&parent.path);
                self.prune(&parent.path)
            }
            Whiteout::Of(name) => {
                let parent = self.open_parent(path.parent())?;
                self.written.note_dir(&parent.path);
                let doomed = join(&parent.path, name);
                if self.written.mark(&doomed).is_none() {
                    self.clear(&parent, name, &doomed)?;
                    return Ok(());
                }
                self.make_fresh(&parent, name, &doomed)?;
                self.prune(&doomed)
            }
        }
    }

    /// Removes from the directory `top` and from those below all that this layer has not brought.
    /// Each directory is gone through once however often an archive asks for it.
    fn prune(&mut self, top: &[u8]) -> Result<(), EntryError> {
        let mut pending = vec![top.to_vec()];
        while let Some(path) = pending.pop() {
            if self.written.mark(&path).is_some_and(|mark| mark.is_pruned) {
                continue;
            }
            let Some(dir) = self.root.open_real_dir(to_path(&path))? else {
                continue;
            };
            let parent = Parent { dir, path };
            self.keep_time_of(&parent)?;
            for name in parent.dir.names()? {
                let child = join(&parent.path, &name);
                if self.written.mark(&child).is_none() {
                    self.clear(&parent, &name, &child)?;
                } else {
                    self.make_fresh(&parent, &name, &child)?;
                    pending.push(child);
                }
            }
            self.written.note_pruned(&parent.path);
        }
        Ok(())
    }

    /// Takes from a directory that no entry of this layer describes what the layers below said of it:
    /// it was deleted, and is there because of what lies in it.
    fn make_fresh(&mut self, parent: &Parent, name: &OsStr, path: &[u8]) -> Result<(), EntryError> {
        let is_described = self.written.mark(path).is_some_and(|mark| mark.is_entry);
        let found = parent.dir.metadata_of(name)?;
        if is_described || !found.is_some_and(|found| found.is_dir()) {
            return Ok(());
        }
        apply_plain(&parent.dir.open_dir(name)?, (0, 0), IMPLIED_MODE)?;
        self.times.set(path, Timestamp::EPOCH);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(name: &str) -> String {
        let path = EntryPath::clean(name.as_bytes()).unwrap().unwrap();
        match Whiteout::of(&path) {
            Ok(None) => "ordinary".to_owned(),
            Ok(Some(Whiteout::Of(name))) => format!("deletes {}", name.display()),
            Ok(Some(Whiteout::Opaque)) => "opaque".to_owned(),
            Ok(Some(Whiteout::Ignored)) => "ignored".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_read_as_the_specification_says() {
        let invalid = EntryError::InvalidWhiteout.to_string();
        let cases = [
            ("a/.wh.b", "deletes b"),
            (".wh.b", "deletes b"),
            ("a/.wh..hidden", "deletes .hidden"),
            ("a/.wh..wh..opq", "opaque"),
            (".wh..wh..opq", "opaque"),
            (".wh..wh.plnk", "ignored"),
            (".wh..wh.plnk/12.34", "ignored"),
            ("a/.whb", "ordinary"),
            ("a/x.wh.b", "ordinary"),
            ("a/.wh.", &invalid),
            ("a/.wh..", &invalid),
            ("a/.wh...", &invalid),
        ];
        for (name, expected) in cases {
            assert_eq!(kind_of(name), expected, "{name}");
        }
    }
}
