//! Owner, mode, attributes and time of what was just made, in the order that the kernel asks for.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::{EntryError, Unpacker};
use crate::fs::{Dir, Metadata, NewFile, PathError, Timestamp};
use crate::image::archive::Entry;

/// Something whose metadata can be set: by descriptor where one is open, by name otherwise.
pub(super) trait Attributes {
    fn metadata(&self) -> Result<Metadata, PathError>;
    fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError>;
    fn set_mode(&self, mode: u32) -> Result<(), PathError>;
    fn set_xattr(&self, key: &OsStr, value: &[u8]) -> Result<(), PathError>;
}

impl Attributes for NewFile<'_> {
    fn metadata(&self) -> Result<Metadata, PathError> {
        self.metadata()
    }
    fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        self.set_owner(uid, gid)
    }
    fn set_mode(&self, mode: u32) -> Result<(), PathError> {
        self.set_mode(mode)
    }
    fn set_xattr(&self, key: &OsStr, value: &[u8]) -> Result<(), PathError> {
        self.set_xattr(key, value)
    }
}

impl Attributes for Dir {
    fn metadata(&self) -> Result<Metadata, PathError> {
        self.metadata()
    }
    fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        self.set_own_owner(uid, gid)
    }
    fn set_mode(&self, mode: u32) -> Result<(), PathError> {
        self.set_own_mode(mode)
    }
    fn set_xattr(&self, key: &OsStr, value: &[u8]) -> Result<(), PathError> {
        self.set_own_xattr(key, value)
    }
}

/// A link, pipe or device, which must not be opened.
pub(super) struct Node<'a> {
    pub(super) dir: &'a Dir,
    pub(super) name: &'a OsStr,
}

impl Node<'_> {
    pub(super) fn set_mtime(&self, mtime: Timestamp) -> Result<(), PathError> {
        self.dir.set_mtime(self.name, mtime)
    }
}

impl Attributes for Node<'_> {
    fn metadata(&self) -> Result<Metadata, PathError> {
        let metadata = self.dir.metadata_of(self.name)?;
        metadata.ok_or_else(|| PathError::new("stat", self.dir.path_of(self.name), Errno::NOENT))
    }
    fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        self.dir.set_owner(self.name, uid, gid)
    }
    fn set_mode(&self, mode: u32) -> Result<(), PathError> {
        self.dir.set_mode(self.name, mode)
    }
    fn set_xattr(&self, key: &OsStr, value: &[u8]) -> Result<(), PathError> {
        self.dir.set_xattr(self.name, key, value)
    }
}

/// The attribute that programs lose their rights without.
const CAPABILITY: &[u8] = b"security.capability";
/// Attributes of users.
const USER_PREFIX: &[u8] = b"user.";
/// What an overlay mount in a user namespace takes for its own marks. A layer that brings them would
/// hide or redirect files, so they are left out in every form: the same layer gives the same tree.
const OVERLAY_PREFIX: &[u8] = b"user.overlay.";

impl Unpacker<'_> {
    /// Gives owner, mode and attributes of `entry` to what was made for it. Contents must be complete:
    /// writing would drop capabilities.
    pub(super) fn apply_attributes(
        &mut self,
        target: &impl Attributes,
        entry: &Entry,
        real_path: &[u8],
    ) -> Result<(), EntryError> {
        let owner = match self.options.owner {
            Some(owner) => owner,
            None => owner_of(entry)?,
        };
        apply_plain(target, owner, entry.mode)?;
        if entry.xattrs.is_empty() {
            return Ok(());
        }
        self.apply_xattrs(target, entry, real_path)
    }

    fn apply_xattrs(
        &mut self,
        target: &impl Attributes,
        entry: &Entry,
        real_path: &[u8],
    ) -> Result<(), EntryError> {
        let mut is_complete = true;
        for (key, value) in &entry.xattrs {
            let name = OsStr::from_bytes(key);
            if key == CAPABILITY {
                target
                    .set_xattr(name, value)
                    .map_err(EntryError::Capability)?;
            } else if key.starts_with(USER_PREFIX) && !key.starts_with(OVERLAY_PREFIX) {
                match target.set_xattr(name, value) {
                    Ok(()) => {}
                    Err(error) if is_refused(&error) => is_complete = false,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if !is_complete {
            self.unpacked.skipped_xattrs.note(real_path);
        }
        Ok(())
    }
}

/// Sets owner and mode where they are not what they should be. The owner first: the kernel clears
/// setuid bits when it changes.
pub(super) fn apply_plain(
    target: &impl Attributes,
    (uid, gid): (u32, u32),
    mode: u32,
) -> Result<(), EntryError> {
    let now = target.metadata()?;
    let is_owner_wrong = (now.uid, now.gid) != (uid, gid);
    if is_owner_wrong {
        target.set_owner(uid, gid).map_err(|source| {
            if source.kind() == ErrorKind::InvalidInput {
                EntryError::OwnerNotMapped { uid, gid, source }
            } else {
                EntryError::File(source)
            }
        })?;
    }
    let may_be_cleared = is_owner_wrong && mode & 0o6000 != 0;
    if !now.is_symlink() && (now.mode != mode || may_be_cleared) {
        target.set_mode(mode)?;
    }
    Ok(())
}

pub(in crate::image) fn owner_of(entry: &Entry) -> Result<(u32, u32), EntryError> {
    // The largest number means "leave as it is" to the kernel and is nobody's.
    let id = |id: i64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    match (id(entry.uid), id(entry.gid)) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        (_, _) => Err(EntryError::OwnerOutOfRange {
            uid: entry.uid,
            gid: entry.gid,
        }),
    }
}

/// Says whether the file system, or the kind of file, does not take an attribute of users.
fn is_refused(error: &PathError) -> bool {
    let refusals = [Errno::OPNOTSUPP, Errno::PERM].map(|errno| Some(errno.raw_os_error()));
    refusals.contains(&error.source.raw_os_error())
}
